"""Event types: what there is to publish, what its `Data` looks like, and whether a payload fits."""

from ringback.catalog.built_in import BUILT_IN, CONVERSATION_ENDS, FAILURE_REASONS, warm_up
from ringback.catalog.event_type import EventType
from ringback.catalog.names import MAX_NAME_LENGTH, is_valid_name, nearest
from ringback.catalog.own_types import MAX_OWN_BYTES, MAX_OWN_TYPES, check_own_name, own_type

__all__ = [
    "BUILT_IN",
    "CONVERSATION_ENDS",
    "FAILURE_REASONS",
    "MAX_NAME_LENGTH",
    "MAX_OWN_BYTES",
    "MAX_OWN_TYPES",
    "EventType",
    "check_own_name",
    "is_valid_name",
    "nearest",
    "own_type",
    "warm_up",
]
