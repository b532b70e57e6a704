"""Makes attempts: finds the address, hands the request to libcurl, tells the outcome, once."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import pycurl  # type: ignore[import-untyped]  # ships no types

from ringback.clock import wall_ms
from ringback.errors import Refused
from ringback.failures import FailureClass
from ringback.model import Outcome, Timings
from ringback.send.certificate import SHOWN_BY, Looks, place_of, with_evidence
from ringback.send.outcome import outcome_of
from ringback.send.reactor import Reactor
from ringback.send.request import Request, Route, header_lines, route_of
from ringback.send.resolve import Answer, Found, Resolver
from ringback.send.transfer import Transfer

logger = logging.getLogger(__name__)

MAX_PINS = 4096

Done = Callable[[Outcome], None]


class Attempt:
    """One request under way."""

    __slots__ = ("began", "deadline", "dns_ms", "done", "lines", "request", "route", "started_at")

    route: Route
    lines: Sequence[str] | Sequence[bytes]

    def __init__(self, request: Request, done: Done, started_at: int) -> None:
        self.request = request
        self.done = done
        self.started_at = started_at
        self.began = perf_counter()
        self.dns_ms: float | None = None
        self.deadline: asyncio.TimerHandle | None = None

    def elapsed_ms(self) -> float:
        return (perf_counter() - self.began) * 1000


class Sender:
    """Belongs to the running loop it is made on. `allow_loopback` allows plain http too: for `--dev`.

    `nameservers` are `address` or `address:port`; without them the machine's own are asked.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        ca_file: Path | None = None,
        clock: Callable[[], int] = wall_ms,
        nameservers: Sequence[str] | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._ca_file = ca_file
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver(self._loop, nameservers)
        self._reactor = Reactor(self._loop, self._on_finished)
        self._looks = Looks(self._loop, allow_loopback=allow_loopback)
        self._idle: list[Transfer] = []
        self._looking_up: set[Attempt] = set()
        self._sending: dict[pycurl.Curl, tuple[Attempt, Transfer]] = {}
        self._pinned: OrderedDict[str, None] = OrderedDict()
        self._in_flight = 0
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Attempts whose outcome was not told yet."""
        return self._in_flight

    def send(self, request: Request, done: Done) -> None:
        """Never raises. `done` is called on the loop, later, exactly once, whatever happens."""
        attempt = Attempt(request, done, self._clock())
        self._in_flight += 1
        if self._closed:
            self._fail_soon(attempt, FailureClass.SENDER_ERROR, "sending has stopped")
            return
        try:
            attempt.route = route_of(request.url, plain_http=self._allow_loopback)
            attempt.lines = header_lines(request.headers)
        except Refused as refusal:
            self._fail_soon(attempt, FailureClass.SENDER_ERROR, f"the request was not sent: {refusal}")
            return
        self._find_address(attempt)

    async def close(self) -> None:
        """What is still under way ends as `sender_error`: wait for it before, if it matters."""
        if self._closed:
            return
        self._closed = True
        await self._looks.close()
        await self._resolver.close()
        for attempt in tuple(self._looking_up):
            self._end_lookup(attempt)
            self._fail(attempt, FailureClass.SENDER_ERROR, "stopped during the attempt")
        for handle, (attempt, transfer) in tuple(self._sending.items()):
            del self._sending[handle]
            self._reactor.abandon(handle)
            self._idle.append(transfer)
            self._fail(attempt, FailureClass.SENDER_ERROR, "stopped during the attempt")
        self._reactor.close()
        for transfer in self._idle:
            transfer.handle.close()
        self._idle.clear()

    def _find_address(self, attempt: Attempt) -> None:
        route = attempt.route
        if route.literal is not None:
            self._start(attempt, (route.literal,))
            return
        answer = self._resolver.kept(route.host)
        if answer is None:
            self._look_up(attempt)
        elif isinstance(answer, Found):
            self._start(attempt, answer.addresses)
        else:
            self._fail_soon(attempt, answer.failure, answer.detail)

    def _look_up(self, attempt: Attempt) -> None:
        self._looking_up.add(attempt)
        attempt.deadline = self._loop.call_later(
            attempt.request.timeout_ms / 1000, self._on_lookup_deadline, attempt
        )
        self._resolver.look_up(attempt.route.host, lambda answer: self._on_answer(attempt, answer))

    def _on_answer(self, attempt: Attempt, answer: Answer) -> None:
        if attempt not in self._looking_up:
            return
        self._end_lookup(attempt)
        if isinstance(answer, Found):
            self._start(attempt, answer.addresses)
        else:
            self._fail(attempt, answer.failure, answer.detail)

    def _on_lookup_deadline(self, attempt: Attempt) -> None:
        self._end_lookup(attempt)
        seconds = attempt.request.timeout_ms / 1000
        detail = f"no answer from DNS for {attempt.route.host} within {seconds:.1f} s"
        self._fail(attempt, FailureClass.DNS_TIMEOUT, detail)

    def _end_lookup(self, attempt: Attempt) -> None:
        self._looking_up.remove(attempt)
        attempt.dns_ms = attempt.elapsed_ms()
        if attempt.deadline is not None:
            attempt.deadline.cancel()

    def _start(self, attempt: Attempt, addresses: Sequence[str]) -> None:
        request, route = attempt.request, attempt.route
        left_ms = max(math.ceil(request.timeout_ms - (attempt.dns_ms or 0.0)), 1)
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        try:
            transfer.prepare(route.url, attempt.lines, request.body, self._pins(route, addresses), left_ms)
            self._reactor.start(transfer.handle)
        except pycurl.error as error:
            logger.error("libcurl refused a request", extra={"code": error.args[0]})
            self._idle.append(transfer)
            self._fail_soon(attempt, FailureClass.SENDER_ERROR, f"libcurl error {error.args[0]}")
            return
        self._sending[transfer.handle] = attempt, transfer

    def _new_transfer(self) -> Transfer:
        return Transfer(
            allow_loopback=self._allow_loopback,
            ca_file=self._ca_file,
            on_new_socket=self._reactor.on_new_socket,
        )

    def _pins(self, route: Route, addresses: Sequence[str]) -> list[str]:
        """Entries for CURLOPT_RESOLVE: this place's, and the removal of one that was not used for long."""
        pins = [f"{route.place}:{','.join(addresses)}"]
        self._pinned[route.place] = None
        self._pinned.move_to_end(route.place)
        if len(self._pinned) > MAX_PINS:
            forgotten, _ = self._pinned.popitem(last=False)
            pins.append(f"-{forgotten}")
        return pins

    def _on_finished(self, handle: pycurl.Curl, code: int, message: str) -> None:
        under_way = self._sending.pop(handle, None)
        if under_way is None:
            return  # Lost with its multi handle, then stopped before that was told.
        attempt, transfer = under_way
        outcome = self._outcome(attempt, transfer, code, message)
        self._idle.append(transfer)
        if outcome.transport is FailureClass.SENDER_ERROR:
            logger.error("an attempt failed on our side", extra={"code": code, "reason": outcome.detail})
        if outcome.transport in SHOWN_BY and outcome.remote_address is not None:
            self._show_certificate(attempt, outcome, outcome.transport, outcome.remote_address)
        else:
            self._tell(attempt, outcome)

    def _show_certificate(
        self, attempt: Attempt, outcome: Outcome, failure: FailureClass, remote_address: str
    ) -> None:
        """The attempt is over; its outcome is told once it is known what was refused."""
        place = place_of(attempt.route.host, remote_address, failure)
        seconds = (attempt.request.timeout_ms - attempt.elapsed_ms()) / 1000
        self._looks.show(
            place, seconds, lambda shown: self._tell(attempt, with_evidence(outcome, place, shown))
        )

    def _outcome(self, attempt: Attempt, transfer: Transfer, code: int, message: str) -> Outcome:
        try:
            return outcome_of(
                transfer.ending(code, message),
                started_at=attempt.started_at,
                ended_at=self._end(),
                dns_ms=attempt.dns_ms,
                total_ms=attempt.elapsed_ms(),
                timeout_ms=attempt.request.timeout_ms,
            )
        except Exception as error:  # noqa: BLE001 - whatever came back, there is an outcome to tell
            detail = f"the answer could not be read: {type(error).__name__}"
            return self._failed(attempt, FailureClass.SENDER_ERROR, detail)

    def _fail_soon(self, attempt: Attempt, failure: FailureClass, detail: str) -> None:
        self._loop.call_soon(self._fail, attempt, failure, detail)

    def _fail(self, attempt: Attempt, failure: FailureClass, detail: str) -> None:
        self._tell(attempt, self._failed(attempt, failure, detail))

    def _end(self) -> int:
        """Rounded up: what is due a while after it must not start a part of a millisecond early."""
        return self._clock() + 1

    def _failed(self, attempt: Attempt, failure: FailureClass, detail: str) -> Outcome:
        return Outcome(
            started_at=attempt.started_at,
            ended_at=self._end(),
            timings=Timings(dns_ms=attempt.dns_ms, total_ms=attempt.elapsed_ms()),
            transport=failure,
            detail=detail,
        )

    def _tell(self, attempt: Attempt, outcome: Outcome) -> None:
        self._in_flight -= 1
        try:
            attempt.done(outcome)
        except Exception:
            logger.exception("the receiver of an outcome failed")
