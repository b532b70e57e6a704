"""What an operator sees of a running server from outside: its lines and its numbers."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ringback.failures import FailureClass
from tests.e2e.outside import MASTER_KEY, PATIENCE, PAYLOAD, Business, answer_to, post, serving
from tests.e2e.processes import API_KEY, Server, wait_until
from tests.zoo import Zoo

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM="
CUSTOM_VALUE = "custom-header-value-to-be-kept"


# ---------------------------------------------------------------- lines


def lines_of(server: Server) -> list[Any]:
    """Every line must be JSON, but the one that a start without people prints for people."""
    lines = server.log.read_text().splitlines()
    return [json.loads(line) for line in lines if not line.startswith("Nobody has an account yet.")]


def test_every_event_and_every_attempt_is_one_json_line_with_its_facts(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        acme = Business(server)
        good = acme.subscribe(zoo.url("ok"))
        bad = acme.subscribe(zoo.script("flaky", 503, 200), RetrySchedule=[1])
        acme.publish("evt_1")
        acme.wait_for("delivered", 2)
        acme.publish("evt_1")
        names = {one["IntegrationId"]: one["Id"] for one in acme.deliveries()}
        assert server.drain() == 0
        lines = lines_of(server)

    events = [line for line in lines if line["msg"] == "event"]
    attempts = [line for line in lines if line["msg"] == "attempt"]
    assert [line.get("duplicate", False) for line in events] == [False, True]
    check_event_line(events[0], acme.id)
    assert [attempt_facts(line) for line in attempts if line["integration"] == good] == [
        (names[good], 1, "delivered", 200, None, False)
    ]
    assert [attempt_facts(line) for line in attempts if line["integration"] == bad] == [
        (names[bad], 1, "retrying", 503, FailureClass.UNAVAILABLE_503, True),
        (names[bad], 2, "delivered", 200, None, False),
    ]
    for line in attempts:
        assert (line["event"], line["type"], line["business"]) == ("evt_1", "call.failed", acme.id)
        assert line["address"] == f"127.0.0.1:{zoo.port}"
        assert 0 < line["ms"] < PATIENCE * 1_000
        assert line["timings"]["total_ms"] >= line["timings"]["first_byte_ms"]
    assert {"ready", "draining", "drained"} <= {line["msg"] for line in lines}


def check_event_line(line: Any, business_id: int) -> None:
    data = json.dumps({"Message": PAYLOAD})
    assert (line["event"], line["type"], line["business"]) == ("evt_1", "call.failed", business_id)
    assert (line["bytes"], line["deliveries"]) == (len(data), 2)
    assert line["commit_ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert "QueueId is missing" in line["schema_errors"], "that its payload breaks the schema is a fact too"


def attempt_facts(line: Any) -> tuple[Any, ...]:
    return (
        line["delivery"],
        line["attempt"],
        line["state"],
        line["status"],
        line.get("failure"),
        "due_at" in line,
    )


def test_no_line_has_a_key_a_secret_a_signature_or_a_payload(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server", RINGBACK_LOG_LEVEL="debug", RINGBACK_MASTER_KEY=MASTER_KEY) as server:
        acme = Business(server)
        fields = {"EncryptedFields": {"Secret": SECRET}, "Headers": {"X-Team": CUSTOM_VALUE}}
        for path in ("ok", "reset", "half", "status/500"):
            acme.subscribe(zoo.url(path), **fields)
        key = server.call("POST", "/api/v1/keys", {"FriendlyName": "k", "Scopes": ["publish"]})["Key"]
        for number in range(3):
            acme.publish(f"evt_{number}")
        refused = post(
            server, acme.id, b'{"EventType":"call.failed","Data":{"Message":"%b}' % PAYLOAD.encode()
        )
        refused_key = post(server, acme.id, b"{}", key="wrong-key-wrong-key-wrong-key-wrong-key")
        acme.wait_for("delivered", 3)
        wait_until("every attempt made", lambda: len(attempt_lines(server)) >= 12, PATIENCE)
        assert server.drain() == 0
        log = server.log.read_text()

    assert (refused, refused_key) == (400, 401)
    signatures = {
        part
        for request in zoo.received
        for name in ("webhook-signature", "x-iqra-signature")
        for part in request.headers[name].removeprefix("v1,").split()
    }
    assert len(signatures) > 1
    kept = {API_KEY, key, SECRET, SECRET.removeprefix("whsec_"), CUSTOM_VALUE, PAYLOAD, MASTER_KEY}
    kept |= {"wrong-key", "PRIVATE", *signatures}
    assert [one for one in kept if one in log] == []
    assert "evt_2" in log


def attempt_lines(server: Server) -> list[str]:
    return re.findall(r'"msg":"attempt"', server.log.read_text())


def test_on_a_terminal_the_lines_are_for_people(tmp_path: Path, zoo: Zoo) -> None:
    terminal, other_end = pty.openpty()
    server = Server(tmp_path / "server")
    environment = {**os.environ, "RINGBACK_API_KEY": API_KEY}
    arguments = ["serve", "--dev", "--port", str(server.port), "--data", str(server.folder)]
    process = _on_terminal(arguments, other_end, environment)
    try:
        wait_until("the server is ready", server.is_ready, PATIENCE)
        acme = Business(server)
        integration = acme.subscribe(zoo.script("once-bad", 500, 200), RetrySchedule=[1])
        acme.publish("evt_1")
        acme.wait_for("delivered", 1)
        process.send_signal(signal.SIGINT)
        shown = read_to_the_end(terminal)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

    lines = [line for line in shown.splitlines() if "evt_1" in line]
    accepted, failed, delivered = lines
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} accepted +call\.failed +evt_1 → 1 deliveries", accepted)
    assert re.search(
        rf"retrying +call\.failed +evt_1 → {integration} attempt 1: server_500 in \d+ ms", failed
    )
    assert re.search(r"next at \d\d:\d\d:\d\d$", failed)
    assert re.search(rf"delivered +call\.failed +evt_1 → {integration} attempt 2: 200 in \d+ ms$", delivered)
    assert PAYLOAD not in shown
    assert API_KEY not in shown


def _on_terminal(arguments: list[str], other_end: int, environment: dict[str, str]) -> Any:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "ringback", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=other_end,
            stderr=other_end,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(other_end)


def read_to_the_end(terminal: int) -> str:
    """What was shown until the last process let go of the terminal."""
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65_536):
            shown += part
    return shown.decode()


# ---------------------------------------------------------------- numbers


def samples(server: Server) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    _, headers, body = answer_to(server, "/metrics")
    assert headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_the_numbers_add_up_with_what_was_published_and_delivered(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        acme = Business(server)
        acme.subscribe(zoo.url("ok"))
        acme.subscribe(zoo.url("status/404"), RetrySchedule=[])
        paused = acme.subscribe(zoo.url("ok"))
        server.call("POST", f"/api/v1/business/{acme.id}/integrations/{paused}/pause")
        for number in range(10):
            acme.publish(f"evt_{number}", "call.failed" if number < 7 else "call.completed")
        acme.publish("evt_0")
        assert [post(server, acme.id, body) for body in (b"{", b"{}", b"[]")] == [400, 422, 422]
        acme.wait_for("delivered", 10)
        acme.wait_for("dead", 10)
        wait_until("the results are counted", lambda: counted(server) == 20, PATIENCE)
        wait_until("the depth is measured", lambda: value(samples(server), "ringback_held") == 10, PATIENCE)
        found = samples(server)

    assert value(found, "ringback_events_accepted_total", type="call.failed") == 7
    assert value(found, "ringback_events_accepted_total", type="call.completed") == 3
    assert value(found, "ringback_events_duplicate_total") == 1
    assert value(found, "ringback_publishes_refused_total", status="400") == 1
    assert value(found, "ringback_publishes_refused_total", status="422") == 2
    assert value(found, "ringback_attempts_total", **{"state": "delivered", "class": ""}) == 10
    assert value(found, "ringback_attempts_total", **{"state": "dead", "class": "not_found_404"}) == 10
    assert value(found, "ringback_attempt_seconds_count") == 20
    assert value(found, "ringback_end_to_end_seconds_count") == 10
    assert value(found, "ringback_commit_seconds_count") == 11
    assert value(found, "ringback_record_batch_results_sum") == 20
    assert value(found, "ringback_results_unrecorded_total") == 0
    for nothing in ("in_flight", "window_in_use", "ingest_queue_events", "queued", "retrying", "sending"):
        assert value(found, f"ringback_{nothing}") == 0, nothing
    assert not [name for name, labels in found if "Acme" in str(labels)], "no business data without a key"


def counted(server: Server) -> float:
    return sum(number for (name, _), number in samples(server).items() if name == "ringback_attempts_total")


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]
