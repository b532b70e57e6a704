"""Operational lines: what the service says about itself."""

from __future__ import annotations

import logging
from functools import partial
from typing import TextIO

import structlog

FIRST = ("at", "level", "msg")


def configure_logging(stream: TextIO, *, human: bool, level: str, process: int | None = None) -> None:
    """structlog and the standard library's logging, through one renderer, to one stream.

    `process`: which of several it is, said on every line.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.EventRenamer("msg"),
        partial(_when_and_what_first, {} if process is None else {"process": process}),
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(event_key="msg", timestamp_key="at", colors=stream.isatty())
        if human
        else structlog.processors.JSONRenderer()
    )
    chain: list[structlog.typing.Processor] = (
        [*shared, render] if human else [*shared, structlog.processors.format_exc_info, render]
    )
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain[len(shared) :]],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _when_and_what_first(
    who: dict[str, int], _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {name: line[name] for name in FIRST} | who | dict(line)
