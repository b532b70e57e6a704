"""`python -m tests.bench`: every figure, or those of `--only`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.bench.children import BenchError
from tests.bench.conditions import conditions
from tests.bench.figures import Section
from tests.bench.floor import floor
from tests.bench.footprint import memory, startup
from tests.bench.intake import batch
from tests.bench.isolation import isolation
from tests.bench.latency import latency
from tests.bench.profile import profile
from tests.bench.report import show_conditions, show_section, write_json
from tests.bench.setting import FULL, QUICK, Setting
from tests.bench.statistics import statistics
from tests.bench.stored import stored, stored_long
from tests.bench.storm import storm
from tests.bench.two_processes import two_processes
from tests.bench.whole_path import whole_path

BENCHMARKS: dict[str, Callable[[Setting], list[Section]]] = {
    "floor": floor,
    "whole_path": whole_path,
    "latency": latency,
    "batch": batch,
    "memory": memory,
    "startup": startup,
    "isolation": isolation,
    "storm": storm,
    "stored": stored,
    "stored_long": stored_long,
    "two_processes": two_processes,
    "profile": profile,
    "statistics": statistics,
}
WIDTH = 160
# The whole path measures the floor itself, before and after; filling ten million rows takes its time.
BY_DEFAULT = [name for name in BENCHMARKS if name not in ("floor", "stored_long")]


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    with tempfile.TemporaryDirectory(prefix="ringback-bench-", dir=given.dir) as folder:
        setting = Setting(QUICK if given.quick else FULL, Path(folder).resolve(), given.connections)
        os.sched_setaffinity(0, {setting.cores.load})
        try:
            return _run(console, setting, given.only or BY_DEFAULT, given.json)
        except BenchError as error:
            console.print(f"no figure: {error}", style="red", markup=False)
            return 1
        except KeyboardInterrupt:
            return 130


def _run(console: Console, setting: Setting, names: Sequence[str], json: Path | None) -> int:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = conditions(setting)
    show_conditions(console, found)
    sections: list[Section] = []
    for name in names:
        measured = BENCHMARKS[name](setting)
        for section in measured:
            show_section(console, section)
        sections += measured
        if json is not None:
            write_json(json, at, found, sections)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure ringback against the floor."
    )
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument(
        "--quick", action="store_true", help="small amounts, for trying: the figures mean little"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file, too")
    parser.add_argument("--dir", type=Path, help="where the databases go; the temporary folder")
    parser.add_argument(
        "--connections", type=int, default=128, help="publishing connections at full load; 128"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
