"""A handler's statistics: the library's counts, under the names that operators know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

_TIMES = ("last_activity", "last_event_time", "last_error_time")


class _Counter:
    """A count over a handler's subscriptions, those that ended too. It may be set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, stats: HandlerStats, owner: type | None = None) -> int:
        return stats._sum(self._name) + stats._offsets.get(self._name, 0)

    def __set__(self, stats: HandlerStats, count: int) -> None:
        stats._offsets[self._name] = count - stats._sum(self._name)


class _Last:
    """The newest of a moment over a handler's subscriptions."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, stats: HandlerStats, owner: type | None = None) -> datetime | None:
        newest = max((one.get(self._name) or 0 for one in stats._all()), default=0)
        return datetime.fromtimestamp(newest / 1_000_000, tz=timezone.utc) if newest else None


class HandlerStats:
    """What a handler has done in this process since it was made."""

    events_processed = _Counter()
    """Runs that ended, whatever came of them; duplicates are not among them."""
    events_deduplicated = _Counter()
    success_count = _Counter()
    errors_count = _Counter()
    skipped_count = _Counter()
    timeouts_count = _Counter()
    last_activity = _Last()
    last_event_time = _Last()
    last_error_time = _Last()

    def __init__(self, read: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self._read = read
        self._past: dict[str, Any] = {}
        self._offsets: dict[str, int] = {}
        self.started_at: datetime | None = None
        self.subscribed = False
        self.cycles_completed = 0
        """For handlers that work in cycles of their own."""
        self.custom_stats: dict[str, Any] = {}

    @property
    def last_error(self) -> str | None:
        """The last error's text."""
        with_errors = [one for one in self._all() if one.get("last_error")]
        last = max(with_errors, key=lambda one: one.get("last_error_time") or 0, default=None)
        return None if last is None else str(last["last_error"])

    def _all(self) -> list[Mapping[str, Any]]:
        return [*self._read(), self._past]

    def _sum(self, name: str) -> int:
        return sum(int(one.get(name, 0)) for one in self._all())

    def keep(self, ended: Mapping[str, Any]) -> None:
        """Adds what a subscription that ends has counted."""
        past = self._past
        if (ended.get("last_error_time") or 0) > (past.get("last_error_time") or 0):
            past["last_error"] = ended["last_error"]
        for name, value in ended.items():
            if name in _TIMES:
                past[name] = max(past.get(name) or 0, value or 0)
            elif isinstance(value, int) and not isinstance(value, bool):
                past[name] = past.get(name, 0) + value

    def as_dict(self) -> dict[str, Any]:
        """Everything, by name."""
        names = [name for name, kind in vars(HandlerStats).items() if isinstance(kind, (_Counter, _Last))]
        shown = {name: getattr(self, name) for name in names}
        return {
            **shown,
            "last_error": self.last_error,
            "started_at": self.started_at,
            "subscribed": self.subscribed,
            "cycles_completed": self.cycles_completed,
            "custom_stats": dict(self.custom_stats),
        }

    def __repr__(self) -> str:
        return f"HandlerStats({self.as_dict()})"
