"""What was seen, in one or two sentences: the numbers of the attempts and what the receiver said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ringback.explain.case import Case, ended_at
from ringback.explain.pages import excerpt
from ringback.failures import FAILURES, FailureClass
from ringback.model import DeliveryState
from ringback.retry import MAX_RETRY_AFTER_MS, parse_retry_after
from ringback.store.port import AttemptRow
from ringback.words import at, duration, first_few, printable, sentence, times

_DETAIL, _TARGET, _ASKED, _VERBS = 300, 120, 40, 60
_FEW_CODES, _FEW_OTHERS = 6, 4


def of_failure(case: Case) -> str:
    """Of the last attempt, which failed; and of those before it."""
    last, failure = case.last, case.failure
    if last is None or failure is None:
        return _of_lost_records(case)
    same = [one for one in case.attempts if (one.failure, one.status) == (failure, last.status)]
    seen = sentence(FAILURES[failure].evidence.format_map(_facts(case, last, len(same))))
    return ". ".join(filter(None, [seen, _page_or_words(case, last), _others(case.attempts, same)]))


def of_success(case: Case) -> str:
    last, row = case.last, case.delivery
    if last is None:
        return _of_lost_records(case)
    seen = f"It answered {last.status} in {duration(last.timings.total_ms)}"
    if not row.test:
        by_hand = ", sent by hand" if last.replay else ""
        later = duration(max(ended_at(last) - row.created_at, 0))
        seen = f"{seen}, on attempt {last.number}{by_hand}, {later} after the event was accepted"
    page = None if case.page is None else _page_or_words(case, last)
    return ". ".join(filter(None, [seen, page, _others(case.attempts, [last])]))


def _of_lost_records(case: Case) -> str:
    row = case.delivery
    if not row.attempts:
        return "Nothing was sent"
    answered = f"; the last answer was {row.last_status}" if row.last_status is not None else ""
    return f"It was attempted {times(row.attempts)}{answered}. The records of the attempts are past retention"


# ---------------------------------------------------------------- the template's names


def _facts(case: Case, last: AttemptRow, count: int) -> dict[str, str]:
    when = at(last.started_at, case.now)
    headers = last.response_headers
    return {
        "detail": printable(last.detail or "no more is known", _DETAIL),
        "often": f", {count} times" if count > 1 else "",
        "seen": f", {count} times, the last time {when}" if count > 1 else f" {when}",
        "seconds": f"{case.limit_ms / 1000:.1f}",
        "phases": _phases(last),
        "missing": case.missing.value,
        "host": case.host,
        "address": f" ({last.remote_address})" if last.remote_address else "",
        "took": duration(last.timings.total_ms),
        "status": str(last.status),
        "target": redirect_target(headers) or "that names no target",
        "allowed": _allowed(headers),
        "codes": _codes(case),
        "retry_after": _retry_after(case, last),
    }


def _phases(last: AttemptRow) -> str:
    timings = last.timings
    reached = {"look-up": timings.dns_ms, "connect": timings.connect_ms, "TLS": timings.tls_ms}
    words = [f"{name} {duration(ms)}" for name, ms in reached.items() if ms is not None]
    if timings.connect_ms is None:
        words.append("on a connection that was open already")
    first = "none" if timings.first_byte_ms is None else duration(timings.first_byte_ms)
    return ", ".join([*words, f"first byte: {first}"])


def redirect_target(headers: Iterable[tuple[str, str]]) -> str | None:
    """Without its query, which may hold what is nobody's business."""
    value = header(headers, "location")
    if value is None:
        return None
    shown = printable(value.partition("?")[0].partition("#")[0], _TARGET)
    return f"to {shown}" + ("?…" if "?" in value else "") if shown else None


def _allowed(headers: Iterable[tuple[str, str]]) -> str:
    verbs = printable(header(headers, "allow") or "", _VERBS)
    return f"; it allows {verbs}" if verbs else ""


def _codes(case: Case) -> str:
    codes = sorted(case.policy.success_codes) if case.policy else []
    return first_few([str(code) for code in codes], _FEW_CODES) or "other statuses"


def _retry_after(case: Case, last: AttemptRow) -> str:
    value = header(last.response_headers, "retry-after")
    if value is None:
        return ""
    asked = parse_retry_after(value, ended_at(last))
    if asked is None:
        return f" with Retry-After “{printable(value, _ASKED)}”, which is neither seconds nor a date: ignored"
    return f" with Retry-After {printable(value, _ASKED)}{_made_of(case, asked, last)}"


def _made_of(case: Case, asked: int, last: AttemptRow) -> str:
    """What a wait of so many milliseconds changed."""
    if case.delivery.state not in (DeliveryState.RETRYING, "held") or last.replay or case.policy is None:
        return ""
    delays, step = case.policy.delays, case.delivery.tries - 1
    planned = delays[step] * 1000 if 0 <= step < len(delays) else 0
    if asked <= planned:
        return f": no longer than the {duration(planned)} that the schedule waits anyway"
    if asked >= MAX_RETRY_AFTER_MS:
        return f": the next attempt waits for {duration(MAX_RETRY_AFTER_MS)}, the most that is granted"
    return f": the next attempt waits that long ({duration(asked)})"


# ---------------------------------------------------------------- what the receiver said


def _page_or_words(case: Case, last: AttemptRow) -> str | None:
    if last.status is None:
        return None
    page = case.page
    if page is not None:
        return f"The answer is {page.words}"
    said = excerpt(last.response_headers, last.response_body)
    return f"It said “{said}”" if said else None


def _others(attempts: Iterable[AttemptRow], same: list[AttemptRow]) -> str | None:
    """`Other attempts: 500 (2 times), no complete answer in time (once)`."""
    told = {one.number for one in same}
    counted = Counter(_label(one) for one in attempts if one.number not in told and one.failure is not None)
    words = [f"{label} ({times(count)})" for label, count in counted.most_common()]
    return f"Other attempts: {first_few(words, _FEW_OTHERS)}" if words else None


def _label(attempt: AttemptRow) -> str:
    if attempt.failure is None:
        return "delivered"
    answered = attempt.status is not None and attempt.failure is not FailureClass.RESPONSE_TRUNCATED
    return f"status {attempt.status}" if answered else title_within(attempt.failure)


def title_within(failure: FailureClass) -> str:
    """A class' title as it stands within a sentence."""
    title = FAILURES[failure].title
    return title if title.partition(" ")[0].isupper() else title[:1].lower() + title[1:]


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)
