"""What this process has one of: its router, and what it changed for every router that it opens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ringrift_events._forks import Lock

if TYPE_CHECKING:
    from ringrift_events import EventSystem

    from .event_router import UnifiedEventRouter

Part = Literal["router", "bus"]

LOCK = Lock()


class _Current:
    router: UnifiedEventRouter | None = None


CURRENT = _Current()

BRIDGED: dict[str, bool] = {}
"""Bridge rules that this process changed: canonical value, and whether it leaves the process."""


BEFORE_CLOSE: list[Callable[[EventSystem], None]] = []
"""What is called with a system before it is closed here."""


def closing(events: EventSystem) -> None:
    """Says that a system is about to be closed. Blocks for what that takes."""
    for told in BEFORE_CLOSE:
        told(events)


class _Governing(logging.Logger):
    """A logger whose level is also that of what its part writes to the log file."""

    part: Part

    def setLevel(self, level: int | str) -> None:
        super().setLevel(level)
        router = CURRENT.router
        if router is not None and router.events.is_open:
            _govern(router.events, self)


def _level_of(logger: logging.Logger) -> str | None:
    """The log file's level for a logger's own; none if it has none of its own."""
    if logger.level == logging.NOTSET:
        return None
    for least, name in (
        (logging.ERROR, "error"),
        (logging.WARNING, "warn"),
        (logging.INFO, "info"),
    ):
        if logger.level >= least:
            return name
    return "debug"


def _govern(events: EventSystem, logger: _Governing) -> None:
    events.operations.set_log_level(logger.part, _level_of(logger))


def governing(name: str, part: Part) -> logging.Logger:
    """The logger of this name, which governs a part from now on.

    It may exist already, of whatever class the program chose, with a level that somebody set.
    """
    logger = logging.getLogger(name)
    if not isinstance(logger, _Governing):
        logger.__class__ = type("GoverningLogger", (_Governing, type(logger)), {})
        assert isinstance(logger, _Governing)
        logger.part = part
    _LOGGERS.append(logger)
    return logger


_LOGGERS: list[_Governing] = []


def opened(events: EventSystem) -> None:
    """Applies to a system that was opened just now what this process changed before."""
    for logger in _LOGGERS:
        if logger.level != logging.NOTSET:
            _govern(events, logger)
    for name, bridged in BRIDGED.items():
        events.operations.set_bridged(name, bridged)


ROUTER_LOG = governing("app.coordination.event_router", "router")
BUS_LOG = governing("app.distributed.data_events", "bus")
