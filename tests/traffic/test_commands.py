"""The commands as a user types them: what they say, and how they end."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.traffic.intake import Intake
from tests.traffic.processes import Command, children_of, gone
from tests.traffic.test_sink import BODY, SECRET, signed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---------------------------------------------------------------- sink


async def test_a_sink_shows_each_delivery_and_sums_up(tmp_path: Path) -> None:
    ledger = tmp_path / "received"
    arguments = ["sink", "--port", "0", "--status", "503", "--first", "1", "--ledger", str(ledger)]
    async with (
        Command(*arguments, WEBHOOK_SECRET=SECRET) as sink,
        httpx.AsyncClient(trust_env=False) as sender,
    ):
        url = (await sink.says(r"listening on (\S+)"))[1]
        await sender.post(url, content=BODY, headers=signed(attempt=1))
        await sink.says(r"call\.completed +evt_1 attempt 1 ✓ 503$")
        await sender.post(url, content=BODY, headers=signed(attempt=2))
        await sink.says(r"call\.completed +evt_1 attempt 2 ✓ 200 again")
        await sender.post(url, content=BODY)
        await sink.says(r"✗ 401")
        sink.send(signal.SIGTERM)
        assert await sink.ends() == 0
    assert "received 3 (events 1, repeated 1)" in sink.output
    assert "answered well 1 · failed on purpose 1 · bad signatures 1" in sink.output
    assert ledger.read_text() == "evt_1 1 503\nevt_1 2 200\n"
    assert SECRET not in sink.output


async def test_a_sink_takes_two_secrets_while_one_is_rotated() -> None:
    arguments = ["--secret", "the new one of them", "--secret", SECRET]
    async with Command("sink", "--port", "0", *arguments) as sink, httpx.AsyncClient() as sender:
        url = (await sink.says(r"listening on (\S+)"))[1]
        assert (await sender.post(url, content=BODY, headers=signed())).status_code == 200


async def test_a_secret_of_the_environment_is_one_with_its_spaces() -> None:
    secret = f"{SECRET[:8]} with spaces"
    async with Command("sink", "--port", "0", WEBHOOK_SECRET=secret) as sink:
        assert await sink.ends() == 2
    assert "valid base64" in sink.output
    async with Command("sink", "--port", "0", WEBHOOK_SECRET="one with spaces") as sink:
        await sink.says("listening on")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--delay", "soon"], ["--retry-after", "5"], ["--status", "99"], ["--fail-rate", "101"]),
        *(["--secret", "short"], ["--secret", ""], ["--secret", "whsec_no-base64"]),
    ],
)
async def test_a_sink_told_nonsense_says_so(arguments: list[str]) -> None:
    async with Command("sink", "--port", "0", *arguments) as sink:
        assert await sink.ends() == 2
    assert arguments[0] in sink.output


# ---------------------------------------------------------------- simulate


def simulation(url: str, *more: str) -> Command:
    arguments = ["--business", "3", "--seed", "7", "--compress", "10000", "--rate", "500"]
    return Command("simulate", *arguments, *more, RINGBACK_URL=url, RINGBACK_API_KEY="k" * 32)


async def test_a_simulation_ends_with_its_calls_and_a_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "acknowledged"
    async with Intake() as intake, simulation(intake.url, "--calls", "5", "--ledger", str(ledger)) as command:
        assert await command.ends() == 0
    acknowledged = ledger.read_text().split()
    assert sorted(acknowledged) == sorted(event["EventId"] for event in intake.events)
    assert f"acknowledged {len(acknowledged)} " in command.output
    assert intake.paths == {"/api/v1/business/3/events"}


def _refuse(_: int, __: list[dict[str, Any]]) -> tuple[int, Any]:
    return 422, {"Code": "VALIDATION_FAILED"}


async def test_refused_events_are_a_failure() -> None:
    async with Intake(_refuse) as intake, simulation(intake.url, "--calls", "1") as command:
        assert await command.ends() == 1
    assert "VALIDATION_FAILED" in command.output


async def test_a_wrong_key_is_not_authorised() -> None:
    async with Intake(lambda _, __: (401, {})) as intake, simulation(intake.url) as command:
        assert await command.ends() == 3
    assert "k" * 32 not in command.output


async def test_an_endless_simulation_ends_well_on_a_signal() -> None:
    async with Intake() as intake, simulation(intake.url) as command:
        await command.says("publishing")
        await intake.published.wait()
        command.send(signal.SIGINT)
        assert await command.ends() == 0
    assert "unanswered 0" in command.output


# ---------------------------------------------------------------- demo


def demo(port: int, *more: str) -> Command:
    return Command("demo", "--port", str(port), "--rate", "20", *more)


async def test_the_demo_shows_everything_and_its_sums_add_up() -> None:
    async with demo(free_port()) as show:
        folder = Path((await show.says(r"data in (\S+)"))[1])
        await show.says(r"test send of call\.completed to good sink: 200")
        await show.says(r"good sink .*call\.completed .*✓ 200")
        await show.says(r"flaky sink .*attempt 2 ✓")
        await show.says(r"dead letter: call\.\w+ evt_\w+ for Flaky sink after 4 attempts")
        children = children_of(show.pid)
        show.send(signal.SIGINT)
        assert await show.ends() == 0
    sums = _sums(show.output)
    assert sums["events"] == sums["acknowledged"]
    assert sums["deliveries"] == sum(
        sums[state] for state in ("delivered", "retrying", "queued", "held", "dead", "cancelled")
    )
    assert sums["dead"] > 0
    assert "test sends       1," in show.output
    assert not folder.exists()
    for child in children:
        await gone(child)


def _sums(output: str) -> dict[str, int]:
    found = {
        "events": re.search(r"events accepted +([\d,]+)", output),
        "acknowledged": re.search(r"acknowledged ([\d,]+)", output),
        "deliveries": re.search(r"deliveries +([\d,]+) =", output),
    }
    sums = {name: int(match[1].replace(",", "")) for name, match in found.items() if match}
    parts = re.search(r"deliveries +[\d,]+ = (.*)", output)
    assert parts is not None
    for part in parts[1].split(" + "):
        number, state = part.split()
        sums[state] = int(number.replace(",", ""))
    return sums


async def test_a_demo_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    async with demo(free_port(), "--data", str(tmp_path)) as show:
        await show.says("good sink .*call.started")
        children = children_of(show.pid)
        show.send(signal.SIGKILL)
        for child in children:
            await gone(child)
    assert len(children) == 4


async def test_a_demo_may_go_on_from_its_data(tmp_path: Path) -> None:
    for _ in range(2):
        async with demo(free_port(), "--data", str(tmp_path), "--seconds", "0.5") as show:
            assert await show.ends() == 0
        sums = _sums(show.output)
        assert sums["events"] == sums["acknowledged"]


async def test_a_demo_on_a_taken_port_says_so_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with demo(port) as show:
            assert await show.ends() == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in show.output
    assert "--port" in show.output
