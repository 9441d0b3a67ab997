"""How log lines look: one JSON object a line, or coloured text on a terminal. Everything goes to stderr.

The lines of other libraries (the server, the database's driver) come through the same formatter.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from marketplace.foundation.settings import Settings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served, which every line written meanwhile carries."""

_encoder = msgspec.json.Encoder(enc_hook=repr)


def configure(settings: Settings) -> None:
    """Set up structlog and the standard library's logging for this process."""
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.DEBUG if settings.debug else logging.INFO
    shared: list[Processor] = [_add_request_id, structlog.processors.add_log_level, _TIMES[is_json]]
    structlog.configure(
        processors=[*shared, *_last(is_json=is_json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_loggers(is_json=is_json),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(shared, is_json=is_json, level=level)


def _route_standard_logging(shared: list[Processor], *, is_json: bool, level: int) -> None:
    *before, render = _last(is_json=is_json)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *before,
                _as_text if is_json else render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("aiosqlite", "asyncio", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(level, logging.INFO))
    logging.getLogger("alembic").setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)


def _last(*, is_json: bool) -> list[Processor]:
    if is_json:
        return [structlog.processors.format_exc_info, _as_bytes]
    # The usual stack shows every local value, bodies and keys among them, and takes a second to draw.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _loggers(*, is_json: bool) -> Any:
    return structlog.BytesLoggerFactory(sys.stderr.buffer) if is_json else structlog.PrintLoggerFactory(sys.stderr)


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    identity = request_id.get()
    if identity is not None:
        event["request_id"] = identity
    return event


def _as_bytes(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return _encoder.encode(event)


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encoder.encode(event).decode()


_TIMES: dict[bool, Any] = {
    True: structlog.processors.TimeStamper(fmt="iso", key="at"),
    False: structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
}
