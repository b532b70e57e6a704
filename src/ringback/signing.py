"""Both signatures of a delivery, and the rules for secrets.

`X-Iqra-Signature` is the hex HMAC-SHA256 of the body under the whole secret string.
`webhook-signature` follows Standard Webhooks: the HMAC of "id.timestamp.body", one per key.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence

PREFIX = "whsec_"
GENERATED_BYTES = 32
MIN_OWN, MAX_OWN = 8, 256
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64


class SigningKey:
    """One secret, ready for use: an HMAC for each scheme, keyed once and copied for every signature."""

    __slots__ = ("_iqra", "_standard")

    def __init__(self, secret: str) -> None:
        self._iqra = hmac.new(secret.encode(), digestmod="sha256")
        self._standard = hmac.new(_standard_bytes(secret), digestmod="sha256")

    def iqra_hex(self, body: bytes) -> str:
        mac = self._iqra.copy()
        mac.update(body)
        return mac.hexdigest()

    def standard_base64(self, signed: bytes) -> str:
        mac = self._standard.copy()
        mac.update(signed)
        return b64encode(mac.digest()).decode()


def generate_secret(randomness: bytes) -> str:
    return PREFIX + b64encode(randomness).decode()


def problem_with_secret(secret: str) -> str | None:
    """Why a customer's own secret is refused; None where it is fine."""
    if not MIN_OWN <= len(secret) <= MAX_OWN:
        return f"must have {MIN_OWN} to {MAX_OWN} characters"
    if not secret.isprintable():
        return "must have printable characters only"
    if not secret.startswith(PREFIX):
        return None
    key = _decode(secret.removeprefix(PREFIX))
    if key is None:
        return f"must be valid base64 after {PREFIX}"
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        return f"must hold {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes after {PREFIX}"
    return None


def standard_secret(secret: str) -> str:
    """The form that Standard Webhooks libraries take."""
    return secret if secret.startswith(PREFIX) else PREFIX + b64encode(secret.encode()).decode()


def standard_signature(keys: Sequence[SigningKey], webhook_id: str, timestamp: int, body: bytes) -> str:
    signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    return " ".join([f"v1,{key.standard_base64(signed)}" for key in keys])


def _standard_bytes(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        key = _decode(secret.removeprefix(PREFIX))
        if key is not None:
            return key
    return secret.encode()


def _decode(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
