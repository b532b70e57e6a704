"""Named places where a test can make the process fail: `RINGBACK_FAILPOINT=after_commit:17:kill`.

The 17th time the place is reached, it is killed (`kill`), stopped (`stop`), raises (`raise`) or finds the
disk full (`full`). Unset, which is always so in production, a place costs one comparison.
"""

from __future__ import annotations

import os
import signal
import sys

from ringback.errors import ConfigurationError, RingbackError, StoreUnavailable

VARIABLE = "RINGBACK_FAILPOINT"
PLACES = (
    "before_accept",
    "in_accept",
    "after_commit",
    "after_hand_over",
    "before_send",
    "after_answer",
    "before_record",
    "in_record",
    "after_record",
    "before_claim",
    "after_claim",
    "before_release",
)
# Of the master key's rotation, which is no part of an event's path.
ROTATION_PLACES = ("before_key_file", "after_key_file", "before_reseal", "after_reseal")
ACTIONS = ("kill", "stop", "raise", "full")


class FailpointReached(RingbackError):
    """Raised on purpose by a test's failpoint."""


class _Armed:
    def __init__(self, place: str, countdown: int, action: str) -> None:
        self.place, self.countdown, self.action = place, countdown, action


def _parse(text: str) -> _Armed | None:
    if not text:
        return None
    place, _, rest = text.partition(":")
    count, _, action = rest.partition(":")
    if place not in (*PLACES, *ROTATION_PLACES) or not count.isdigit() or action not in ACTIONS:
        raise ConfigurationError(
            f"{VARIABLE} must be PLACE:COUNT:ACTION with PLACE one of {', '.join(PLACES)} "
            f"and ACTION one of {', '.join(ACTIONS)}"
        )
    return _Armed(place, int(count), action)


_armed = _parse(os.environ.get(VARIABLE, ""))


def reach(place: str) -> None:
    """Called at each named place."""
    if _armed is not None and _armed.place == place:
        _count_down(_armed)


def _count_down(armed: _Armed) -> None:
    armed.countdown -= 1
    if armed.countdown != 0:
        return
    print(f"failpoint {armed.place}: {armed.action}", file=sys.stderr, flush=True)
    if armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if armed.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if armed.action == "raise":
        raise FailpointReached(f"failpoint {armed.place}")
    if armed.action == "full":
        raise StoreUnavailable(f"disk full (failpoint {armed.place})")
