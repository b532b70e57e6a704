"""How a server starts, drains and ends: what it says, its exit code, and what it leaves."""

from __future__ import annotations

import json
import re
import signal
import stat
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.outside import MASTER_KEY, PATIENCE, Business, answer_to, serving
from tests.e2e.processes import API_KEY, Server, ringback, stop, wait_until
from tests.zoo import Zoo

SECRET = "a-secret-that-is-sealed"


# ---------------------------------------------------------------- health and the end


def test_while_it_drains_it_is_not_ready_and_takes_nothing_and_then_it_is_done(
    tmp_path: Path, zoo: Zoo
) -> None:
    with serving(tmp_path / "server") as server:
        assert server.process is not None
        acme = Business(server)
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        acme.publish("evt_1")
        zoo.wait_for(1)
        server.process.send_signal(signal.SIGTERM)
        wait_until("it is draining", lambda: answer_to(server, "/health/ready")[0] == 503, PATIENCE)

        _, _, why = answer_to(server, "/health/ready")
        assert json.loads(why) == {"Status": "unready", "Reason": "draining"}
        assert answer_to(server, "/health/live")[0] == 200
        status, headers, body = answer_to(
            server, f"/api/v1/business/{acme.id}/events", b'{"EventType":"call.failed","Data":{}}'
        )
        assert (status, json.loads(body)["Code"]) == (503, "OVERLOADED")
        assert int(headers["retry-after"]) >= 1
        zoo.open_gate("slow")
        assert server.process.wait(PATIENCE) == 0
        server.start()
        assert [one["State"] for one in acme.deliveries()] == ["delivered"]
        assert len(zoo.received) == 1


def test_asked_twice_it_ends_at_once_and_the_next_start_sends_what_was_under_way(
    tmp_path: Path, zoo: Zoo
) -> None:
    with serving(tmp_path / "server") as server:
        assert server.process is not None
        acme = Business(server)
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        acme.publish("evt_1")
        zoo.wait_for(1)
        server.process.send_signal(signal.SIGINT)
        wait_until("it is draining", lambda: answer_to(server, "/health/ready")[0] == 503, PATIENCE)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 130
        zoo.open_gate("slow")
        server.start()
        acme.wait_for("delivered", 1)

        (delivery,) = acme.deliveries()
        assert delivery["AttemptCount"] == 1, "what was interrupted uses up none of the schedule"
        assert [one.headers["webhook-attempt"] for one in zoo.received] == ["1", "1"]


def ended(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """How `serve` ends where it cannot start: its exit code and what it said."""
    log = folder / "ended.log"
    log.unlink(missing_ok=True)
    given = {"RINGBACK_API_KEY": API_KEY, **environment}
    arguments = ["serve", "--dev", "--port", "0", "--data", str(folder / "data"), *options]
    return ringback(arguments, log, given).wait(PATIENCE), log.read_text()


def test_a_bad_master_key_is_a_configuration_error_that_does_not_repeat_it(tmp_path: Path) -> None:
    for key in ("not-base-64-at-all!", "dG9vIHNob3J0", f"{MASTER_KEY},dG9vIHNob3J0"):
        code, said = ended(tmp_path, RINGBACK_MASTER_KEY=key)
        assert code == 2
        assert "must be 32 bytes, written as base64" in said
        assert key not in said
        assert "Traceback" not in said


def test_a_key_file_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    key_file = tmp_path / "data" / "master.key"
    key_file.write_text(MASTER_KEY)
    key_file.chmod(0o644)

    code, said = ended(tmp_path)

    assert code == 2
    assert f"chmod 600 {key_file}" in said
    assert MASTER_KEY not in said


@pytest.mark.parametrize("content", [b"my notes " * 1_000, b"SQLite format 3\x00" + b"\xff" * 8_000])
def test_a_file_that_is_no_database_of_ours_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    database = tmp_path / "other.db"
    database.write_bytes(content)

    code, said = ended(tmp_path, "--database", f"sqlite:///{database}")

    assert code in (2, 4)
    assert "Traceback" not in said
    assert str(database) in said
    assert database.read_bytes() == content


def test_a_short_operator_key_is_refused_unrepeated(tmp_path: Path) -> None:
    code, said = ended(tmp_path, RINGBACK_API_KEY="much-too-short")

    assert code == 2
    assert "RINGBACK_API_KEY: must have 32 characters or more, has 14" in said
    assert "much-too-short" not in said


def test_what_a_later_version_brings_is_refused_by_name(tmp_path: Path) -> None:
    for options, name in (
        (("--role", "api"), "--role"),
        (("--database", "postgresql://localhost/ringback"), "--database"),
    ):
        code, said = ended(tmp_path, *options)
        assert code == 2
        assert name in said
    assert not (tmp_path / "data").exists()


# ---------------------------------------------------------------- the first start


def test_without_an_operator_key_one_is_made_and_shown_once(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    first, second = (start_bare(server, tmp_path / name) for name in ("first.log", "second.log"))

    (key,) = re.findall(r"shown this once: (rbk_\S+)", first)
    assert len(key) >= 32
    assert first.count(key) == 1
    assert "rbk_" not in second
    server.start()
    try:
        assert answer_to(server, "/api/v1/business", key=key)[0] == 200
        assert answer_to(server, "/api/v1/business")[0] == 401, "a key given later is not a first start's"
    finally:
        assert server.drain() == 0


def start_bare(server: Server, log: Path) -> str:
    """All that a start without an operator's key says until it has drained."""
    arguments = ["serve", "--dev", "--port", str(server.port), "--data", str(server.folder)]
    process = ringback(arguments, log)
    try:
        wait_until("the server is ready", server.is_ready, PATIENCE)
    finally:
        assert stop(process) == 0
    return log.read_text()


def test_the_key_given_on_a_first_start_is_the_operators(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        (key,) = server.call("GET", "/api/v1/keys")["Items"]

        assert key["Scopes"] == ["operator"]
        assert API_KEY not in json.dumps(key)
        assert API_KEY not in server.log.read_text()


def test_the_key_file_is_for_its_owner_alone_and_is_used_again(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        acme = Business(server)
        acme.subscribe(zoo.url("ok"), EncryptedFields={"Secret": SECRET})
        key_file = server.folder / "master.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert SECRET.encode() not in (server.folder / "ringback.db").read_bytes()
        assert server.drain() == 0
        server.start()
        acme.publish("evt_1")
        acme.wait_for("delivered", 1)

    (request,) = zoo.received
    assert request.headers["x-iqra-signature"]


def test_the_port_0_takes_a_free_one_and_says_which(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    arguments = ["serve", "--dev", "--port", "0", "--data", str(tmp_path / "data")]
    process = ringback(arguments, log, {"RINGBACK_API_KEY": API_KEY})
    try:
        wait_until("it says its address", lambda: '"address":' in log.read_text().replace(" ", ""), PATIENCE)
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        ready = next(line for line in lines if line["msg"] == "ready")
        with urllib.request.urlopen(f"{ready['address']}/health/ready", timeout=PATIENCE) as answer:
            assert answer.status == 200
    finally:
        assert stop(process) == 0


# ---------------------------------------------------------------- what must not be served


def test_a_server_does_not_start_with_a_key_that_opens_nothing(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "data") as server:
        Business(server).subscribe(zoo.url("ok"), EncryptedFields={"Secret": SECRET})
        server.drain()
    key_file = tmp_path / "data" / "master.key"

    code, said = ended(tmp_path, RINGBACK_MASTER_KEY=MASTER_KEY)
    assert code == 2
    assert "sealed with a master key that is not in the key ring" in said

    key_file.unlink()
    code, said = ended(tmp_path)
    assert code == 2
    assert "bring back the key" in said
    assert not key_file.exists()


def test_a_data_directory_that_cannot_be_made_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    code, said = ended(tmp_path)
    assert code == 2
    assert "cannot be made" in said
    assert "Traceback" not in said


def test_nobody_else_can_read_what_is_stored(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        Business(server).publish("evt_1")
        files = [one for one in (tmp_path / "data").iterdir() if one.is_file()]
        assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_key_that_is_not_taken_on_a_later_start_is_said_so(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        server.drain()
        server.start(RINGBACK_API_KEY="another-key-of-32-characters-or-more")
        assert "only taken on a first start" in server.log.read_text()
