"""Whole calls, event by event, as Iqra would publish them. Pure: randomness and time are arguments.

A call is drawn first (who, what, how long, how it ends), then told: each state of it publishes what
it must and leads to the next, so that ids, times and durations agree across its events.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random
from typing import Any

from ringback.catalog import CONVERSATION_ENDS
from ringback.envelope import iso_time
from ringback.ids import event_id
from ringback.model import Value
from ringback.simulate.scripts import FAILURES, SCRIPTS, Line, Script

INBOUND_SHARE = 0.25
FAILED_SHARE = 0.2
HUMAN_SHARE = 0.15
# Of a long run; a call that fails has two events, a whole one some fifteen.
MEAN_EVENTS_PER_CALL = 12.2

_END_WEIGHTS = dict(zip(CONVERSATION_ENDS, (52, 30, 7, 4, 4, 3), strict=True))
_CUT_SHORT = frozenset(CONVERSATION_ENDS[2:])
_FAILURE_WEIGHTS = dict(zip(FAILURES, (45, 25, 15, 5, 5, 5), strict=True))


class TimedEvent(Value, frozen=True, kw_only=True):
    """An event and when to publish it. `timestamp` is when it happened in the call's own time.

    Where call time is compressed, calls are told as if they had begun earlier: nothing is of the future.
    """

    due: int
    timestamp: int
    event_id: str
    event_type: str
    data: dict[str, Any]


class Spoken(Value, frozen=True, kw_only=True):
    """A line and when it is said, in milliseconds from the connection."""

    offset: int
    line: Line


class Call(Value, frozen=True, kw_only=True):
    """Everything about one call that is drawn before it begins. Durations are in milliseconds."""

    queue_id: str
    session_id: str
    client_id: str
    message_ids: tuple[str, ...]
    script: Script
    customer: str
    customer_number: str
    inbound: bool
    failure: str | None
    ringing: int
    spoken: tuple[Spoken, ...]
    end_type: str
    human: str | None

    @property
    def talking(self) -> int:
        return self.spoken[-1].offset + 2_500

    @property
    def length(self) -> int:
        return self.ringing + (0 if self.failure else self.talking)


def calls(
    random: Random, now: int, *, events_per_second: float, compress: float = 1.0, count: int = 0
) -> Iterator[TimedEvent]:
    """The events of `count` calls (0: no end) that overlap so as to give the rate, in order of `due`."""
    upcoming: list[tuple[int, int, TimedEvent]] = []
    serial, begun, next_call = 0, 0, float(now)
    while upcoming or not count or begun < count:
        more_to_begin = not count or begun < count
        if more_to_begin and (not upcoming or next_call <= upcoming[0][0]):
            for event in schedule(draw(random, int(next_call)), random, int(next_call), compress):
                heapq.heappush(upcoming, (event.due, serial, event))
                serial += 1
            begun += 1
            next_call += random.expovariate(events_per_second / MEAN_EVENTS_PER_CALL) * 1_000
        else:
            yield heapq.heappop(upcoming)[2]


def schedule(call: Call, random: Random, starts_at: int, compress: float) -> Iterator[TimedEvent]:
    """A call's events, its first one due at `starts_at`, its last as if it happened when it is due."""
    begins_at = starts_at + round(call.length / compress) - call.length
    for offset, event_type, data in tell(call, begins_at):
        due = starts_at + round(offset / compress)
        yield TimedEvent(
            due=due,
            timestamp=begins_at + offset,
            event_id=event_id(due, random.randbytes(16)),
            event_type=event_type,
            data=data,
        )


# ---------------------------------------------------------------- drawing


def draw(random: Random, now: int) -> Call:
    script = random.choice(SCRIPTS)
    inbound = random.random() < INBOUND_SHARE
    end_type = _weighted(random, _END_WEIGHTS)
    spoken = _conversation(random, script, end_type)
    return Call(
        queue_id=_new_id(random, "queue", now),
        session_id=_new_id(random, "session", now),
        client_id=_new_id(random, "client", now),
        message_ids=tuple(_new_id(random, "msg", now) for _ in spoken),
        script=script,
        customer=random.choice(script.customers),
        customer_number=f"{script.calling_code}{random.randrange(10**6):06d}",
        inbound=inbound,
        failure=_weighted(random, _FAILURE_WEIGHTS)
        if not inbound and _one_in(random, FAILED_SHARE)
        else None,
        ringing=0 if inbound else random.randrange(4_000, 25_000),
        spoken=spoken,
        end_type=end_type,
        human=f"agent_human_{random.randrange(1, 9)}" if _one_in(random, HUMAN_SHARE) else None,
    )


def _conversation(random: Random, script: Script, end_type: str) -> tuple[Spoken, ...]:
    """The script to its end, or to wherever the call broke off; pauses as long as the words need."""
    length = len(script.lines)
    if end_type in _CUT_SHORT:
        length = random.randrange(1, length)
    offset, spoken = 0, []
    for line in script.lines[:length]:
        offset += random.randrange(900, 2_200) + len(line.text) * random.randrange(50, 70)
        spoken.append(Spoken(offset=offset, line=line))
    return tuple(spoken)


def _weighted(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


def _one_in(random: Random, share: float) -> bool:
    return random.random() < share


def _new_id(random: Random, prefix: str, now: int) -> str:
    return event_id(now, random.randbytes(16)).replace("evt", prefix, 1)


# ---------------------------------------------------------------- telling

Told = tuple[int, str, dict[str, Any]]


def tell(call: Call, begins_at: int) -> Iterator[Told]:
    """(milliseconds since the call began, event type, data), in order."""
    if not call.inbound:
        yield 0, "call.initiated", _initiated(call, begins_at)
    if call.failure:
        yield call.ringing, "call.failed", _failed(call, call.failure, begins_at + call.ringing)
        return
    connected = begins_at + call.ringing
    yield call.ringing, "call.started", _started(call, connected)
    for offset, event_type, data in _tell_conversation(call, connected):
        yield call.ringing + offset, event_type, data
    yield call.length, "call.completed", _completed(call, connected)


def _tell_conversation(call: Call, connected: int) -> Iterator[Told]:
    """Offsets are from the connection. A human takes over half-way where there is one."""
    agent, human = call.script.agent, call.human
    handover = len(call.spoken) // 2 if human else None
    yield 150, "conversation.started", _conversation_started(call, connected + 150)
    yield 200, "agent.joined", _agent_joined(call, agent, "AI", connected + 200)
    for turn, spoken in enumerate(call.spoken):
        if human and turn == handover:
            moment = spoken.offset - 400
            yield moment, "agent.joined", _agent_joined(call, human, "Human", connected + moment)
        yield spoken.offset, "conversation.message", _message(call, turn, connected)
    gone = call.talking - 300
    for name, kind in ((human, "Human"), (agent, "AI")):
        if name:
            yield gone, "agent.left", _agent_left(call, name, kind, connected + gone)
    yield call.talking - 100, "conversation.ended", _conversation_ended(call, connected)


def _parties(call: Call) -> dict[str, Any]:
    ours, theirs = call.script.business_number, call.customer_number
    caller, callee = (theirs, ours) if call.inbound else (ours, theirs)
    return {"AgentId": call.script.agent, "From": caller, "To": callee}


def _campaign(call: Call) -> dict[str, Any]:
    return {} if call.inbound else {"CampaignId": call.script.campaign}


def _direction(call: Call) -> str:
    return "inbound" if call.inbound else "outbound"


def _metadata(call: Call) -> dict[str, Any]:
    return {"CustomerName": call.customer, "Language": call.script.language}


def _initiated(call: Call, at: int) -> dict[str, Any]:
    return {
        "QueueId": call.queue_id,
        **_campaign(call),
        **_parties(call),
        "NumberId": f"number_{call.script.business_number[1:]}",
        "ScheduledTime": iso_time(at),
        "DynamicVariables": {"CustomerName": call.customer},
        "Metadata": _metadata(call),
    }


def _failed(call: Call, reason: str, at: int) -> dict[str, Any]:
    return {
        "QueueId": call.queue_id,
        **_campaign(call),
        **_parties(call),
        "FailedAt": iso_time(at),
        "Reason": reason,
        "Message": FAILURES[reason],
    }


def _started(call: Call, connected: int) -> dict[str, Any]:
    return {
        "QueueId": call.queue_id,
        "SessionId": call.session_id,
        **_parties(call),
        "Direction": _direction(call),
        "StartedAt": iso_time(connected),
    }


def _completed(call: Call, connected: int) -> dict[str, Any]:
    return {
        "QueueId": call.queue_id,
        "SessionId": call.session_id,
        **_campaign(call),
        **_parties(call),
        "Direction": _direction(call),
        "StartedAt": iso_time(connected),
        "EndedAt": iso_time(connected + call.talking),
        "DurationSeconds": call.talking / 1_000,
        "EndType": call.end_type,
        "Metadata": _metadata(call),
    }


def _conversation_started(call: Call, at: int) -> dict[str, Any]:
    return {**_conversation_ids(call), "StartTime": iso_time(at), "Clients": [_client(call, at)]}


def _conversation_ended(call: Call, connected: int) -> dict[str, Any]:
    began, over = connected + 150, connected + call.talking - 100
    reason = "Hung up" if call.end_type == "UserEndedCall" else "Disconnected"
    summary = {} if call.end_type in _CUT_SHORT else {"Summary": call.script.summary}
    return {
        **_conversation_ids(call),
        "StartTime": iso_time(began),
        "EndTime": iso_time(over),
        "DurationSeconds": (over - began) / 1_000,
        "EndType": call.end_type,
        "MessageCount": len(call.spoken),
        "Clients": [{**_client(call, began), "LeftAt": iso_time(over), "LeaveReason": reason}],
        **summary,
    }


def _conversation_ids(call: Call) -> dict[str, Any]:
    return {"SessionId": call.session_id, "QueueId": call.queue_id, "AgentId": call.script.agent}


def _client(call: Call, joined: int) -> dict[str, Any]:
    return {"ClientId": call.client_id, "ClientType": "Phone", "JoinedAt": iso_time(joined)}


def _message(call: Call, turn: int, connected: int) -> dict[str, Any]:
    spoken = call.spoken[turn]
    return {
        "SessionId": call.session_id,
        "MessageId": call.message_ids[turn],
        "TurnIndex": turn,
        "Role": spoken.line.role,
        "Content": spoken.line.text.replace("{name}", call.customer),
        "Language": call.script.language,
        "SentAt": iso_time(connected + spoken.offset),
    }


def _agent_joined(call: Call, agent: str, kind: str, at: int) -> dict[str, Any]:
    return {
        "SessionId": call.session_id,
        "AgentId": agent,
        "AgentType": kind,
        "JoinedAt": iso_time(at),
    }


def _agent_left(call: Call, agent: str, kind: str, at: int) -> dict[str, Any]:
    return {
        "SessionId": call.session_id,
        "AgentId": agent,
        "AgentType": kind,
        "LeftAt": iso_time(at),
        "Reason": "The conversation ended.",
    }
