"""The whole product in one terminal: a server, two receivers, call traffic, and the sums at the end.

One supervisor starts everything as processes of their own, shows what they say, and takes them down
in order: the calls stop, the server drains, the rows are counted.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ringback.demo.api import Api
from ringback.demo.children import Child, Stage
from ringback.demo.sums import Sums, count
from ringback.errors import ConfigurationError, Unavailable
from ringback.model import Value
from ringback.signing import GENERATED_BYTES, generate_secret

HOST = "127.0.0.1"
READY_SECONDS = 20.0
DEAD_LETTER_SECONDS = 1.0
CALLS_PATIENCE, SERVER_PATIENCE, SINK_PATIENCE = 15.0, 40.0, 5.0

TESTED_TYPE = "call.completed"
FLAKY_SCHEDULE = (2, 4, 6)
FLAKY_BEHAVIOUR = ["--status", "503", "--reset", "--fail-rate", "60"]


class Plan(Value, frozen=True, kw_only=True):
    """`data` None: a temporary folder, removed at the end. `seconds` None: until a signal."""

    port: int
    rate: float
    compress: float
    seed: int
    data: Path | None
    seconds: float | None


class Receiver(Value, frozen=True, kw_only=True):
    """A sink as the server is told of it."""

    name: str
    url: str
    secret: str


def run(plan: Plan, api_key: str | None) -> int:
    """From start to end; 0 where the sums add up. Raises ConfigurationError, Refused, Unavailable."""
    _check_port(plan.port)
    with ExitStack() as folders:
        data = plan.data or Path(folders.enter_context(TemporaryDirectory(prefix="ringback-demo-")))
        key = api_key or _kept_key(data)
        return asyncio.run(_Demo(plan, data, key).run())


def _check_port(port: int) -> None:
    """Said here in a sentence, before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {HOST} cannot be used ({os.strerror(error.errno or 0)}): "
                "another server may be running there; choose another port with --port"
            ) from None


def _kept_key(data: Path) -> str:
    """The operator key of this data folder: a server knows the one of its first start."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data / "demo-api-key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(f"rbk_{secrets.token_urlsafe(30)}", encoding="ascii")
    return file.read_text(encoding="ascii")


class _Demo:
    def __init__(self, plan: Plan, data: Path, api_key: str) -> None:
        self._plan = plan
        self._data = data
        self._database = data / "ringback.db"
        self._api_key = api_key
        self._url = f"http://{HOST}:{plan.port}"
        self._stage = Stage(coloured=sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")))
        self._api = Api(self._url, api_key)
        self._stopped = asyncio.Event()
        self._children: list[Child] = []

    async def run(self) -> int:
        self._stop_on_signals()
        async with AsyncExitStack() as ending:
            ending.push_async_callback(self._leave_nobody_behind)
            await ending.enter_async_context(self._api)
            server, good, flaky = await asyncio.gather(
                self._start_server(),
                self._start_sink("good sink", []),
                self._start_sink("flaky sink", FLAKY_BEHAVIOUR),
            )
            business = await self._set_up(good, flaky)
            calls = await self._start_calls(business)
            await self._watch(business)
            return await self._take_down(calls, server, business)

    def _say(self, line: str) -> None:
        self._stage.say("demo", line)

    def _stop_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopped.set)

    # -- up

    async def _start_server(self) -> Child:
        arguments = ["serve", "--dev", "--host", HOST, "--port", str(self._plan.port)]
        arguments += ["--data", str(self._data), "--database", f"sqlite:///{self._database}"]
        environment = {"RINGBACK_API_KEY": self._api_key, "RINGBACK_LOG_LEVEL": "warning"}
        server = await self._start("server", arguments, environment)
        ready = asyncio.create_task(self._api.ready())
        over = asyncio.create_task(server.ended())
        await asyncio.wait([ready, over], timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (ready, over):
            waiting.cancel()
        if not ready.done() or not server.is_running:
            raise ConfigurationError("the server did not become ready; its lines above say why")
        return server

    async def _start_sink(self, name: str, behaviour: list[str]) -> Receiver:
        secret = generate_secret(secrets.token_bytes(GENERATED_BYTES))
        arguments = ["sink", "--port", "0", "--seed", str(self._plan.seed), *behaviour]
        sink = await self._start(name, arguments, {"WEBHOOK_SECRET": secret})
        url = await sink.said(r"listening on (\S+)", READY_SECONDS)
        return Receiver(name=name, url=url, secret=secret)

    async def _start_calls(self, business: int) -> Child:
        plan = self._plan
        arguments = ["simulate", "--url", self._url, "--business", str(business), "--seed", str(plan.seed)]
        arguments += ["--rate", str(plan.rate), "--compress", str(plan.compress)]
        calls = await self._start("calls", arguments, {"RINGBACK_API_KEY": self._api_key})
        await calls.said(r"(publishing)", READY_SECONDS)
        return calls

    async def _start(self, name: str, arguments: list[str], environment: dict[str, str]) -> Child:
        if self._stage.coloured:
            environment = {**environment, "FORCE_COLOR": "1"}
        child = await Child.start(name, arguments, environment, self._stage.say)
        self._children.append(child)
        return child

    async def _set_up(self, good: Receiver, flaky: Receiver) -> int:
        business = await self._api.create_business("Demo")
        integration = await self._api.create_integration(business, _integration(good, ["*"]))
        await self._api.create_integration(
            business, {**_integration(flaky, ["call.*"]), "RetrySchedule": list(FLAKY_SCHEDULE)}
        )
        self._say(f"the server is at {self._url}, its API at {self._url}/docs")
        self._say(f"API key {self._api_key}, business {business}, data in {self._data}")
        self._say("good sink takes every event; flaky sink takes call.* and fails 60 in 100 requests,")
        self._say(
            f"so it is tried again after {', '.join(map(str, FLAKY_SCHEDULE))} s, then the delivery is dead"
        )
        tested = await self._api.send_test(business, integration, TESTED_TYPE)
        self._say(_test_line(tested))
        self._say("here come the calls; Ctrl-C stops them and shows the sums")
        return business

    # -- while it runs

    async def _watch(self, business: int) -> None:
        """Show dead letters as they come, until a signal, the time is over, or a child is gone."""
        watching: list[asyncio.Task[Any]] = [
            asyncio.create_task(child.ended(), name=child.name) for child in self._children
        ]
        watching.append(asyncio.create_task(self._stopped.wait(), name="signal"))
        letters = asyncio.create_task(self._show_dead_letters(business), name="dead letters")
        done, _ = await asyncio.wait(
            watching, timeout=self._plan.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (*watching, letters):
            task.cancel()
        await asyncio.gather(*watching, letters, return_exceptions=True)
        if done and not self._stopped.is_set():
            self._say(f"{next(iter(done)).get_name()} ended by itself: taking the rest down")

    async def _show_dead_letters(self, business: int) -> None:
        shown: set[str] = set()
        while True:
            await asyncio.sleep(DEAD_LETTER_SECONDS)
            with suppress(Unavailable):
                for letter in reversed(await self._api.dead_letters(business)):
                    if letter["Id"] not in shown:
                        shown.add(letter["Id"])
                        self._say(_dead_line(letter))

    # -- down

    async def _take_down(self, calls: Child, server: Child, business: int) -> int:
        healthy = all(child.is_running for child in self._children)
        self._say("stopping the calls, then the server finishes what is in flight")
        await calls.stop(signal.SIGINT, CALLS_PATIENCE)
        await server.stop(signal.SIGTERM, SERVER_PATIENCE)
        await asyncio.gather(*(child.stop(signal.SIGTERM, SINK_PATIENCE) for child in self._children))
        sums = await count(self._database, business)
        self._show(sums)
        return 0 if healthy and sums.add_up else 1

    def _show(self, sums: Sums) -> None:
        for line in sums.lines():
            self._say(line)
        if not sums.add_up:
            self._say("the sums do not add up: this is a defect, please report it")

    async def _leave_nobody_behind(self) -> None:
        for child in self._children:
            child.kill()
        await asyncio.gather(*(child.ended() for child in self._children))


def _integration(receiver: Receiver, events: list[str]) -> dict[str, Any]:
    return {
        "Type": "webhook",
        "FriendlyName": receiver.name.capitalize(),
        "Fields": {"Url": receiver.url, "Events": events},
        "EncryptedFields": {"Secret": receiver.secret},
    }


def _test_line(tested: dict[str, Any]) -> str:
    attempt = tested["Attempt"]
    answer = attempt["Status"] or attempt["FailureClass"]
    return f"a test send of {TESTED_TYPE} to good sink: {answer} after {attempt['DurationMs']:.0f} ms"


def _dead_line(letter: dict[str, Any]) -> str:
    last = letter["LastStatus"] or letter["LastFailureClass"]
    return (
        f"dead letter: {letter['EventType']} {letter['EventId']} for {letter['IntegrationName']}"
        f" after {letter['AttemptCount']} attempts, the last one {last}"
    )
