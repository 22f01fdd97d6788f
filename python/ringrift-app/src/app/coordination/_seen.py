"""What a handler has handled: keys that are reserved by a run and confirmed when it succeeds."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from ringrift_events import Answer, Duplicate, Skip
from ringrift_events._context import CURRENT
from ringrift_events._forks import Lock

SEEN_MAX = 1_000_000
"""Keys that one handler remembers; the oldest go first."""

MISSING: Final = object()


class Seen(NamedTuple):
    """When a key was confirmed, and for which event."""

    at: float
    """On the monotonic clock."""
    event_id: str


class SeenEvents(dict[str, Seen]):
    """Confirmed keys. ``clear()`` forgets them all."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()
        self._reserved: dict[str, str] = {}

    def reserve(self, key: str, event_id: str, ttl: float) -> tuple[Seen | None, Seen | None]:
        """Reserves a key for an event, or says who has it; and who had it, if its window is over."""
        with self.lock:
            seen = self.get(key)
            if seen is not None:
                if time.monotonic() - seen.at < ttl:
                    return seen, None
                del self[key]
            reserved_by = self._reserved.setdefault(key, event_id)
            if reserved_by != event_id:
                # One that runs now and fails is retried itself: this one has nothing to add.
                return Seen(time.monotonic(), reserved_by), None
            before = seen if seen is not None and seen.event_id != event_id else None
            return None, before

    def confirm(self, key: str, event_id: str) -> None:
        """Its run succeeded."""
        with self.lock:
            self._reserved.pop(key, None)
            self[key] = Seen(time.monotonic(), event_id)
            while len(self) > SEEN_MAX:
                del self[next(iter(self))]

    def release(self, key: str, event_id: str) -> None:
        """Its run failed: the key is free."""
        with self.lock:
            if self._reserved.get(key) == event_id:
                del self._reserved[key]

    def look_and_confirm(self, key: str, event_id: str, ttl: float) -> bool:
        """For calls outside of a run: whether the key is known; it is from now on."""
        if self.reserve(key, event_id, ttl)[0] is not None:
            return True
        self.confirm(key, event_id)
        return False


class Call:
    """One run of a handler's method, and what its dedup decided."""

    def __init__(self, seen: SeenEvents, event_id: str) -> None:
        self._seen = seen
        self._event_id = event_id
        self._keys: list[str] = []
        self._duplicate: tuple[str, Seen] | None = None

    def is_duplicate(self, key: str, ttl: float) -> bool:
        """Whether somebody else has the key; else this run has it."""
        holder, before = self._seen.reserve(key, self._event_id, ttl)
        if holder is None:
            self._keys.append(key)
            if before is not None:
                self._tell_ran_before(before, ttl)
            return False
        self._duplicate = (key, holder)
        return True

    @staticmethod
    def _tell_ran_before(before: Seen, ttl: float) -> None:
        place = CURRENT.get()
        if place is not None and place.run is not None and before.event_id:
            late = time.monotonic() - (before.at + ttl)
            place.run.ran_before(before.event_id, int((time.time() - late) * 1_000_000))

    def ended(self, answer: object, ttl: float) -> object:
        """What the library is to be told after a run that raised nothing."""
        if isinstance(answer, Answer):
            self.answered(answer)
            return answer
        if self._duplicate is not None:
            key, holder = self._duplicate
            left = max(0.0, holder.at + ttl - time.monotonic())
            until = datetime.now(timezone.utc) + timedelta(seconds=left)
            return Duplicate(holder.event_id, key, until=until)
        self._confirm()
        return answer

    def answered(self, answer: Answer) -> None:
        """The method answered by itself: what it skipped is handled, what it wants again is not."""
        if isinstance(answer, (Skip, Duplicate)):
            self._confirm()

    def _confirm(self) -> None:
        for key in self._keys:
            self._seen.confirm(key, self._event_id)
        self._keys.clear()

    def release(self) -> None:
        """Gives back what was not confirmed."""
        for key in self._keys:
            self._seen.release(key, self._event_id)
        self._keys.clear()
