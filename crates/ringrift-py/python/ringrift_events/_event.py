"""One shape of an event, everywhere: attributes, and mapping access to what it carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from . import _native

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIELDS = (
    "id",
    "type",
    "event_type",
    "payload",
    "source",
    "key",
    "time",
    "timestamp",
    "trace_id",
    "parent_id",
    "depth",
    "origin",
    "stage",
    "seq",
    "attempt",
    "handler",
)
_FIELD_SET = frozenset(_FIELDS)


class Event(Mapping[str, Any]):
    """An event as a handler gets it.

    ``event["x"]`` and ``event.get("x")`` look at the event's own fields first, then at its payload.
    ``payload`` is parsed when somebody first asks, and is each handler's own: changing it reaches
    nobody else.
    """

    __slots__ = ("_attempt", "_handler", "_payload", "_raw")

    def __init__(self, raw: _native.RawEvent, *, attempt: int = 1, handler: str = "") -> None:
        self._raw = raw
        self._payload: dict[str, Any] | None = None
        self._attempt = attempt
        self._handler = handler

    @property
    def id(self) -> str:
        """Its name for ever (UUIDv7)."""
        return self._raw.id

    @property
    def type(self) -> str:
        """Its canonical type, such as ``training_completed``."""
        return self._raw.type

    @property
    def event_type(self) -> str:
        """The same as ``type``."""
        return self._raw.type

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON object that it carries."""
        if self._payload is None:
            self._payload = json.loads(self._raw.payload)
        return self._payload

    @property
    def payload_bytes(self) -> bytes:
        """The payload as it was published, byte for byte."""
        return self._raw.payload

    @property
    def source(self) -> str:
        """Who published it, in the publisher's words."""
        return self._raw.source

    @property
    def key(self) -> str | None:
        """What orders and groups it."""
        return self._raw.key

    @property
    def time(self) -> datetime:
        """When it was made, by the publisher's clock; in UTC."""
        return _EPOCH + timedelta(microseconds=self._raw.published_us)

    @property
    def timestamp(self) -> float:
        """The same in seconds since 1970."""
        return self._raw.published_us / 1_000_000

    @property
    def trace_id(self) -> str:
        """The trace it belongs to."""
        return self._raw.trace_id

    @property
    def parent_id(self) -> str | None:
        """The event whose handler published it."""
        return self._raw.parent_id

    @property
    def depth(self) -> int:
        """How many parents it has above it."""
        return self._raw.depth

    @property
    def origin(self) -> str:
        """The process that published it."""
        return self._raw.origin

    @property
    def stage(self) -> str | None:
        """The pipeline stage whose completion it announces."""
        return self._raw.stage

    @property
    def seq(self) -> int | None:
        """Its place in the log; ``None`` for a volatile event."""
        return self._raw.seq

    @property
    def attempt(self) -> int:
        """Which attempt of this handler this is, from 1."""
        return self._attempt

    @property
    def handler(self) -> str:
        """The name of the handler that has it."""
        return self._handler

    def __getitem__(self, name: str) -> Any:
        if name in _FIELD_SET:
            return getattr(self, name)
        return self.payload[name]

    def __iter__(self) -> Iterator[str]:
        yield from _FIELDS
        yield from (name for name in self.payload if name not in _FIELD_SET)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self._raw.id)

    def __repr__(self) -> str:
        place = "volatile" if self.seq is None else f"#{self.seq}"
        return f"<Event {self.type} {self.id} {place}>"
