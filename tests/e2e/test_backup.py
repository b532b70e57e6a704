"""A backup under load, made and restored with the commands that the how-to prints."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.e2e.processes import Scene, Server, stop, wait_until

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md"
DATA, BACKUPS = "/var/lib/ringback", "/srv/backups"


def run_as_printed(name: str, places: dict[str, str]) -> None:
    """The how-to's block that begins with this name, word for word but for the places."""
    (code,) = re.findall(rf"^```sh\n# {re.escape(name)}\n(.*?)^```", HOW_TO.read_text("utf-8"), re.M | re.S)
    for printed, place in places.items():
        assert printed in code
        code = code.replace(printed, place)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-euc", code], check=True, env={**os.environ, "PATH": path}, timeout=60)


def one(database: Path, text: str) -> object:
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.execute(text).get
    finally:
        db.close()


def events_of(server: Server, business_id: int) -> Iterator[str]:
    cursor: str | None = ""
    while cursor is not None:
        page = server.call("GET", f"/api/v1/business/{business_id}/events?Limit=200{cursor}")
        yield from (event["EventId"] for event in page["Items"])
        cursor = f"&Cursor={page['NextCursor']}" if page["NextCursor"] else None


def backed_up_under_load(scene: Scene, backups: Path) -> tuple[set[str], Path]:
    """What was acknowledged before the backup began, and the copy."""
    publisher = scene.publish(rate=300)
    wait_until("some events accepted", lambda: len(scene.acknowledged()) >= 300, 30)
    before = scene.acknowledged()
    run_as_printed("backup.sh", {DATA: str(scene.server.folder), BACKUPS: str(backups)})
    wait_until("some more accepted", lambda: len(scene.acknowledged()) >= len(before) + 100, 30)
    stop(publisher, signal.SIGINT)
    (copy,) = backups.iterdir()
    return before, copy


@pytest.mark.timeout(120)
def test_a_server_that_starts_from_a_copy_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    backups, other = tmp_path / "backups", tmp_path / "other"
    backups.mkdir()
    other.mkdir()
    with Scene(tmp_path, sink_options=["--delay", "200ms"]) as scene:
        before, copy = backed_up_under_load(scene, backups)
        assert one(copy, "PRAGMA integrity_check") == "ok"
        in_flight = one(copy, "SELECT count(*) FROM deliveries WHERE state = 'sending'")
        assert isinstance(in_flight, int)
        assert in_flight > 0
        scene.server.drain()

        shutil.copy(copy, other / "ringback.db")
        shutil.copy(scene.server.folder / "master.key", other)
        scene.server = Server(other)
        scene.server.start()

        assert before <= set(events_of(scene.server, scene.business_id))
        scene.wait_until_settled()
        assert scene.server.states(scene.business_id).keys() == {"delivered"}


@pytest.mark.timeout(120)
def test_a_copy_is_put_in_the_place_of_the_database_as_the_how_to_says(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    with Scene(tmp_path) as scene:
        before, copy = backed_up_under_load(scene, backups)
        accepted = len(scene.acknowledged())
        scene.server.kill()
        assert scene.server.folder.joinpath("ringback.db-wal").exists(), "the log of the lost one is there"

        copy.rename(backups / "ringback.db")
        run_as_printed("restore.sh", {DATA: str(scene.server.folder), BACKUPS: str(backups)})
        scene.server.start()

        there = set(events_of(scene.server, scene.business_id))
        assert before <= there
        assert len(there) < accepted, "what came later is gone: it is the copy that was started"
        scene.wait_until_settled()
        assert scene.server.states(scene.business_id).keys() == {"delivered"}
