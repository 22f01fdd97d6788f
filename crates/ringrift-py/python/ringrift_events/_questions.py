"""What a program may ask of its system."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from . import _native
from ._names import Seconds, TypeName, name_of, seconds
from ._payload import to_bytes

By = Literal["all", "code", "type", "subscription", "process"]


class Questions:
    """The questions of a system. Each blocks for a few reads; on a loop, ask by ``asyncio.to_thread``."""

    def _core(self) -> _native.Core:
        raise NotImplementedError

    def explain(self, event: str) -> dict[str, Any]:
        """What became of one event: its id or the first digits, its number, or its idempotency key."""
        return _object(self._core().explain(event))

    def why_not(
        self,
        subscription: str,
        type: TypeName | None = None,
        *,
        key: str | None = None,
        since: Seconds = 3600.0,
    ) -> dict[str, Any]:
        """Why a handler is silent, looking ``since`` back."""
        name = None if type is None else name_of(type)
        return _object(self._core().why_not(subscription, name, key, seconds(since) or 0.0))

    def route(self, type: TypeName, payload: object = None, *, key: str | None = None) -> dict[str, Any]:
        """Who would get an event, and why others would not. Publishes nothing."""
        return _object(self._core().route(name_of(type), to_bytes(payload), key))

    def tree(self, event: str) -> dict[str, Any]:
        """What led to an event and what it led to, across processes."""
        return _object(self._core().tree(event))

    def doctor(self, since: Seconds = 3600.0) -> dict[str, Any]:
        """What is wrong with the whole home, worst first."""
        return _object(self._core().doctor(seconds(since) or 0.0))

    def health(self) -> dict[str, Any]:
        """How well the system is, over every live process of the home."""
        return _object(self._core().health())

    def stats(self, since: Seconds = 3600.0, *, slots: int = 1, by: By = "all") -> dict[str, Any]:
        """Throughput, failures, depth and lag of the home, and this process's counters."""
        return _object(self._core().stats(seconds(since) or 0.0, slots, by))

    def subscriptions(self) -> list[dict[str, Any]]:
        """Every subscription of the home that stands, of any process."""
        return _objects(self._core().subscriptions())

    def count_pending(self) -> int:
        """How many events of the log are owed to somebody."""
        return int(self._core().count_pending())

    def dead_letters(
        self,
        *,
        handler: str | None = None,
        event: str | None = None,
        states: Iterable[str] = (),
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """What failed and has not recovered, newest first."""
        return _objects(self._core().dead_letters(handler, event, list(states), limit))

    def retry_dead_letters(self, ids: Iterable[int], *, by: str = "python") -> int:
        """Makes dead letters due at once with a fresh budget; says how many changed."""
        return int(self._core().act_on_letters("retry", list(ids), by))

    def discard_dead_letters(self, ids: Iterable[int], *, by: str = "python") -> int:
        """Gives dead letters up; says how many changed."""
        return int(self._core().act_on_letters("discard", list(ids), by))

    def type_of(self, name: TypeName) -> str:
        """The canonical value of a type's name.

        Raises:
            TypeRefused: it is unknown; the message names the nearest.
        """
        return self._core().type_of(name_of(name))

    def types(self) -> dict[str, bool]:
        """Every known type, and whether it leaves its process."""
        return dict(self._core().types())


def _object(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    return answer


def _objects(text: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(text)
    return answer
