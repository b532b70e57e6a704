"""The feed of live updates, and what it is made of."""

from ringback.observe.feed.changes import FinishedAttempt
from ringback.observe.feed.channel import Ended, Subscription
from ringback.observe.feed.hub import Feed, Limits, Views
from ringback.observe.feed.ring import Position, position_of

__all__ = ["Ended", "Feed", "FinishedAttempt", "Limits", "Position", "Subscription", "Views", "position_of"]
