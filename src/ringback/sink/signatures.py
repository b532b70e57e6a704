"""Whether a delivery is to be trusted, as a receiver must ask it."""

from __future__ import annotations

import hmac
import re

from ringback.signing import SigningKey, standard_signature

TOLERANCE_SECONDS = 300
_UNIX_SECONDS = re.compile(r"[0-9]{1,15}")


def problem_with_signatures(key: SigningKey, headers: dict[str, str], body: bytes, now: float) -> str | None:
    """Why a delivery is not to be trusted; None where both signatures and the time are right."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _UNIX_SECONDS.fullmatch(timestamp):
        return "no webhook-timestamp"
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return "stale webhook-timestamp"
    expected = standard_signature([key], webhook_id, int(timestamp), body)
    given = headers.get("webhook-signature", "").split(" ")
    if not any(_equal(expected, one) for one in given):
        return "wrong webhook-signature"
    if not _equal(key.iqra_hex(body), headers.get("x-iqra-signature", "")):
        return "wrong X-Iqra-Signature"
    return None


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
