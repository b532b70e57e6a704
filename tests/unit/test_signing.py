"""Signatures as receivers check them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from ringback.envelope import headers_of
from ringback.model import Message
from ringback.signing import (
    SigningKey,
    generate_secret,
    problem_with_secret,
    standard_secret,
    standard_signature,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "signatures.json").read_text()
)
printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=8, max_size=256)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    keys = [SigningKey(secret) for secret in (vector["secret"], vector["previous_secret"]) if secret]
    message = Message(
        event_id=vector["webhook_id"], event_type="call.completed", business_id=123, timestamp=0, data=b"{}"
    )
    now = vector["webhook_timestamp"] * 1000 + 999

    headers = headers_of(message, vector["body"].encode(), keys, 1, now, "ringback/test")

    assert vector["headers"].items() <= dict(headers).items()


def test_every_vector_is_there() -> None:
    assert {bool(vector["previous_secret"]) for vector in VECTORS} == {False, True}


@given(printable, st.binary(max_size=200))
def test_the_whole_secret_is_the_iqra_key(secret: str, body: bytes) -> None:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    assert SigningKey(secret).iqra_hex(body) == expected


@given(st.binary(min_size=24, max_size=64), st.text(max_size=100))
def test_the_published_library_agrees(key: bytes, text: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()

    signature = standard_signature([SigningKey(secret)], "evt_1", 1_795_435_200, text.encode())

    assert (
        signature
        == "v1,"
        + base64.b64encode(
            hmac.new(key, b"evt_1.1795435200." + text.encode(), hashlib.sha256).digest()
        ).decode()
    )


@given(printable.filter(lambda secret: not secret.startswith("whsec_")))
def test_the_standard_form_of_an_own_secret_verifies_the_same(secret: str) -> None:
    assert standard_signature([SigningKey(standard_secret(secret))], "a", 1, b"{}") == standard_signature(
        [SigningKey(secret)], "a", 1, b"{}"
    )
    assert Webhook(standard_secret(secret)) is not None


def test_a_key_signs_any_number_of_bodies() -> None:
    key = SigningKey("my-own-secret")

    assert key.iqra_hex(b"one") == SigningKey("my-own-secret").iqra_hex(b"one")
    assert key.iqra_hex(b"two") != key.iqra_hex(b"one")


@given(st.binary(min_size=32, max_size=32))
def test_generated_secrets_are_fine(randomness: bytes) -> None:
    secret = generate_secret(randomness)

    assert secret == "whsec_" + base64.b64encode(randomness).decode()
    assert problem_with_secret(secret) is None
    assert standard_secret(secret) == secret


@pytest.mark.parametrize("secret", ["12345678", "x" * 256, "gehëim-😀-sleutel", "with space", "whsec-plain"])
def test_own_secrets(secret: str) -> None:
    assert problem_with_secret(secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "1234567",
        "x" * 257,
        "tab\tinside",
        "line\nbreak",
        "nul\0inside",
        "lone\ud800surrogate",
        "whsec_",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_" + base64.b64encode(b"x" * 32).decode().rstrip("="),
    ],
)
def test_secrets_that_are_refused(secret: str) -> None:
    assert (problem_with_secret(secret) or "").startswith("must ")


def test_a_key_shows_nothing_of_itself() -> None:
    assert "hunter2-hunter2" not in repr(SigningKey("hunter2-hunter2"))
