"""From a lease to a finished attempt: compose, sign, send, judge, decide.

What an attempt does with its integration is looked up in the newest snapshot when it starts, so a
change applies from the next attempt on, and a held or deleted integration gets nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ringback.envelope import WIRES, Header, Wire, headers_of
from ringback.errors import ConfigurationError
from ringback.failures import FailureClass, classify
from ringback.keyring import KeyRing, headers_owner, secret_owner
from ringback.model import (
    AttemptResult,
    Decision,
    DeliveryState,
    Integration,
    Leased,
    Message,
    Outcome,
    Timings,
    Value,
)
from ringback.retry import Policy, decide, policy_of
from ringback.rotation import counting
from ringback.send import Request
from ringback.signing import SigningKey


class Endpoint(Value, frozen=True, kw_only=True):
    """One version of an integration, opened and ready to send to.

    `until`: when one of its keys stops counting, and it has to be opened anew; None: never.
    """

    integration: Integration
    policy: Policy
    wire: Wire
    keys: tuple[SigningKey, ...] = ()
    custom: tuple[Header, ...] = ()
    until: int | None = None


class Sends(Protocol):
    """One HTTP attempt: `done` is called exactly once, on the loop."""

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None: ...


class Attempts:
    """Makes attempts. `jitter` returns from 0 up to 1."""

    def __init__(self, sender: Sends, keyring: KeyRing, user_agent: str, jitter: Callable[[], float]) -> None:
        self._sender = sender
        self._keyring = keyring
        self._user_agent = user_agent
        self._jitter = jitter
        self._endpoints: dict[int, Endpoint] = {}
        self._body: tuple[Message, Wire, bytes] | None = None

    def start(
        self,
        leased: Leased,
        integration: Integration,
        now: int,
        done: Callable[[AttemptResult], None],
        *,
        test: bool = False,
    ) -> None:
        try:
            endpoint = self._endpoint(integration, now)
        except ConfigurationError as error:
            done(self._judge(leased, _sealed_endpoint(integration), _never_sent(error, now), test))
            return
        body = self._body_of(leased.message, endpoint.wire)
        request = Request(
            url=integration.url,
            headers=headers_of(
                leased.message,
                body,
                endpoint.keys,
                leased.number,
                now,
                self._user_agent,
                content_type=endpoint.wire.content_type,
                test=test,
                replay=leased.replay,
                custom=endpoint.custom,
            ),
            body=body,
            timeout_ms=endpoint.policy.timeout_ms,
        )
        self._sender.send(request, lambda outcome: done(self._judged(leased, endpoint, outcome, test)))

    def _judged(self, leased: Leased, endpoint: Endpoint, outcome: Outcome, test: bool) -> AttemptResult:
        """There is always a result: an answer that breaks the judging is a failure of ours."""
        try:
            return self._judge(leased, endpoint, outcome, test)
        except Exception as error:  # noqa: BLE001 - as said above
            return self._judge(leased, endpoint, _never_sent(error, outcome.ended_at), test)

    def _judge(self, leased: Leased, endpoint: Endpoint, outcome: Outcome, test: bool) -> AttemptResult:
        failure = classify(outcome.transport, outcome.status, endpoint.policy.success_codes)
        if test:
            decision = Decision(state=DeliveryState.CANCELLED if failure else DeliveryState.DELIVERED)
        else:
            jitter = self._jitter() if failure else 0.0
            decision = decide(endpoint.policy, leased, outcome, failure, outcome.ended_at, jitter)
        return AttemptResult(
            leased=leased,
            outcome=outcome,
            failure=failure,
            decision=decision,
            signatures=len(endpoint.keys),
            header_names=tuple(name for name, _ in endpoint.custom) if endpoint.custom else (),
            test=test,
        )

    def _body_of(self, message: Message, wire: Wire) -> bytes:
        """An event's deliveries start together: its body is made once, for those of one format in a row."""
        made = self._body
        if made is None or made[0] is not message or made[1] is not wire:
            made = self._body = (message, wire, wire.body_of(message))
        return made[2]

    def forget(self, gone: Callable[[int], bool]) -> None:
        """Drop what is kept of integrations that are gone."""
        for integration_id in [one for one in self._endpoints if gone(one)]:
            del self._endpoints[integration_id]

    def _endpoint(self, integration: Integration, now: int) -> Endpoint:
        endpoint = self._endpoints.get(integration.integration_id)
        if (
            endpoint is None
            or endpoint.integration is not integration
            or (endpoint.until is not None and endpoint.until <= now)
        ):
            endpoint = open_endpoint(integration, self._keyring, now)
            self._endpoints[integration.integration_id] = endpoint
        return endpoint


def _never_sent(error: Exception, now: int) -> Outcome:
    return Outcome(
        started_at=now,
        ended_at=now,
        timings=Timings(),
        transport=FailureClass.SENDER_ERROR,
        detail=str(error),
    )


def open_endpoint(integration: Integration, keyring: KeyRing, now: int) -> Endpoint:
    """With the secrets that count at this moment. Raises ConfigurationError where one can't be opened."""
    secrets = counting(integration.secrets, now)
    opened = (keyring.open(secret.sealed, secret_owner(secret.secret_id)) for secret in secrets)
    return msgspec.structs.replace(
        _sealed_endpoint(integration),
        keys=tuple(SigningKey(secret.decode()) for secret in opened),
        custom=_custom_headers(integration, keyring),
        until=min((one.expires_at for one in secrets if one.expires_at is not None), default=None),
    )


def _sealed_endpoint(integration: Integration) -> Endpoint:
    settings = integration.settings
    return Endpoint(integration=integration, policy=policy_of(settings), wire=WIRES[settings.format])


def _custom_headers(integration: Integration, keyring: KeyRing) -> tuple[Header, ...]:
    if integration.sealed_headers is None:
        return ()
    opened = keyring.open(integration.sealed_headers, headers_owner(integration.integration_id))
    return msgspec.json.decode(opened, type=tuple[Header, ...])
