"""What a publish must satisfy before it may be committed: pure checks on one business' view.

The frame was parsed by `payloads`; here its words are checked against what is registered. Time and
randomness are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ringback.catalog import nearest
from ringback.errors import BodyTooLarge, FieldError, InvalidJson, InvalidRequest
from ringback.match import BusinessView
from ringback.model import Message, PayloadValidation, Value
from ringback.payloads import (
    BATCH_DATA_DEPTH,
    DATA_DEPTH,
    MAX_FIELD_ERRORS,
    Frame,
    check_data,
    parse_timestamp,
)

_MAX_NAMES_TOLD = 20


class Draft(Value, frozen=True, kw_only=True):
    """An event that passed every check and has no place yet."""

    message: Message
    generated: bool
    schema_errors: str | None = None


def admit(
    view: BusinessView,
    frames: Sequence[Frame],
    now: int,
    new_event_id: Callable[[], str],
    max_event_bytes: int,
    *,
    first: int | None,
) -> list[Draft]:
    """Drafts in request order. Raises InvalidRequest with the first fault of each event, of at most 20 of
    them, InvalidJson, BodyTooLarge.

    Fields are named `EventType` in a single publish, `[3].EventType` in a batch, where `first` is the place
    of the first frame; it is None in a single publish.
    """
    drafts: list[Draft] = []
    faults: list[FieldError] = []
    for index, frame in enumerate(frames, start=first or 0):
        prefix = "" if first is None else f"[{index}]."
        try:
            drafts.append(_admit_one(view, frame, now, new_event_id, max_event_bytes, prefix))
        except InvalidRequest as error:
            faults.extend(error.errors)
            if len(faults) >= MAX_FIELD_ERRORS:
                break
    if faults:
        raise InvalidRequest(*faults)
    return drafts


def _admit_one(
    view: BusinessView,
    frame: Frame,
    now: int,
    new_event_id: Callable[[], str],
    max_event_bytes: int,
    prefix: str,
) -> Draft:
    data = bytes(frame.Data)
    if len(data) > max_event_bytes:
        raise BodyTooLarge(f"{prefix}Data has {len(data)} bytes; an event may have {max_event_bytes}")
    event_id, timestamp = frame.EventId, frame.Timestamp
    message = Message(
        event_id=new_event_id() if event_id is None else event_id,
        event_type=frame.EventType,
        business_id=view.business.business_id,
        timestamp=now if timestamp is None else parse_timestamp(timestamp, f"{prefix}Timestamp"),
        data=data,
    )
    schema_errors = _check_payload(view, frame.EventType, data, prefix)
    return Draft(message=message, generated=event_id is None, schema_errors=schema_errors)


def _check_payload(view: BusinessView, event_type: str, data: bytes, prefix: str) -> str | None:
    """What to remember of a payload that breaks its schema. Raises where that is refused."""
    registered = view.types.get(event_type)
    if registered is None:
        raise InvalidRequest(FieldError(f"{prefix}EventType", _unknown_type(event_type, view)))
    try:
        decoded = check_data(data, BATCH_DATA_DEPTH if prefix else DATA_DEPTH)
    except InvalidJson as error:
        raise InvalidJson(f"{prefix}Data {error}") from None
    validation = view.business.payload_validation
    if validation is PayloadValidation.OFF:
        return None
    problems = registered.problems(decoded)
    if problems is not None and validation is PayloadValidation.REJECT:
        raise InvalidRequest(FieldError(f"{prefix}Data", problems))
    return problems


def _unknown_type(event_type: str, view: BusinessView) -> str:
    close = nearest(event_type, view.types)
    hint = f"; did you mean {close}?" if close else f"; there are {_some(sorted(view.types))}"
    return "is not a registered event type" + hint


def _some(names: Sequence[str]) -> str:
    more = ["…"] if len(names) > _MAX_NAMES_TOLD else []
    return ", ".join([*names[:_MAX_NAMES_TOLD], *more])
