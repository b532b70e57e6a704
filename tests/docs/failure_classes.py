"""Writes docs/reference/failure-classes.md from the table in the code:

python -m tests.docs.failure_classes
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from ringback.failures import FAILURES, FailureClass, FailureKind
from ringback.words import sentence

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "failure-classes.md"

WIDTH = 118

_C = FailureClass
_HEAD = """\
# Failure classes

A failed attempt has exactly one class. Transport comes first (there was no usable answer), then
redirects, then the status. `LastFailureClass` of a delivery and `FailureClass` of an attempt name it.
The `Explanation` of a delivery and of a test send puts it in words: what was seen, the likely cause and
what to do, as below, or more exactly where the answer gives more away (a firewall's block page, a
login, a secret that was changed within two days).

Retried means: again by the integration's schedule, until its last attempt. What counts against health
is what opens the circuit of an endpoint of the `standard` profile.
"""
_TABLE_HEAD = """
| class | what happened | retried | counts against health |
|---|---|---|---|
"""
_TAIL = """
What to do about them in general: [handle failures](../how-to/handle-failures.md).
"""

# What the templates are filled in with, so that the page shows evidence as people read it.
_EXAMPLES: dict[str, str] = {
    "often": ", 3 times",
    "seen": ", 3 times, the last time at 15:02:07 UTC",
    "seconds": "5.0",
    "phases": "look-up 4 ms, connect 38 ms, TLS 61 ms, first byte: none",
    "missing": "No answer",
    "host": "hooks.acme.com",
    "address": " (203.0.113.7:443)",
    "took": "1.3 s",
    "target": "to https://www.acme.com/hooks",
    "allowed": "; it allows GET, HEAD",
    "codes": "200",
    "retry_after": " with Retry-After 120: the next attempt waits that long (2 m)",
}
_DETAILS: dict[FailureClass, str] = {
    _C.DNS_NOT_FOUND: "hooks.acme.com has no address in DNS",
    _C.DNS_TIMEOUT: "no answer from DNS for hooks.acme.com within 5.0 s",
    _C.BLOCKED_PRIVATE_ADDRESS: "10.0.0.1 is not a public address",
    _C.CONNECT_REFUSED: "Connection refused (203.0.113.7:443)",
    _C.CONNECTION_RESET: "the connection was cut before an answer: Connection reset by peer",
    _C.TLS_EXPIRED: "the certificate of hooks.acme.com expired on 3 May 2026 (2 days before this attempt)",
    _C.TLS_UNTRUSTED: "the certificate of hooks.acme.com is self-signed",
    _C.TLS_NAME_MISMATCH: "the certificate of hooks.acme.com is for www.acme.com, not for hooks.acme.com",
    _C.TLS_PROTOCOL: "wrong version number",
    _C.PROXY_ERROR: "the proxy refused the connection",
    _C.RESPONSE_TRUNCATED: "it answered 200, but the answer ended after 50 bytes of its body",
    _C.TOO_LARGE: "the answer's headers are over 64 KiB",
    _C.SENDER_ERROR: "stopped during the attempt",
}
_STATUSES: dict[FailureClass, int] = {
    _C.REDIRECT_REFUSED: 301,
    _C.UNAUTHORIZED_401_403: 401,
    _C.REJECTED_4XX: 422,
    _C.SUCCESS_NOT_200: 204,
}


def page() -> str:
    rows = "".join(_row(failure, kind) for failure, kind in FAILURES.items())
    sections = "".join(_section(failure, kind) for failure, kind in FAILURES.items())
    return _HEAD + _TABLE_HEAD + rows + sections + _TAIL


def _row(failure: FailureClass, kind: FailureKind) -> str:
    retried, counts = ("yes" if holds else "no" for holds in (kind.retried, kind.counts_against_health))
    return f"| [`{failure}`](#{failure}) | {kind.title} | {retried} | {counts} |\n"


def _section(failure: FailureClass, kind: FailureKind) -> str:
    return f"""
## {failure}

> {_evidence(failure, kind)}

{fill(f"{kind.cause}.", WIDTH)}

{fill(f"**Do:** {kind.fix[:1].lower()}{kind.fix[1:]}.", WIDTH)}
"""


def _evidence(failure: FailureClass, kind: FailureKind) -> str:
    digits = "".join(one for one in failure if one.isdigit())
    status = _STATUSES.get(failure, digits)
    return sentence(
        kind.evidence.format_map({**_EXAMPLES, "detail": _DETAILS.get(failure, ""), "status": status})
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
