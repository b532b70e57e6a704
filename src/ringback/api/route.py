"""The door of every control call: who it is, then the query's names, then the body; and one way out.

Whatever goes wrong behind it becomes an answer here, so that handlers only raise.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from ringback.api import bodies
from ringback.api.answers import REQUEST_ID_HEADER, Answer, answer_of, new_request_id
from ringback.api.auth import authenticate
from ringback.api.browser import person_of, refuse_other_sites
from ringback.api.reach import context_of
from ringback.api.validation import BODY, MAX_ERRORS, refusal_of
from ringback.errors import FieldError, InvalidJson, InvalidRequest
from ringback.people import Principal

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def respond(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    response.raw_headers = list(answer.headers)
    return response


class StrictRequest(Request):
    """A request whose body is bounded and whose JSON is read strictly, once."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            try:
                self._body = await bodies.read(self.stream())
            except ClientDisconnect:
                raise InvalidJson("the body ended before it was complete") from None
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            bodies.check_content_type(self.headers.get("content-type"))
            self._json = bodies.parse(await self.body())
        return self._json


class ControlRoute(APIRoute):
    """A route under /api/v1: it takes a key or a session, the query parameters it declares, and no body
    but its own.
    """

    async def admit(self, request: Request) -> None:
        """Raises InvalidApiKey, UserDisabled, PermissionDenied."""
        request.state.principal = await _principal_of(request)

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        known = frozenset(_query_names(self))
        body = self.body_field

        async def enter(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            await self.admit(request)
            _check_query(request, known)
            if body is None:
                await _check_no_body(strict)
            else:
                await _check_body(strict, required=body.field_info.is_required())
            return await handle(strict)

        return _with_answers(enter)


class OpenRoute(ControlRoute):
    """Takes nobody's word for who calls, and still nothing from another site's page."""

    async def admit(self, request: Request) -> None:
        refuse_other_sites(request, context_of(request).public_url)


async def _principal_of(request: Request) -> Principal:
    """With a key and a cookie it is the key that calls."""
    context, header = context_of(request), request.headers.get("authorization")
    person = await person_of(request, context)
    if person is not None:
        return person
    return authenticate(None if header is None else header.encode("latin-1"), context.live.current)


def _with_answers(handle: Handler) -> Handler:
    async def answering(request: Request) -> Response:
        request_id = new_request_id()
        try:
            response = await handle(request)
        except RequestValidationError as error:
            return respond(answer_of(refusal_of(error), request_id))
        except Exception as error:  # noqa: BLE001 (the top of a request: what is unknown is logged there)
            return respond(answer_of(error, request_id))
        response.headers[REQUEST_ID_HEADER] = request_id
        return response

    return answering


def _check_query(request: Request, known: frozenset[str]) -> None:
    """Each parameter is known and there once: none is accepted and ignored."""
    names = [name for name, _ in request.query_params.multi_items()]
    unknown = [FieldError(name or "Query", "is not a known parameter") for name in names if name not in known]
    repeated = [FieldError(name, "is there more than once") for name in known if names.count(name) > 1]
    if unknown or repeated:
        raise InvalidRequest(*(unknown + repeated)[:MAX_ERRORS])


async def _check_body(request: StrictRequest, *, required: bool) -> None:
    """Where none of its fields is required, no body is as good as `{}`; `null` is neither."""
    if (required or await request.body()) and await request.json() is None:
        raise InvalidRequest(FieldError(BODY, "must be an object"))


async def _check_no_body(request: StrictRequest) -> None:
    """An action may come with `{}`; a field in it would be ignored, so it is refused."""
    if request.method == "GET" or not await request.body():
        return
    fields = await request.json()
    if not isinstance(fields, dict):
        raise InvalidRequest(FieldError(BODY, "must be empty or {}"))
    if fields:
        raise InvalidRequest(*(FieldError(name, "is not a known field") for name in [*fields][:MAX_ERRORS]))


def _query_names(route: APIRoute) -> Iterable[str]:
    for parameter in route.dependant.query_params:
        model = parameter.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield parameter.alias
