"""`ringback simulate`: realistic call traffic for any server."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ringback.simulate import Destination, Publisher, Tally, Traffic

PROGRESS_SECONDS = 10.0
INTERRUPTED = 130

Url = Annotated[str, typer.Option(envvar="RINGBACK_URL", help="The server's address.")]
ApiKey = Annotated[
    str, typer.Option(envvar="RINGBACK_API_KEY", help="A key with the publish scope.", show_default=False)
]


def simulate(
    api_key: ApiKey,
    business: Annotated[int, typer.Option(min=1, help="The business to publish for.")],
    url: Url = "http://127.0.0.1:8400",
    rate: Annotated[float, typer.Option(min=0.01, max=100_000, help="Events a second, overall.")] = 20.0,
    calls: Annotated[int, typer.Option(min=0, help="Calls to make; 0 goes on until Ctrl-C.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same calls.")] = 0,
    compress: Annotated[
        float, typer.Option(min=0.01, max=10_000, help="How much faster than life a call runs.")
    ] = 1.0,
    ledger: Annotated[
        Path | None, typer.Option(help="Append each acknowledged EventId to this file, one a line.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the summary.")] = False,
) -> None:
    """Publish whole Iqra calls: initiated, started, the conversation, completed or failed.

    What is not acknowledged is published again with the same EventId. Exit code 1 where events were refused.
    """
    from ringback.simulate import Destination, Traffic

    traffic = Traffic(rate=rate, calls=calls, seed=seed, compress=compress)
    destination = Destination(url=url, api_key=api_key, business=business)
    interrupted, tally = asyncio.run(_run(traffic, destination, ledger, quiet))
    if tally.refused:
        print(f"refused: {tally.last_refusal}", file=sys.stderr)
        raise typer.Exit(1)
    raise typer.Exit(INTERRUPTED if interrupted and calls else 0)


async def _run(
    traffic: Traffic, destination: Destination, ledger: Path | None, quiet: bool
) -> tuple[bool, Tally]:
    """Whether it was interrupted, and the sums."""
    from ringback.simulate import publisher_for
    from ringback.simulate import simulate as publish_traffic

    interrupted = asyncio.Event()
    with ExitStack() as files:
        log = files.enter_context(ledger.open("a", encoding="ascii")) if ledger else None
        publisher = publisher_for(traffic, destination, log)
        _on_signals(publisher, interrupted)
        print(f"publishing {traffic.rate:g} events a second for business {destination.business}", flush=True)
        began = time.monotonic()
        progress = asyncio.create_task(_show_progress(publisher, quiet))
        try:
            tally = await publish_traffic(traffic, publisher)
        finally:
            progress.cancel()
    print(_summary(tally, time.monotonic() - began), flush=True)
    return interrupted.is_set(), tally


def _on_signals(publisher: Publisher, interrupted: asyncio.Event) -> None:
    def stop() -> None:
        interrupted.set()
        publisher.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def _show_progress(publisher: Publisher, quiet: bool) -> None:
    while not quiet:
        await asyncio.sleep(PROGRESS_SECONDS)
        tally = publisher.tally
        print(f"{tally.acknowledged:,} events acknowledged, {tally.retries:,} requests repeated", flush=True)


def _summary(tally: Tally, seconds: float) -> str:
    rate = tally.acknowledged / seconds if seconds else 0.0
    return (
        f"acknowledged {tally.acknowledged:,} ({rate:,.1f}/s, {tally.duplicates:,} already known)"
        f" · refused {tally.refused:,} · unanswered {tally.unanswered:,}"
        f" · requests repeated {tally.retries:,}"
    )
