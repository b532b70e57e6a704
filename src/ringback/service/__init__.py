"""The composition root: puts the parts together, runs them, and takes them down in the right order.

Drain (SIGTERM, SIGINT): unready, refuse publishes, flush intake, stop claims, finish attempts, record,
release what is left, leave.
"""

from ringback.service.http import http_server
from ringback.service.node import Service, open_service
from ringback.service.running import prepare, run, serve

__all__ = ["Service", "http_server", "open_service", "prepare", "run", "serve"]
