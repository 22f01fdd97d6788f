"""Which event is being handled here: carried by contextvars, into tasks and threads alike."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal, NamedTuple

from . import _native
from ._event import Event

StepKind = Literal["db", "network", "disk", "compute", "command"]


class Place(NamedTuple):
    """Where a publish made here belongs, outside of handlers."""

    trace_id: str
    parent: None = None
    depth: int = 0
    event: None = None
    run: None = None


class Handling:
    """The place of what a handler of this event publishes; told when somebody asks, few do."""

    __slots__ = ("event", "run")

    def __init__(self, event: Event, run: _native.Run) -> None:
        self.event = event
        self.run = run

    @property
    def trace_id(self) -> str:
        """The trace of the event."""
        return self.event.trace_id

    @property
    def parent(self) -> str:
        """The event."""
        return self.event.id

    @property
    def depth(self) -> int:
        """One below it."""
        return self.event.depth + 1


CURRENT: ContextVar[Place | Handling | None] = ContextVar("ringrift_events", default=None)


def current_event() -> Event | None:
    """The event that is being handled here, if any."""
    place = CURRENT.get()
    return None if place is None else place.event


def current_trace_id() -> str | None:
    """The trace that a publish made here would belong to, if it is known already."""
    place = CURRENT.get()
    return None if place is None else place.trace_id


@contextlib.contextmanager
def trace(trace_id: str | None = None) -> Iterator[str]:
    """Publishes made inside belong to one trace: this one, or a new one.

    Inside a handler it begins a trace of its own, without the handler's event as parent.
    """
    known = uuid.uuid4().hex if trace_id is None else trace_id.replace("-", "").lower()
    token = CURRENT.set(Place(known))
    try:
        yield known
    finally:
        CURRENT.reset(token)


def step(kind: StepKind, name: str) -> None:
    """Names what the running handler does from now on: a time-out is blamed on it.

    Outside a handler it does nothing.
    """
    place = CURRENT.get()
    if place is not None and place.run is not None and not place.run.step(kind, name):
        raise ValueError(f"{kind!r} is no kind of step: db, network, disk, compute, command")
