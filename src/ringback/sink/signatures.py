"""Whether a delivery is to be trusted, as a receiver must ask it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from ringback.signing import SigningKey, standard_signature

TOLERANCE_SECONDS = 300
_UNIX_SECONDS = re.compile(r"[0-9]{1,15}")


def problem_with_signatures(
    keys: Sequence[SigningKey], headers: dict[str, str], body: bytes, now: float
) -> str | None:
    """Why a delivery is not to be trusted; None where both signatures and the time are right.

    During a rotation the two headers may be signed with different keys: each has to fit one of them.
    """
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _UNIX_SECONDS.fullmatch(timestamp):
        return "no webhook-timestamp"
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return "stale webhook-timestamp"
    expected = standard_signature(keys, webhook_id, int(timestamp), body).split(" ")
    if not _any_equal(expected, headers.get("webhook-signature", "").split(" ")):
        return "wrong webhook-signature"
    if not _any_equal([key.iqra_hex(body) for key in keys], [headers.get("x-iqra-signature", "")]):
        return "wrong X-Iqra-Signature"
    return None


def _any_equal(expected: Sequence[str], given: Sequence[str]) -> bool:
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given)
