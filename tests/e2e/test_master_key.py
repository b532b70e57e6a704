"""The master key is replaced beside a server that sends: nobody notices, and nothing restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ringback.keyring import read_key_file
from tests.e2e.outside import Business, serving
from tests.e2e.processes import Server, ringback
from tests.zoo import Zoo

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo(SECRET) as zoo:
        yield zoo


def rotate_master(server: Server, *options: str) -> int:
    arguments = ["keys", "rotate-master", "--data", str(server.folder), *options]
    return ringback(arguments, server.folder.with_suffix(".rotate.log")).wait(60)


def subscribed(acme: Business, zoo: Zoo, name: str) -> str:
    url = zoo.url(f"verified?X-Of={name}")
    return acme.subscribe(url, EncryptedFields={"Secret": SECRET}, Headers={"X-Team": name})


def test_a_running_server_takes_in_the_new_key_and_does_without_the_old(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        key_file = server.folder / "master.key"
        (old,) = read_key_file(key_file)
        acme = Business(server)
        first = subscribed(acme, zoo, "before")
        acme.publish("evt_before")
        acme.wait_for("delivered", 1)

        assert rotate_master(server) == 0
        second = subscribed(acme, zoo, "between")
        acme.publish("evt_between")
        acme.wait_for("delivered", 3)
        assert rotate_master(server, "--finish") == 0
        third = subscribed(acme, zoo, "after")
        acme.publish("evt_after")
        acme.wait_for("delivered", 6)

        assert old not in read_key_file(key_file)
        path = f"/api/v1/business/{acme.id}/integrations"
        revealed = {
            server.call("POST", f"{path}/{one}/secret/reveal")["Secret"] for one in (first, second, third)
        }
        assert revealed == {SECRET}
        assert server.drain() == 0
        server.start()
        acme.publish("evt_later")
        acme.wait_for("delivered", 9)
        assert {one.headers["x-team"] for one in zoo.received[-3:]} == {"before", "between", "after"}
