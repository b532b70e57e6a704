"""The one table of what can go wrong with an attempt, and the rule that picks exactly one class.

Transport comes first (there was no usable answer), then redirects, then the status.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

# How the evidence of a certificate that is not trusted begins to say why.
NOT_YET_VALID, SELF_SIGNED = "is not valid before", "is self-signed"


class FailureClass(StrEnum):
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TIMEOUT = "dns_timeout"
    BLOCKED_PRIVATE_ADDRESS = "blocked_private_address"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECTION_RESET = "connection_reset"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_NAME_MISMATCH = "tls_name_mismatch"
    TLS_PROTOCOL = "tls_protocol"
    PROXY_ERROR = "proxy_error"
    RESPONSE_TIMEOUT = "response_timeout"
    RESPONSE_TRUNCATED = "response_truncated"
    TOO_LARGE = "too_large"
    REDIRECT_REFUSED = "redirect_refused"
    UNAUTHORIZED_401_403 = "unauthorized_401_403"
    NOT_FOUND_404 = "not_found_404"
    METHOD_405 = "method_405"
    CONFLICT_409 = "conflict_409"
    GONE_410 = "gone_410"
    PAYLOAD_413 = "payload_413"
    MEDIA_415 = "media_415"
    REJECTED_4XX = "rejected_4xx"
    RATE_LIMITED_429 = "rate_limited_429"
    SERVER_500 = "server_500"
    BAD_GATEWAY_502 = "bad_gateway_502"
    UNAVAILABLE_503 = "unavailable_503"
    GATEWAY_TIMEOUT_504 = "gateway_timeout_504"
    SUCCESS_NOT_200 = "success_not_200"
    SENDER_ERROR = "sender_error"


@dataclass(frozen=True, slots=True)
class FailureKind:
    """What a class means: in words, for the schedule, and for the endpoint's health.

    `evidence` is a template for what the attempts showed; `explain/evidence.py` fills it in.
    """

    title: str
    evidence: str
    cause: str
    fix: str
    retried: bool = True
    counts_against_health: bool = True


_ANSWERED = "It answered {status}{seen}"
_C = FailureClass
FAILURES: dict[FailureClass, FailureKind] = {
    _C.DNS_NOT_FOUND: FailureKind(
        title="The host name does not exist",
        evidence="{detail}{often}",
        cause="Likely a misspelt host name in the URL, or a DNS record that was removed or not made yet",
        fix="Check the host name in the integration's URL, or make its DNS record (A or AAAA)",
    ),
    _C.DNS_TIMEOUT: FailureKind(
        title="The host name could not be looked up",
        evidence="{detail}{often}",
        cause="Likely the domain's name servers are down or slow; where every integration fails like this,"
        " the name server that ringback's own machine uses",
        fix="Look the name up yourself (dig or nslookup) and have the domain's name servers repaired",
    ),
    _C.BLOCKED_PRIVATE_ADDRESS: FailureKind(
        title="The host name leads to a private address",
        evidence="Nothing was sent to {host}{often}: {detail}",
        cause="The host leads into a private network, to ringback's own machine or to a cloud's internal"
        " service; ringback connects to none of these",
        fix="Use a host name with a public address; for trials on one machine, start ringback with --dev,"
        " which allows loopback addresses",
    ),
    _C.CONNECT_REFUSED: FailureKind(
        title="The connection was refused",
        evidence="No connection to {host}{often}: {detail}",
        cause="Likely the receiver's server is not running, listens on another port, or a firewall turns"
        " connections away",
        fix="Start the receiver's server, open its firewall, or correct the port in the integration's URL",
    ),
    _C.CONNECT_TIMEOUT: FailureKind(
        title="No connection in time",
        evidence="No connection to {host} within {seconds} s{often}{address}",
        cause="Likely a firewall drops the connection without a word, or the receiver's machine is down",
        fix="Check from outside that the host can be reached at that port, and let connections from"
        " ringback's address through its firewall",
    ),
    _C.CONNECTION_RESET: FailureKind(
        title="The connection was cut before an answer",
        evidence="{detail}, {took} after the attempt began{often}",
        cause="Likely the receiver's process crashed or was restarted while it handled the request, or a"
        " proxy or firewall cut the connection",
        fix="Look into the receiver's log at the time of the attempt for a crash or a restart",
    ),
    _C.TLS_EXPIRED: FailureKind(
        title="The certificate has expired",
        evidence="{detail}{often}",
        cause="The certificate was not renewed in time, or the server has not loaded the renewed one",
        fix="Renew the certificate and reload the receiver's server",
    ),
    _C.TLS_UNTRUSTED: FailureKind(
        title="The certificate is not trusted",
        evidence="{detail}{often}",
        cause="Likely a self-signed certificate, an authority of one's own, or a server that does not send"
        " its intermediate certificates",
        fix="Let the receiver's server send the full chain of a certificate from a public authority; for an"
        " authority of your own, start ringback with ca_file",
    ),
    _C.TLS_NAME_MISMATCH: FailureKind(
        title="The certificate is for another name",
        evidence="{detail}{often}",
        cause="Likely the URL uses another name than the certificate was made for, or the server has no"
        " certificate for this name and shows its default one",
        fix="Put a name that the certificate is for in the integration's URL, or have this name added to the"
        " certificate",
    ),
    _C.TLS_PROTOCOL: FailureKind(
        title="TLS could not be agreed on",
        evidence="The TLS handshake failed{often}: {detail}",
        cause="Likely the port speaks plain HTTP, or the server knows nothing newer than TLS 1.1",
        fix="Check the port in the integration's URL; let the server speak TLS 1.2 or newer",
    ),
    _C.PROXY_ERROR: FailureKind(
        title="The outbound proxy failed",
        evidence="{detail}{often}",
        cause="The proxy between ringback and the internet did not let the request through",
        fix="Ask the operator of this ringback to look at its proxy",
    ),
    _C.RESPONSE_TIMEOUT: FailureKind(
        title="No complete answer in time",
        evidence="{missing} within {seconds} s{often} ({phases})",
        cause="Likely the receiver does all its work before it answers",
        fix="Answer first and do the work afterwards, from a queue; or raise the integration's TimeoutSeconds"
        " (at most 30)",
    ),
    _C.RESPONSE_TRUNCATED: FailureKind(
        title="The answer was cut short, or is not HTTP",
        evidence="{detail}{often}",
        cause="Likely the receiver crashed while it answered, a proxy cut the connection, or something other"
        " than a web server listens there",
        fix="Look into the log of the receiver, and of a proxy before it, at the time of the attempt; check"
        " the port in the integration's URL",
    ),
    _C.TOO_LARGE: FailureKind(
        title="The answer's headers are too large",
        evidence="{detail}{often}",
        cause="Likely the receiver sets cookies or headers without end",
        fix="Let the webhook's path answer with a status and few headers",
    ),
    _C.REDIRECT_REFUSED: FailureKind(
        title="It answered with a redirect",
        evidence="It answered {status}{seen}, a redirect {target}",
        cause="The receiver wants the request elsewhere: often https for http, a slash more or less at the"
        " end, another host name, or a sign-in page",
        fix="Put the final URL in the integration: redirects are never followed, so that events go only where"
        " their owner said",
    ),
    _C.UNAUTHORIZED_401_403: FailureKind(
        title="The receiver did not let the request in",
        evidence=_ANSWERED,
        cause="Likely the receiver could not verify the signature: it has another secret, or it parsed the"
        " body and wrote it anew before it checked; or a firewall or a login is in front of it",
        fix="Compare what the receiver's secret ends in with EndsIn of the integration's secret, and verify"
        " the raw bytes of the body",
    ),
    _C.NOT_FOUND_404: FailureKind(
        title="The receiver knows no such path",
        evidence=_ANSWERED,
        cause="Likely a wrong path in the URL, or a receiver that was deployed without this route",
        fix="Check the path of the integration's URL against the receiver's routes",
    ),
    _C.METHOD_405: FailureKind(
        title="The receiver takes no POST there",
        evidence=_ANSWERED + "{allowed}",
        cause="Likely the URL leads to a page and not to the webhook's handler",
        fix="Put the URL of the handler that takes POST requests in the integration",
    ),
    _C.CONFLICT_409: FailureKind(
        title="The receiver saw a conflict",
        evidence=_ANSWERED,
        cause="Likely it had this event already (each attempt carries the same webhook-id) and treats that as"
        " an error",
        fix="Let the receiver answer a success to an event whose webhook-id it has handled before",
    ),
    _C.GONE_410: FailureKind(
        title="The endpoint is gone",
        evidence=_ANSWERED,
        cause="The receiver says that this URL is gone for good",
        fix="Ask the receiver's owner for the new URL, or delete the integration",
    ),
    _C.PAYLOAD_413: FailureKind(
        title="The receiver found the body too large",
        evidence=_ANSWERED,
        cause="Likely a limit of the receiver's proxy or framework that is smaller than this event",
        fix="Raise that limit (of nginx: client_max_body_size)",
    ),
    _C.MEDIA_415: FailureKind(
        title="The receiver does not take this content type",
        evidence=_ANSWERED,
        cause="Likely the receiver expects a form or another kind of JSON",
        fix="Let the receiver take the Content-Type that the attempt's RequestHeaders show",
    ),
    _C.REJECTED_4XX: FailureKind(
        title="The receiver rejected the request",
        evidence=_ANSWERED,
        cause="Likely the receiver's own checks of the event failed; its answer may say which",
        fix="Read the answer and the receiver's log at that time, and let it accept the event as it is",
    ),
    _C.RATE_LIMITED_429: FailureKind(
        title="The receiver asked for fewer requests",
        evidence=_ANSWERED + "{retry_after}",
        cause="More requests came than the receiver, or a gateway before it, allows",
        fix="Raise the limit at the receiver, or lower the integration's MaxConcurrency",
    ),
    _C.SERVER_500: FailureKind(
        title="The receiver failed",
        evidence=_ANSWERED,
        cause="Likely an error in the receiver's code while it handled this event",
        fix="Look for the error in the receiver's log at that time",
    ),
    _C.BAD_GATEWAY_502: FailureKind(
        title="The receiver's gateway got no valid answer",
        evidence=_ANSWERED,
        cause="Likely the application behind the receiver's web server is down, or was being restarted",
        fix="Check that the application runs, and read the error log of the web server before it",
    ),
    _C.UNAVAILABLE_503: FailureKind(
        title="The receiver is unavailable",
        evidence=_ANSWERED + "{retry_after}",
        cause="Likely the receiver is overloaded, starting, or under maintenance",
        fix="Check that the receiver runs and has room for the load; nothing needs to be done where it was"
        " planned",
    ),
    _C.GATEWAY_TIMEOUT_504: FailureKind(
        title="The receiver's gateway timed out",
        evidence=_ANSWERED,
        cause="Likely the application behind the receiver's web server does all its work before it answers",
        fix="Answer first and do the work afterwards, from a queue",
    ),
    _C.SUCCESS_NOT_200: FailureKind(
        title="It answered with a success that does not count",
        evidence=_ANSWERED + ": this integration counts only {codes}",
        cause="The receiver took the event, but with a status that the integration's profile or SuccessCodes"
        " leaves out (the iqra profile counts only 200)",
        fix="Let the receiver answer 200, or add its status to the integration's SuccessCodes",
    ),
    _C.SENDER_ERROR: FailureKind(
        title="ringback itself failed",
        evidence="{detail}{often}; the receiver is not to blame",
        cause="A fault of ringback or of how it is set up, such as a missing master key",
        fix="Tell the operator of this ringback: its log says more, and ringback check finds usual causes",
        counts_against_health=False,
    ),
}

_BY_STATUS: dict[int, FailureClass] = {
    401: _C.UNAUTHORIZED_401_403,
    403: _C.UNAUTHORIZED_401_403,
    404: _C.NOT_FOUND_404,
    405: _C.METHOD_405,
    409: _C.CONFLICT_409,
    410: _C.GONE_410,
    413: _C.PAYLOAD_413,
    415: _C.MEDIA_415,
    429: _C.RATE_LIMITED_429,
    502: _C.BAD_GATEWAY_502,
    503: _C.UNAVAILABLE_503,
    504: _C.GATEWAY_TIMEOUT_504,
}


def classify(
    transport: FailureClass | None, status: int | None, success_codes: Container[int]
) -> FailureClass | None:
    """The one class of an attempt; None where it succeeded."""
    if transport is not None:
        return transport
    if status is None:
        return FailureClass.SENDER_ERROR
    if status in success_codes:
        return None
    return class_of_status(status)


def class_of_status(status: int) -> FailureClass:
    """The class of a status that does not count as success."""
    if 300 <= status < 400:
        return FailureClass.REDIRECT_REFUSED
    named = _BY_STATUS.get(status)
    if named is not None:
        return named
    if 200 <= status < 300:
        return FailureClass.SUCCESS_NOT_200
    return FailureClass.REJECTED_4XX if 400 <= status < 500 else FailureClass.SERVER_500
