"""One server for each file of this folder, and businesses on it.

A publish is carried in two ways: alone on its connection the short way, else through ASGI. What must
hold for both is asked of both: an escaped path takes the second.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.publish.door import Door, new_door, serving
from tests.e2e.processes import Server
from tests.zoo import Zoo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Whatever is sent in this module: at the end it runs, has broken nowhere and drains."""
    with serving(tmp_path_factory.mktemp("publish") / "server") as running:
        yield running
        assert running.is_ready()
        log = running.log.read_text()
        assert "Traceback" not in log
        assert '"level":"error"' not in log.replace(" ", "")
        assert running.drain() == 0


@pytest.fixture(params=["alone", "escaped"])
def door(server: Server, request: pytest.FixtureRequest) -> Door:
    """A business of the test's own, without integrations, by both ways."""
    opened = new_door(server)
    opened.escaped = request.param == "escaped"
    return opened


@pytest.fixture
def heard(door: Door, zoo: Zoo) -> str:
    """The door's integration: the path at which the zoo hears its events."""
    path = f"ok?X-Business={door.business_id}"
    door.subscribe(zoo.url(path))
    return path
