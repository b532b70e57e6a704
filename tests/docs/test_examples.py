"""The examples in the documentation work as they are printed."""

from __future__ import annotations

import json
import re
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback import config
from ringback.envelope import WIRES, body_of, headers_of
from ringback.model import BodyFormat, Message
from ringback.signing import SigningKey, standard_secret

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
NOW = 1_795_000_000_000
MESSAGE = Message(
    event_id="evt_1", event_type="call.started", business_id=7, timestamp=NOW, data='{"Ä":"🙂"}'.encode()
)


def example(page: str, file_name: str) -> str:
    """The code block that begins with a comment of that name."""
    blocks: list[str] = [code for _, code in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]
    return next(code for code in blocks if code.partition("\n")[0].endswith(f" {file_name}"))


def run(page: str, file_name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example(page, file_name), file_name, "exec", dont_inherit=True), names)
    return names


def delivery(now: int) -> tuple[bytes, dict[str, str]]:
    body = body_of(MESSAGE)
    return body, dict(headers_of(MESSAGE, body, [SigningKey(SECRET)], 1, now, "ringback/1"))


@pytest.fixture
def fastapi_receiver(monkeypatch: pytest.MonkeyPatch) -> httpx.AsyncClient:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    app = run("how-to/receive-and-verify.md", "fastapi_receiver.py")["app"]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


@pytest.fixture
def signed_now() -> tuple[bytes, dict[str, str]]:
    return delivery(int(time.time() * 1000))


async def test_the_fastapi_receiver_accepts_what_is_signed(
    fastapi_receiver: httpx.AsyncClient, signed_now: tuple[bytes, dict[str, str]]
) -> None:
    body, headers = signed_now

    answer = await fastapi_receiver.post("/hooks", content=body, headers=headers)

    assert answer.status_code == 200


async def test_the_fastapi_receiver_refuses_what_was_changed(
    fastapi_receiver: httpx.AsyncClient, signed_now: tuple[bytes, dict[str, str]]
) -> None:
    body, headers = signed_now

    answer = await fastapi_receiver.post("/hooks", content=body + b" ", headers=headers)

    assert answer.status_code == 401


async def test_the_fastapi_receiver_refuses_what_is_old(fastapi_receiver: httpx.AsyncClient) -> None:
    body, headers = delivery(NOW - 365 * 86_400_000)

    answer = await fastapi_receiver.post("/hooks", content=body, headers=headers)

    assert answer.status_code == 401


async def test_the_cloudevents_receiver_reads_what_is_signed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    app = run("how-to/receive-and-verify.md", "cloudevents_receiver.py")["app"]
    wire, now = WIRES[BodyFormat.CLOUDEVENTS], int(time.time() * 1000)
    body = wire.body_of(MESSAGE)
    key, form = SigningKey(SECRET), wire.content_type
    headers = dict(headers_of(MESSAGE, body, [key], 1, now, "ringback/1", content_type=form))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answers = [await client.post("/hooks", content=sent, headers=headers) for sent in (body, body + b" ")]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert capsys.readouterr().out == "call.started evt_1 7\n"


def test_every_python_example_is_python() -> None:
    for page in DOCS.rglob("*.md"):
        for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "python":
                compile(code, str(page), "exec")


def test_the_iqra_signature_is_verified_by_hand_in_python() -> None:
    verify = run("how-to/receive-and-verify.md", "iqra_signature.py")["is_from_ringback"]
    body, headers = delivery(NOW)

    assert verify(SECRET, body, headers["X-Iqra-Signature"])
    assert not verify(SECRET, body + b" ", headers["X-Iqra-Signature"])


def test_the_iqra_signature_is_verified_by_hand_in_node(tmp_path: Path) -> None:
    (tmp_path / "iqra.mjs").write_text(example("how-to/receive-and-verify.md", "iqra_signature.mjs"))
    body, headers = delivery(NOW)
    given = [SECRET, body.decode(), headers["X-Iqra-Signature"]]
    calls = f"const [s, b, x] = {json.dumps(given)};" + (
        "console.log(isFromRingback(s, b, x), isFromRingback(s, b + ' ', x), isFromRingback(s, b, 'zz'))"
    )
    (tmp_path / "run.mjs").write_text(f'import {{ isFromRingback }} from "./iqra.mjs";\n{calls}\n')

    printed = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert printed.stdout.split() == ["true", "false", "false"]


@pytest.mark.parametrize("secret", ["an own secret", "schlüssel-🙂"])
def test_the_standard_form_of_an_own_secret_is_ours(secret: str) -> None:
    convert = run("how-to/receive-and-verify.md", "standard_secret.py")["standard_secret"]

    assert convert(secret) == standard_secret(secret)


def test_the_settings_example_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "ringback.toml"
    file.write_text(example("reference/settings.md", "ringback.toml"))

    settings = config.load({}, {}, file)

    assert settings.model_dump(include=set(tomllib.loads(file.read_text()))) == {
        "host": "0.0.0.0",
        "database": "sqlite:////var/lib/ringback/ringback.db",
        "data": Path("/var/lib/ringback"),
        "window": 2000,
        "log_format": "json",
    }
