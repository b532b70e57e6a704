"""The likely cause and what to do about it: what this very answer gives away, else what its class says."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from ringback import rotation
from ringback.explain.case import Case, Missing
from ringback.explain.evidence import header
from ringback.explain.pages import Page, PageKind, is_login
from ringback.failures import FAILURES, NOT_YET_VALID, SELF_SIGNED, FailureClass
from ringback.model import Integration, Secret
from ringback.store.port import AttemptRow
from ringback.words import at, duration, moment, printable

ROTATED_WITHIN_MS = 48 * 3_600_000
_BY, _MAX_TARGET = 40, 200


class Advice(NamedTuple):
    cause: str | None
    fix: str | None


NONE = Advice(None, None)


def of_failure(case: Case) -> Advice:
    failure = case.failure
    if failure is None:
        return NONE
    kind = FAILURES[failure]
    return _of_page(case.page) or _of_answer(case, failure) or Advice(kind.cause, kind.fix)


def of_success(case: Case) -> Advice:
    """A login or a firewall is rarely what took an event."""
    advised = _of_page(case.page)
    if advised is None:
        return NONE
    return Advice(
        "The status counts as success, but the answer does not look like a handler's:"
        f" {_within(advised.cause)}",
        f"{advised.fix}; then {'send another test' if case.delivery.test else 'retry this delivery by hand'}",
    )


def _within(cause: str | None) -> str:
    """As it stands within a sentence."""
    return f"{cause or ''}".replace("Likely", "likely", 1)


# ---------------------------------------------------------------- pages


def _of_page(page: Page | None) -> Advice | None:
    if page is None:
        return None
    by = page.by or "a service"
    match page.kind:
        case PageKind.BLOCK | PageKind.CHALLENGE:
            return Advice(
                f"Likely {by} stands in front of the receiver and stopped the request before the receiver saw"
                " it",
                f"Let POST requests to the webhook's path through in the rules of {by}: for example by their"
                " User-Agent, ringback/…, or the address that they come from",
            )
        case PageKind.LOGIN:
            return Advice(
                "Likely the URL leads to a page behind a sign-in, not to the webhook's handler",
                "Put the handler's URL in the integration, or take its path out of the sign-in: the signature"
                " proves who sends",
            )
        case PageKind.CAPTCHA:
            return Advice(
                "Likely a protection against bots asks for a captcha, which no webhook can solve",
                "Take the webhook's path out of that protection: the signature proves who sends",
            )
        case PageKind.EDGE_ERROR:
            return Advice(
                f"Likely {by}, in front of the receiver, got no good answer from it",
                f"Check that the receiver runs and that {by} can reach it",
            )
        case PageKind.TUNNEL:
            return Advice(
                f"Likely the {by} tunnel to the receiver is not running, or has another address now",
                "Start the tunnel again, and put its present address in the integration's URL",
            )
    return None


# ---------------------------------------------------------------- answers


def _of_answer(case: Case, failure: FailureClass) -> Advice | None:
    last = case.last
    if last is None:
        return None
    match failure:
        case FailureClass.TLS_UNTRUSTED:
            return _of_untrusted(last.detail or "")
        case FailureClass.REDIRECT_REFUSED:
            return _of_redirect(case, last)
        case FailureClass.UNAUTHORIZED_401_403:
            return _of_refusal(case, last)
        case FailureClass.RESPONSE_TRUNCATED:
            return None if last.status is None else _CUT
        case FailureClass.RESPONSE_TIMEOUT:
            return _SLOW.get(case.missing)
        case FailureClass.SUCCESS_NOT_200:
            return Advice(
                FAILURES[failure].cause,
                f"Let the receiver answer 200, or add {last.status} to the integration's SuccessCodes",
            )
    return None


_CUT = Advice(
    "Likely the receiver crashed while it answered, a proxy cut the connection, or the answer's"
    " Content-Length is larger than its body",
    "Look into the log of the receiver, and of a proxy before it, at the time of the attempt",
)
_SLOW = {
    Missing.HANDSHAKE: Advice(
        "Likely something other than a TLS server listens at that port, or the server is out of threads",
        "Check the port in the integration's URL, and the load of the receiver's server",
    ),
    Missing.HEADERS: Advice(
        "The receiver began to answer, but writes its headers too slowly",
        "Let the webhook's path answer at once, with a status and few headers",
    ),
    Missing.BODY: Advice(
        "The receiver answered, but its body goes on: likely a stream, or a Content-Length that is too large",
        "Let the webhook's path answer with a short body and its true Content-Length, or with none",
    ),
}


def _of_untrusted(detail: str) -> Advice | None:
    if NOT_YET_VALID in detail:
        return _TOO_EARLY
    return _SELF_MADE if SELF_SIGNED in detail else None


_TOO_EARLY = Advice(
    "The certificate's time has not come: it was put in place too early, or the clock of the machine that"
    " made it, or of this server, is wrong",
    "Compare the clocks, and let the receiver's server show a certificate that is valid now",
)
_SELF_MADE = Advice(
    "Nobody vouches for the certificate: likely it was made for tests, or is a server's default one",
    "Get a certificate from a public authority for the receiver's name; for one of your own, start ringback"
    " with ca_file",
)


def _of_redirect(case: Case, last: AttemptRow) -> Advice | None:
    target = header(last.response_headers, "location")
    if target is None or case.integration is None:
        return None
    if is_login(target):
        return Advice(
            "Likely the URL leads to a page behind a sign-in, not to the webhook's handler",
            "Put the handler's URL in the integration, or take its path out of the sign-in: the signature"
            " proves who sends",
        )
    kind = FAILURES[FailureClass.REDIRECT_REFUSED]
    cause = _difference(case.integration.url, target) or kind.cause
    return Advice(cause, _move_to(target) or kind.fix)


def _move_to(target: str) -> str | None:
    """Named only where it is a whole URL that can be shown."""
    shown = printable(target, _MAX_TARGET)
    if shown != target or "?" in target or not target.startswith(("https://", "http://")):
        return None
    return (
        f"If {shown} is where events should go, save it as the integration's URL: redirects are never"
        " followed, so that events go only where their owner said"
    )


def _difference(url: str, target: str) -> str | None:
    """The usual reasons for a redirect."""
    try:
        here, there = urlsplit(url), urlsplit(target)
    except ValueError:
        return None
    host = there.netloc or here.netloc
    if there.scheme == "https" and here.scheme == "http" and there.hostname == here.hostname:
        return "The receiver takes this request only over https"
    if host == here.netloc and there.path.rstrip("/") == here.path.rstrip("/") and there.path != here.path:
        slash = "needs a slash at its end" if there.path.endswith("/") else "has a slash too many at its end"
        return f"The path in the integration's URL {slash}"
    if host != here.netloc and there.path in (here.path, ""):
        return f"The receiver has moved to another host name, {printable(host, _BY)}"
    return None


def _of_refusal(case: Case, last: AttemptRow) -> Advice | None:
    asked = printable((header(last.response_headers, "www-authenticate") or "").partition(" ")[0], _BY)
    if (integration := case.integration) is not None and (rotated := _newest_secret(integration, last)):
        return _of_rotation(integration, rotated, last, case.now)
    if asked.lower() in ("basic", "digest", "negotiate", "ntlm"):
        return Advice(
            f"The receiver asks for a password ({asked}), which the request did not carry or which is wrong",
            "Take the webhook's path out of that protection, or set an Authorization header in the"
            " integration's Headers",
        )
    if last.signatures == 0:
        return Advice(
            "Likely the receiver wants a signature: the request carried none, because the integration had no"
            " secret",
            "Set a secret for the integration, and give it to the receiver",
        )
    return None


# ---------------------------------------------------------------- rotation


def _newest_secret(integration: Integration, attempt: AttemptRow) -> Secret | None:
    """The current secret where it was young at the attempt, and not there from the beginning."""
    newest = rotation.current(integration.secrets)
    if newest is None or newest.created_at <= integration.created_at:
        return None
    return newest if 0 <= attempt.started_at - newest.created_at < ROTATED_WITHIN_MS else None


def _of_rotation(integration: Integration, new: Secret, attempt: AttemptRow, now: int) -> Advice:
    age = duration(attempt.started_at - new.created_at)
    changed = (
        f"The integration's secret was changed {age} before this attempt ({moment(new.created_at, now)})"
    )
    old = rotation.outgoing(integration.secrets, attempt.started_at)
    if old is None:
        return Advice(
            f"{changed}: likely the receiver still verifies with the old one",
            "Give the receiver the new secret: everything is signed with that one alone now",
        )
    end = "" if old.expires_at is None else f" {at(old.expires_at, now)}"
    return Advice(
        f"{changed}, and the old one is still in use beside it: likely the receiver knows neither, or knows"
        " only the new one and checks X-Iqra-Signature, which is made with the old one until the overlap"
        " ends",
        "Let the receiver know the new secret and check webhook-signature, which carries both; or, once it"
        f" has the new secret, end the overlap (POST …/secret/rotate/finish; it ends by itself{end})",
    )
