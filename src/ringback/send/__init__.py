"""One HTTP attempt: the only place that talks to receivers."""

from ringback.send.request import Request
from ringback.send.sender import Sender

__all__ = ["Request", "Sender"]
