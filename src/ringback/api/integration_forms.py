"""What an integration may be given: the two request bodies, and the rules that need more than their shape."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ringback.addresses import MAX_URL_LENGTH, problem_with_url
from ringback.api.forms import Form, Name, Text
from ringback.catalog import MAX_NAME_LENGTH, EventType, nearest
from ringback.envelope import MASK, RESERVED_HEADERS
from ringback.errors import FieldError, InvalidRequest
from ringback.match import GROUP_SUFFIX, wants
from ringback.model import DEFAULT_MAX_CONCURRENCY, BodyFormat, Profile
from ringback.signing import MAX_OWN, problem_with_secret

MAX_EVENTS = 50
MAX_RETRIES = 20
MAX_DELAY_SECONDS = 604_800
MAX_TIMEOUT_SECONDS = 30
MAX_SUCCESS_CODES = 100
MAX_CONCURRENCY = 1_000
MAX_HEADERS = 20
MAX_HEADER_BYTES = 4 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


_NEVER_NULL = {
    "type": "Type",
    "friendly_name": "FriendlyName",
    "fields_": "Fields",
    "encrypted_fields": "EncryptedFields",
}


def _final_answer(status: int) -> int:
    if not (200 <= status < 300 or 400 <= status < 600):
        raise ValueError("must be 200 to 299 or 400 to 599: a redirect never counts as success")
    return status


def _unordered(ordered: bool) -> bool:
    if ordered:
        raise ValueError("is not available yet")
    return ordered


def _unlimited(_: int) -> int:
    raise ValueError("is not available yet")


SuccessCode = Annotated[int, AfterValidator(_final_answer)]
DelaySeconds = Annotated[int, Field(ge=1, le=MAX_DELAY_SECONDS)]


class TargetForm(Form):
    url: str = Field(min_length=1, max_length=MAX_URL_LENGTH, examples=["https://example.com/hooks"])
    events: list[Annotated[str, Field(max_length=MAX_NAME_LENGTH + len(GROUP_SUFFIX))]] = Field(
        min_length=1,
        max_length=MAX_EVENTS,
        description="Event types, group wildcards (`call.*`) or `*` for everything",
        examples=[["call.completed", "conversation.*"]],
    )


class SecretForm(Form):
    secret: str = Field(max_length=MAX_OWN, repr=False, examples=["a string of your own, or whsec_…"])


class SettingsForm(Form):
    """What may stand beside `Fields`. Null is the default, the profile's where it has one."""

    encrypted_fields: SecretForm | None = None
    generate_secret: bool | None = Field(None, description="Have one made; it is in this one answer")
    profile: Annotated[Profile, Field(strict=False)] | None = Field(None, description="Default `iqra`")
    format: Annotated[BodyFormat, Field(strict=False)] | None = Field(
        None, description="Of the body; chosen when it is made, default `iqra`"
    )
    timeout_seconds: int | None = Field(None, ge=1, le=MAX_TIMEOUT_SECONDS)
    retry_schedule: list[DelaySeconds] | None = Field(
        None, max_length=MAX_RETRIES, description="Seconds before each retry; [] for none"
    )
    success_codes: list[SuccessCode] | None = Field(None, min_length=1, max_length=MAX_SUCCESS_CODES)
    max_concurrency: int | None = Field(
        None, ge=1, le=MAX_CONCURRENCY, description=f"Per node; default {DEFAULT_MAX_CONCURRENCY}"
    )
    rate_limit_per_second: Annotated[int, AfterValidator(_unlimited)] | None = Field(
        None, description="Not available yet"
    )
    ordered: Annotated[bool, AfterValidator(_unordered)] | None = Field(None, description="Not available yet")
    headers: dict[str, str] | None = Field(
        None, max_length=MAX_HEADERS, description="Sent with each attempt", examples=[{"X-Team": "support"}]
    )
    description: Text | None = None


class CreateIntegration(SettingsForm):
    type: Literal["webhook"]
    friendly_name: Name = Field(examples=["Production Event Handler"])
    fields_: TargetForm = Field(alias="Fields")


class ChangeIntegration(SettingsForm):
    """Only what is sent changes: arrays and objects are replaced, null restores the default."""

    type: Literal["webhook"] | None = None
    friendly_name: Name | None = None
    fields_: TargetForm | None = Field(None, alias="Fields")
    version: int | None = Field(None, description="As read: refused with CONFLICT where it has moved on")


def check(
    form: CreateIntegration | ChangeIntegration,
    types: Mapping[str, EventType],
    kept: Collection[str] = (),
    *,
    dev: bool,
) -> None:
    """Raises InvalidRequest with every field at fault. `kept`: what it is subscribed to already, though types
    may have been deleted since."""
    faults = [
        *_target_faults(form.fields_, types, kept, dev),
        *_secret_faults(form),
        *_header_faults(form.headers),
    ]
    if isinstance(form, ChangeIntegration):
        faults += [FieldError(name, "cannot be null") for name in _null_names(form)]
    if faults:
        raise InvalidRequest(*faults)


def _null_names(form: ChangeIntegration) -> Iterator[str]:
    yield from (name for key, name in _NEVER_NULL.items() if form.sent(key) and getattr(form, key) is None)


def _target_faults(
    target: TargetForm | None, types: Mapping[str, EventType], kept: Collection[str], dev: bool
) -> Iterator[FieldError]:
    if target is None:
        return
    problem = problem_with_url(target.url, dev=dev)
    if problem is not None:
        yield FieldError("Fields.Url", problem)
    for index, pattern in enumerate(target.events):
        if pattern not in kept and not any(wants((pattern,), name) for name in types):
            yield FieldError(f"Fields.Events[{index}]", _unknown_event(pattern, types))


def _unknown_event(pattern: str, types: Mapping[str, EventType]) -> str:
    groups = {name.rpartition(".")[0] + GROUP_SUFFIX for name in types}
    close = nearest(pattern, sorted(groups | set(types)))
    return "is not a known event type" + (f"; did you mean {close}?" if close else "")


def _secret_faults(form: SettingsForm) -> Iterator[FieldError]:
    if form.encrypted_fields is None:
        return
    problem = problem_with_secret(form.encrypted_fields.secret)
    if problem is not None:
        yield FieldError("EncryptedFields.Secret", problem)
    if form.generate_secret:
        yield FieldError("GenerateSecret", "cannot stand beside a secret of your own")


def _header_faults(headers: Mapping[str, str] | None) -> Iterator[FieldError]:
    if not headers:
        return
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADER_BYTES:
        yield FieldError("Headers", f"must have at most {MAX_HEADER_BYTES:,} bytes together")
    seen: set[str] = set()
    for name, value in headers.items():
        problem = _problem_with_header(name, value, seen)
        if problem is not None:
            yield FieldError(f"Headers.{name[:100]}", problem)
        seen.add(name.lower())


def _problem_with_header(name: str, value: str, seen: set[str]) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        return "is not a header name"
    if name.lower() in RESERVED_HEADERS:
        return "is set by ringback itself"
    if name.lower() in seen:
        return "is there more than once"
    if _PRINTABLE.fullmatch(value) is None:
        return "must be printable ASCII, without a space at either end"
    if value == MASK:
        return "is masked; send the value itself, or leave Headers out to keep them"
    return None


def settings_changes(form: SettingsForm) -> dict[str, Any]:
    """The fields of `IntegrationSettings` that were sent."""
    changes: dict[str, Any] = {}
    for name in ("timeout_seconds", "max_concurrency", "description"):
        if form.sent(name):
            changes[name] = getattr(form, name)
    if form.sent("profile"):
        changes["profile"] = form.profile or Profile.IQRA
    if form.sent("format"):
        changes["format"] = form.format or BodyFormat.IQRA
    if form.sent("retry_schedule"):
        changes["retry_schedule"] = None if form.retry_schedule is None else tuple(form.retry_schedule)
    if form.sent("success_codes"):
        changes["success_codes"] = None if form.success_codes is None else _unique(form.success_codes)
    return changes


def _unique(codes: list[int]) -> tuple[int, ...]:
    return tuple(sorted(set(codes)))


def events_of(target: TargetForm) -> tuple[str, ...]:
    """In the order given; what is there twice is kept once."""
    return tuple(dict.fromkeys(target.events))
