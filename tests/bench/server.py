"""`ringback serve` as a user starts it, with businesses and integrations made over its API."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.bench.children import BenchError, free_port, running, wait_until
from tests.bench.receiver import Receiver
from tests.bench.setting import Setting
from tests.bench.traffic import EVENT_TYPE, Door

BUSINESSES = 20
API_KEY = "bench-key-of-more-than-32-characters"
RECORDED_SECONDS = 120.0
_BATCHES = "ringback_accept_batch_events"
_DELIVERED = 'ringback_attempts_total{class="",state="delivered"}'


@dataclass(frozen=True)
class Ringback:
    """A running server."""

    port: int
    pid: int

    def ready(self) -> bool:
        try:
            self._get("/health/ready").close()
        except (URLError, ConnectionError):
            return False
        return True

    def create_business(self, name: str) -> Door:
        made = self._post("/api/v1/business", {"Name": name})
        return Door("127.0.0.1", self.port, f"/api/v1/business/{made['BusinessId']}/events", API_KEY)

    def subscribe(self, door: Door, url: str) -> None:
        """One integration of the business on the traffic's event type: with a secret, else as by default."""
        form = {
            "Type": "webhook",
            "FriendlyName": "bench",
            "GenerateSecret": True,
            "Fields": {"Url": url, "Events": [EVENT_TYPE]},
        }
        self._post(door.path.removesuffix("/events") + "/integrations", form)

    def subscribed_doors(self, receiver: Receiver) -> list[Door]:
        """Businesses with one integration each, so that an event makes one delivery."""
        doors = [self.create_business(f"bench {number}") for number in range(BUSINESSES)]
        for door in doors:
            self.subscribe(door, receiver.url)
        return doors

    def delivered(self) -> int:
        """Attempts recorded as delivered since the start."""
        return int(self.metric(_DELIVERED))

    def events_per_commit(self) -> float:
        """The mean since the start, warm-up included."""
        return self.metric(f"{_BATCHES}_sum") / self.metric(f"{_BATCHES}_count")

    def metric(self, name: str) -> float:
        """A number of `/metrics`; 0 where it is not there yet."""
        with self._get("/metrics") as answer:
            for line in answer.read().decode().splitlines():
                found, _, value = line.rpartition(" ")
                if found == name:
                    return float(value)
        return 0.0

    def wait_recorded(self, receiver: Receiver, received: int, delivered: int) -> None:
        """Until the receiver has its events and the server has written it down. Raises BenchError.

        The receiver is asked first: it costs the server nothing.
        """
        deadline = time.monotonic() + RECORDED_SECONDS
        while receiver.count() < received or self.delivered() < delivered:
            if time.monotonic() > deadline:
                raise BenchError(f"{receiver.count()} of {received} received, {self.delivered()} recorded")
            time.sleep(0.01)

    def _get(self, path: str) -> Any:
        return urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def _post(self, path: str, form: object) -> Any:
        headers = {"Authorization": f"Token {API_KEY}", "Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(form).encode(), headers)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.load(answer)["Data"]
        except HTTPError as error:
            raise BenchError(f"POST {path} was answered {error.code}: {error.read(500)!r}") from error


@contextmanager
def serving(
    setting: Setting, folder: Path, *, pinned: bool = True, launcher: Sequence[str] = ()
) -> Iterator[Ringback]:
    """A new server, on an empty database or on what `folder/data` holds already.

    `launcher` is put in the place of the `ringback` command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "serve.log"
    with running(
        [
            *(launcher or [ringback_command()]),
            "serve",
            "--dev",
            "--data",
            folder / "data",
            "--port",
            str(port),
        ],
        core=setting.cores.server if pinned else None,
        log=log,
        environment=environment(),
    ) as child:
        server = Ringback(port, child.pid)
        wait_until(server.ready, child, log)
        try:
            yield server
        except BenchError as error:
            raise BenchError("\n".join([str(error), *complaints(log)])) from error


def complaints(log: Path) -> list[str]:
    """The server's last lines about trouble."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if '"level": "error"' in line or '"level": "critical"' in line][-3:]


def ringback_command() -> str:
    return str(Path(sys.executable).with_name("ringback"))


def environment() -> dict[str, str]:
    """Ours without any of its settings, and the key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")}
    return {**kept, "RINGBACK_API_KEY": API_KEY}
