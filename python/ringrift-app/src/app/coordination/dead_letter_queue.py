"""What failed and has not recovered."""

from __future__ import annotations

from typing import Any

from ringrift_events import EventSystem

from .event_router import get_router

__all__ = ["DeadLetterQueue", "get_dead_letter_queue"]

_COUNTED_MAX = 100_000


class DeadLetterQueue:
    """Failed deliveries: each is one event for one handler. A retry reaches that handler alone."""

    def __init__(self, events: EventSystem) -> None:
        self._events = events

    def count(self, handler: str | None = None) -> int:
        """How many there are, at most 100,000."""
        return len(self._events.dead_letters(handler=handler, limit=_COUNTED_MAX))

    def list(
        self, *, handler: str | None = None, event_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest, with event, error, attempts and next retry."""
        return self._events.dead_letters(handler=handler, event=event_id, limit=limit)

    def retry(self, *ids: int) -> int:
        """Makes these due at once with a fresh budget; how many changed."""
        return self._events.retry_dead_letters(ids)

    def discard(self, *ids: int) -> int:
        """Gives these up; how many changed."""
        return self._events.discard_dead_letters(ids)


def get_dead_letter_queue() -> DeadLetterQueue:
    """The dead letters of this process's home."""
    return DeadLetterQueue(get_router().events)
