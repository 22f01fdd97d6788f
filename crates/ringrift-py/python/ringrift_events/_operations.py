"""What a program does to its own process, and how the home's processes stand."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Literal, NamedTuple

from . import _native
from ._event import Event

LogPart = Literal["router", "bus"]


class Stage(NamedTuple):
    """One stage of the pipeline."""

    constant: str
    value: str
    data_event: str
    """The type that completing it publishes."""


def _objects(text: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(text)
    return answer


def who() -> str:
    """Who asks, as operators read it later."""
    try:
        return f"{getpass.getuser()} (python, pid {os.getpid()})"
    except (KeyError, OSError):
        return f"python, pid {os.getpid()}"


class Operations:
    """Daemons, audit, log levels and bridge rules of this process. Calls block for a few reads."""

    def __init__(self, core: Callable[[], _native.Core]) -> None:
        self._core = core

    def processes(self) -> list[dict[str, Any]]:
        """The processes of the home that live, this one first: counters, daemons, whether hung."""
        return _objects(self._core().processes())

    def daemons(self) -> list[dict[str, Any]]:
        """The daemons of this process and how they stand."""
        return _objects(self._core().daemons())

    def start_daemon(self, name: str | None = None) -> None:
        """Starts a daemon of this process, or all. It runs when this returns."""
        self._core().start_daemon(name)

    def stop_daemon(self, name: str | None = None, *, by: str | None = None) -> None:
        """Stops a daemon of this process, or all that may be. It has stopped when this returns."""
        self._core().stop_daemon(name, by or who())

    @property
    def audits(self) -> bool:
        """Whether hops of events are kept."""
        return self._core().audits()

    @audits.setter
    def audits(self, enabled: bool) -> None:
        self._core().set_audit(enabled)

    def audit(self, last: int = 10_000) -> list[dict[str, Any]]:
        """The last hops that this process kept, oldest first."""
        return _objects(self._core().audit(last))

    def set_log_level(self, part: LogPart, level: str | None) -> None:
        """Changes what a part of the system writes to the log file; ``None``: as configured."""
        self._core().set_log_level(part, level)

    def set_bridged(self, type: str | Enum, bridged: bool) -> None:
        """Says whether a type leaves this process from now on."""
        name = str(type.value) if isinstance(type, Enum) else type
        self._core().set_bridged(name, bridged)

    def stages(self) -> list[Stage]:
        """The stages of the pipeline, in order."""
        return [Stage(*parts) for parts in self._core().stages()]

    def pipeline(self) -> list[str]:
        """The types of the shipped pipeline, in the order in which they must flow."""
        return self._core().pipeline()

    def completions(self) -> list[dict[str, Any]]:
        """Which stages completed for whom, as far as this process has seen; newest first."""
        return _objects(self._core().completions())

    def read_log(
        self, after: int = 0, *, types: Iterable[str] = (), limit: int = 100
    ) -> tuple[list[Event], int]:
        """Events after a place of the log, in order, and the place up to which was read."""
        raw, upto = self._core().read_log(after, list(types), limit)
        return [Event(one) for one in raw], upto
