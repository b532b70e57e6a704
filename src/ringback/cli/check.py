"""`ringback check`: would a server start here, and would it be well?"""

from __future__ import annotations

import asyncio

import typer

from ringback.cli.options import ConfigFile, Database, DataDirectory


def check(database: Database = None, data: DataDirectory = None, config: ConfigFile = None) -> None:
    """Check the configuration, the database, the master key and the clock: a line each, PASS or FAIL.

    May run beside a server: all it writes is a heartbeat. Exit code 1 where something failed.
    """
    from ringback.cli.findings import examine

    findings = asyncio.run(examine(config, database=database, data=data))
    for finding in findings:
        print(f"{'PASS' if finding.passed else 'FAIL'}  {finding.subject:<14} {finding.detail}")
    raise typer.Exit(0 if all(finding.passed for finding in findings) else 1)
