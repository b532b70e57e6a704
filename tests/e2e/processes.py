"""A server, a receiver and a publisher as processes of their own, watched only from outside.

Two ledgers decide: what the publisher was told is accepted, and what the receiver got.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

API_KEY = "operator-key-for-tests-0123456789abcdef"
SECRET = "a-secret-for-tests"
START_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ringback(
    arguments: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    module: str = "ringback",
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )


def wait_until(what: str, true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, seconds: float = 40) -> int:
    """End a process and give its exit code; one that will not end is killed and is a failure."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"process {process.args!r} did not end within {seconds} s") from None


@dataclass
class Server:
    """`ringback serve` on a folder that outlives it."""

    folder: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    module: str = "ringback"
    process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        self.spawn(**environment)
        wait_until(f"the server is ready\n{self.log_tail()}", self.is_ready, START_SECONDS)

    def spawn(self, **environment: str) -> None:
        arguments = ["serve", "--dev", "--port", str(self.port), "--data", str(self.folder), *self.options]
        self.process = ringback(
            arguments,
            self.log,
            {"RINGBACK_API_KEY": API_KEY, **self.environment, **environment},
            self.module,
        )

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3_000:] if self.log.exists() else ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def drain(self) -> int:
        assert self.process is not None
        return stop(self.process)

    def is_stopped(self) -> bool:
        """By SIGSTOP: alive, and getting no time."""
        return self.process is not None and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def call(self, method: str, path: str, body: Any = None, seconds: float = 20) -> Any:
        """`Data` of the answer; an error status raises with the answer's text."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {API_KEY}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return json.load(answer)["Data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def metrics(self) -> dict[str, float]:
        """Unlabelled values only."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#" and "{" not in line)
        return {name: float(value) for name, value in pairs}

    def states(self, business_id: int) -> Counter[str]:
        """How many deliveries are in each state, from the API's lists."""
        counts: Counter[str] = Counter()
        cursor = None
        while True:
            suffix = f"&Cursor={cursor}" if cursor else ""
            page = self.call("GET", f"/api/v1/business/{business_id}/deliveries?Limit=200{suffix}")
            counts.update(one["State"] for one in page["Items"])
            cursor = page["NextCursor"]
            if cursor is None:
                return counts


@dataclass
class Scene:
    """A server with one business and one integration that leads to a sink."""

    folder: Path
    sink_options: Sequence[str] = ()
    integration_options: Mapping[str, Any] = field(default_factory=dict)
    prepared: Server | None = None

    def __enter__(self) -> Self:
        self.server = self.prepared or Server(self.folder / "server")
        self.received_ledger = self.folder / "received"
        self.acknowledged_ledger = self.folder / "acknowledged"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.sink_port = free_port()
        with ExitStack() as undone:
            # A server that does not come up must not leave the sink behind.
            undone.push(self)
            self._set_up()
            undone.pop_all()
        return self

    def _set_up(self) -> None:
        self.sink = self._spawn(
            "sink",
            *["--port", str(self.sink_port), "--secret", SECRET, "--quiet"],
            *["--ledger", str(self.received_ledger), *self.sink_options],
        )
        self.server.start()
        self.business_id = self.server.call("POST", "/api/v1/business", {"Name": "Test"})["BusinessId"]
        self.integration = self.server.call(
            "POST",
            f"/api/v1/business/{self.business_id}/integrations",
            {
                "Type": "webhook",
                "FriendlyName": "sink",
                "Fields": {"Url": f"http://127.0.0.1:{self.sink_port}/", "Events": ["*"]},
                "EncryptedFields": {"Secret": SECRET},
                # A machine that is busy elsewhere may let an attempt time out: that must not take an hour.
                "RetrySchedule": [1, 1, 2, 2, 5, 5, 10, 10],
                **self.integration_options,
            },
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.server.log_tail())
        server = [self.server.process] if self.server.process else []
        for process in [*self.processes, *server]:
            if process.poll() is None:
                process.kill()
                process.wait()

    def publish(self, *, rate: int, calls: int = 0, seed: int = 1) -> subprocess.Popen[bytes]:
        """Start the simulator; with `calls` 0 it goes on until it is stopped."""
        return self._spawn(
            "simulate",
            *["--url", self.server.url, "--api-key", API_KEY, "--business", str(self.business_id)],
            *["--rate", str(rate), "--calls", str(calls), "--seed", str(seed), "--compress", "200"],
            *["--ledger", str(self.acknowledged_ledger)],
        )

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = ringback(arguments, self.folder / f"{arguments[0]}.log")
        self.processes.append(process)
        return process

    # -- what the ledgers say

    def acknowledged(self) -> set[str]:
        return {line.split()[0] for line in _complete_lines(self.acknowledged_ledger)}

    def received(self) -> Counter[str]:
        """How often each event was taken in, whatever it was answered."""
        return Counter(line.split()[0] for line in _complete_lines(self.received_ledger))

    def wait_until_settled(self, seconds: float = 60) -> None:
        """Until nothing of the business waits or is being sent."""
        # Twice: the lists are read one after the other, and a lease that is given back moves between them.
        try:
            wait_until("all finished", lambda: not self.unfinished() and not self.unfinished(), seconds)
        except AssertionError:
            print("unfinished:", self.unfinished())
            raise

    def unfinished(self) -> list[Any]:
        path = f"/api/v1/business/{self.business_id}/deliveries?Limit=3&State="
        states = ("queued", "sending", "retrying")
        return [one for state in states for one in self.server.call("GET", path + state)["Items"]]

    def missing(self) -> set[str]:
        """Acknowledged events that the receiver never saw."""
        return self.acknowledged() - set(self.received())


def _complete_lines(ledger: Path) -> list[str]:
    """A killed writer may leave half a line."""
    if not ledger.exists():
        return []
    text = ledger.read_text()
    return text[: text.rfind("\n") + 1].splitlines()
