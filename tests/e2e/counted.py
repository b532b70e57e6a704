"""What the statistics of a business must say, counted one by one from what its lists and deliveries show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from ringback.statistics import bucket_of
from tests.e2e.several import Line

Row = dict[str, Any]
HALF_A_DECIMAL = 0.05


@dataclass(frozen=True)
class Walked:
    """Everything that counts: tests are left out."""

    events: list[Row]
    deliveries: list[Row]

    @property
    def attempts(self) -> list[Row]:
        """Those of the schedule."""
        return [one for delivery in self.deliveries for one in _scheduled(delivery)]


def walk(line: Line, business_id: int) -> Walked:
    """Every page of the lists, and every delivery by itself for its attempts."""
    path = f"/api/v1/business/{business_id}"
    events = [one for one in _listed(line, f"{path}/events") if not one["Test"]]
    rows = [one for one in _listed(line, f"{path}/deliveries") if not one["Test"]]
    return Walked(events, [line.call("GET", f"{path}/deliveries/{one['Id']}") for one in rows])


def _listed(line: Line, path: str) -> list[Row]:
    items: list[Row] = []
    cursor = ""
    while True:
        page = line.call("GET", f"{path}?Limit=200{cursor}")
        items += page["Items"]
        if page["NextCursor"] is None:
            return items
        cursor = f"&Cursor={page['NextCursor']}"


# ---------------------------------------------------------------- counts


def figures(of: Walked) -> Row:
    """As in Totals; the percentiles apart."""
    deliveries, attempts = _delivery_counts(of.deliveries), _outcomes(of.attempts)
    firsts = [one["Attempts"][0] for one in of.deliveries if one["Attempts"]]
    firsts = [one for one in firsts if one["Number"] == 1 and not one["Replay"]]
    delivered, dead = deliveries["Delivered"], deliveries["Dead"]
    return {
        "Events": len(of.events),
        "Deliveries": deliveries,
        "Attempts": attempts,
        "Answers": _answers(of.attempts),
        "FirstTryRate": _share(_outcomes(firsts)["Succeeded"], len(firsts)),
        "DeliveredRate": _share(delivered, delivered + dead),
        "AttemptFailureRate": _share(attempts["Failed"], len(of.attempts)),
    }


def breakdowns(of: Walked) -> Row:
    """As the API orders them."""
    return {
        "EventTypes": _event_types(of),
        "AttemptNumbers": [
            {"Number": number, **_outcomes(group)} for number, group in _by("Number", of.attempts)
        ],
        "Statuses": [
            {"Status": status, "Count": len(group)} for status, group in _by("Status", of.attempts) if status
        ],
        "FailureClasses": sorted(
            (
                {"Class": name, "Count": len(group)}
                for name, group in _by("FailureClass", of.attempts)
                if name
            ),
            key=lambda one: (-int(one["Count"]), one["Class"]),
        ),
        "Integrations": [_integration(*one) for one in _by("IntegrationId", of.deliveries)],
    }


def _delivery_counts(rows: Iterable[Row]) -> Row:
    rows = list(rows)
    states = Counter(one["State"] for one in rows)
    ended = {name.capitalize(): states[name] for name in ("delivered", "dead", "cancelled")}
    return {
        **ended,
        "DeliveredFirstTry": sum(one["AttemptCount"] == 1 for one in _unaided(rows)),
        "Open": len(rows) - sum(ended.values()),
    }


def _unaided(rows: Iterable[Row]) -> list[Row]:
    """Delivered by the schedule alone."""
    return [
        one
        for one in rows
        if one["State"] == "delivered" and not any(attempt["Replay"] for attempt in one["Attempts"])
    ]


def _scheduled(delivery: Row) -> list[Row]:
    return [one for one in delivery["Attempts"] if not one["Replay"]]


def _outcomes(attempts: Sequence[Row]) -> Row:
    failed = sum(one["FailureClass"] is not None for one in attempts)
    return {"Succeeded": len(attempts) - failed, "Failed": failed}


def _answers(attempts: Iterable[Row]) -> Row:
    hundreds = Counter(one["Status"] // 100 if one["Status"] else 0 for one in attempts)
    return {"None": hundreds[0], **{f"{place}xx": hundreds[place] for place in range(2, 6)}}


def _event_types(of: Walked) -> list[Row]:
    deliveries = Counter(one["EventType"] for one in of.deliveries)
    rows = [
        {
            "EventType": name,
            "Events": len(group),
            "Deliveries": deliveries[name],
            "Share": _share(len(group), len(of.events)),
        }
        for name, group in _by("EventType", of.events)
    ]
    return sorted(rows, key=lambda one: (-one["Events"], one["EventType"]))


def _integration(integration_id: str, rows: list[Row]) -> Row:
    of = figures(Walked([], rows))
    counts = of["Deliveries"]
    return {
        "IntegrationId": integration_id,
        **{name: counts[name] for name in ("Delivered", "Dead", "Open")},
        "FirstTryRate": of["FirstTryRate"],
        "LastDeliveredAt": max((one["FinishedAt"] for one in _unaided(rows)), default=None),
    }


def _by(field: str, rows: Iterable[Row]) -> list[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[field], []).append(row)
    return sorted(groups.items(), key=lambda one: (one[0] is None, one[0]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


# ---------------------------------------------------------------- by time, and percentiles


def by_minute(rows: Iterable[Row], field: str) -> dict[str, list[Row]]:
    """Under the start of the minute, as the API writes it."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"{row[field][:16]}:00.000Z", []).append(row)
    return groups


def attempt_times(of: Walked) -> list[float]:
    return [one["DurationMs"] for one in of.attempts]


def ways(of: Walked) -> list[float]:
    """Milliseconds from acceptance to delivery."""
    return [_ms(one["FinishedAt"]) - _ms(one["CreatedAt"]) for one in _unaided(of.deliveries)]


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def fits(percentiles: Row, times: list[float]) -> bool:
    """Each one is in the same bucket of the histogram as the true one, give or take its one decimal."""
    ordered = sorted(times)
    true = {f"P{share}": ordered[ceil(len(ordered) * share / 100) - 1] for share in (50, 95, 99)}
    return all(
        bucket_of(percentiles[name] - HALF_A_DECIMAL)
        <= bucket_of(ms)
        <= bucket_of(percentiles[name] + HALF_A_DECIMAL)
        for name, ms in true.items()
    )
