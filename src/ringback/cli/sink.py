"""`ringback sink`: a receiver to test with."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ringback.sink import Behaviour, Counts, Received, Sink

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
_GREEN, _YELLOW, _RED, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def seconds_of(text: str) -> float:
    """`6s`, `250ms`, `1m`, or plain seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter("must be a time as 6s, 250ms or 1m", param_hint="--delay")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def sink(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="TCP port to listen on; 0: any free one.")
    ] = 9000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="Check both signatures; a wrong one is answered 401. Give it twice while a secret is"
            " rotated; left out, it is WEBHOOK_SECRET.",
            show_default=False,
        ),
    ] = None,
    status: Annotated[
        int | None, typer.Option(min=200, max=599, help="Answer with this status. By itself: always.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Cut the connection. With --status: every other time.")
    ] = False,
    delay: Annotated[str, typer.Option(metavar="TIME", help="Answer late, as 6s.")] = "0s",
    retry_after: Annotated[
        int | None, typer.Option(min=0, help="Seconds to ask for in Retry-After, with --status.")
    ] = None,
    fail_rate: Annotated[
        float, typer.Option(min=0, max=100, help="Of how many requests in a hundred all this is true.")
    ] = 100.0,
    first: Annotated[
        int | None, typer.Option(min=1, help="Fail only the first so many requests of each event.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed fails the same way.")] = 0,
    ledger: Annotated[
        Path | None, typer.Option(help="Append `EventId attempt status` of each request to this file.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the summary.")] = False,
) -> None:
    """Receive deliveries: verify them, print a line each, tell repeats apart, and fail on demand.

    Ctrl-C or SIGTERM ends it with a summary.
    """
    from ringback.sink import Behaviour

    if retry_after is not None and status is None:
        raise typer.BadParameter("needs --status, as 503", param_hint="--retry-after")
    behaviour = Behaviour(
        status=status,
        reset=reset,
        delay=seconds_of(delay),
        retry_after=retry_after,
        fail_rate=fail_rate,
        first=first,
    )
    secrets = _checked(secret or _secret_of_environment())
    asyncio.run(_run(behaviour, host=host, port=port, secrets=secrets, seed=seed, ledger=ledger, quiet=quiet))


def _secret_of_environment() -> list[str]:
    """One, whole: a secret may have spaces, at which typer would split a list."""
    secret = os.environ.get("WEBHOOK_SECRET")
    return [secret] if secret else []


def _checked(secrets: list[str]) -> list[str]:
    from ringback.signing import problem_with_secret

    for secret in secrets:
        problem = problem_with_secret(secret)
        if problem is not None:
            raise typer.BadParameter(f"{problem}: no integration has such a secret", param_hint="--secret")
    return secrets


async def _run(
    behaviour: Behaviour,
    *,
    host: str,
    port: int,
    secrets: list[str],
    seed: int,
    ledger: Path | None,
    quiet: bool,
) -> None:
    from ringback.sink import Sink

    coloured = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))

    def show(one: Received) -> None:
        print(line_of(one, coloured), flush=True)

    with ExitStack() as files:
        receiver = Sink(
            behaviour,
            secrets=secrets,
            host=host,
            port=port,
            seed=seed,
            ledger=files.enter_context(ledger.open("a", encoding="utf-8")) if ledger else None,
            keep=False,
            on_received=None if quiet else show,
        )
        await _serve(receiver)
    print(_summary(receiver.counts), flush=True)


async def _serve(receiver: Sink) -> None:
    """Until a signal."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with receiver:
        print(f"listening on {receiver.url}", flush=True)
        await stopped.wait()


def line_of(one: Received, coloured: bool = False) -> str:
    """One delivery for people: when, what, which, how often, trusted or not, answered how."""
    verified = {True: "✓", False: "✗", None: "·"}[one.verified]
    at = datetime.fromtimestamp(one.at).strftime("%H:%M:%S.%f")[:-3]
    again = f" again ({one.times_seen})" if one.times_seen > 1 else ""
    event_type = _printable(one.event_type)
    text = f"{at} {event_type:<21} {one.event_id} attempt {one.attempt} {verified} {_answer(one)}{again}"
    return f"{_colour(one)}{text}{_PLAIN}" if coloured else text


def _printable(text: str) -> str:
    """What a stranger sent must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])


def _answer(one: Received) -> str:
    if one.status is None:
        return "cut"
    return f"{one.status} {one.problem}" if one.problem else str(one.status)


def _colour(one: Received) -> str:
    if one.problem:
        return _RED
    if one.status != 200:
        return _YELLOW
    return _DIM if one.times_seen > 1 else _GREEN


def _summary(counts: Counts) -> str:
    return (
        f"received {counts.received:,} (events {counts.unique:,}, repeated {counts.repeated:,})"
        f" · answered well {counts.answered_well:,} · failed on purpose {counts.failed_on_purpose:,}"
        f" · bad signatures {counts.bad_signatures:,}"
    )
