"""`ringback demo`: the whole product in one terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def demo(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="TCP port for the server.")] = 8400,
    rate: Annotated[float, typer.Option(min=0.1, max=1_000, help="Events a second.")] = 6.0,
    compress: Annotated[
        float, typer.Option(min=1, max=1_000, help="How much faster than life calls run.")
    ] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same calls.")] = 7,
    data: Annotated[
        Path | None, typer.Option(help="Keep the data in this folder; without it, nothing is kept.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop by itself; without it, at Ctrl-C.")
    ] = None,
) -> None:
    """A server, a good receiver, a flaky one and realistic calls, until Ctrl-C; then the sums.

    Exit code 1 where something broke or the sums do not add up.
    """
    from ringback.demo import Plan, run

    plan = Plan(port=port, rate=rate, compress=compress, seed=seed, data=data, seconds=seconds)
    raise typer.Exit(run(plan, os.environ.get("RINGBACK_API_KEY")))
