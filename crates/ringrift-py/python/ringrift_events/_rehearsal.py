"""A system in memory whose time is moved by hand, and what a test asks of it."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _handlers, _loops, _native, _story
from ._answers import Answer
from ._context import current_event
from ._event import Event
from ._filters import Where, to_text
from ._names import TypeName
from ._publishing import Publishing, Receipt
from ._subscription import Subscription
from ._system import EventSystem

Length = float | str | timedelta
"""A length of time: seconds, ``"5m"``, ``"1h30m"``, ``"200ms"``, or a ``timedelta``."""

What = Event | Receipt | Publishing | TypeName
"""An event, or its id, or what publishing it returned; or a type of events."""

Whom = str | Subscription | Callable[..., object]
"""A handler: its function, its subscription, or its name."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_PATIENCE_SECONDS = 5.0
"""How long an assertion that a handler gets an event waits, in real time, for handlers that run."""

_PATIENCE_NOT_SECONDS = 1.0
"""The same for an assertion that none gets it: one that hangs would cost it in every test."""

_LOOKS = 20
"""How often ``within=`` looks on its way."""

_READ_MAX = 1000


def seconds_of(length: Length) -> float:
    """A length of time in seconds.

    Raises:
        ValueError: it is none, or below zero.
    """
    if isinstance(length, timedelta):
        seconds = length.total_seconds()
    elif isinstance(length, str):
        text = length.strip()
        if not text or _PART.sub("", text):
            raise ValueError(f"{length!r} is no length of time: 200ms, 30s, 5m, 1h30m and 2d are")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        seconds = float(length)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"time does not move by {length!r}")
    return seconds


class _Handled(NamedTuple):
    """One event that a handler has handled."""

    subscription: str
    event: Event


class Turn:
    """A move of time, or an assertion. Where no loop runs it has happened; on a loop, await it."""

    def __init__(self, do: Callable[[], None], forgotten: dict[Turn, str], said: str) -> None:
        self._do: Callable[[], None] | None = do
        self._forgotten = forgotten
        if _loops.is_running():
            # Here the loop's own handlers could not run meanwhile.
            forgotten[self] = said
        else:
            self._do = None
            do()

    def __await__(self) -> Generator[Any, None, None]:
        return self._turn().__await__()

    async def _turn(self) -> None:
        __tracebackhide__ = True
        self._forgotten.pop(self, None)
        do, self._do = self._do, None
        if do is not None:
            await asyncio.to_thread(do)


class Rehearsal(EventSystem):
    """An event system in memory, of one process, with time of its own.

    Time stands until ``advance`` moves it. What waits for time (retries, time limits, dedup windows,
    rates, stalls, alerts) then happens at once, in its order. ``asyncio.sleep`` and ``time.sleep`` of
    a handler take real time: a handler that sleeps longer than a tenth of a second is left sleeping
    while time moves on.
    """

    def __init__(
        self,
        home: str | os.PathLike[str],
        settings: Mapping[str, object] | None = None,
        *,
        seed: int = 1,
    ) -> None:
        super().__init__(home, settings or {}, 0.0)
        self._seed = seed
        self._handled: list[_Handled] = []
        self._published: dict[str, str] = {}
        self._names: dict[str, Callable[..., object]] = {}
        self._forgotten: dict[Turn, str] = {}

    def _open(self) -> _native.Core:
        assert self._home is not None
        return _native.Core.rehearse(self._home, self._settings, self._seed)

    def _runs(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        self._names[name] = function
        call: Callable[..., Any] = function

        def note(event: Event, answer: object) -> None:
            if not isinstance(answer, Answer):
                self._handled.append(_Handled(name, event))

        if _handlers.is_async(function):

            @functools.wraps(function)
            async def noting(event: Event) -> object:
                answer = await call(event)
                note(event, answer)
                return answer

            return noting

        @functools.wraps(function)
        def noting_plain(event: Event) -> object:
            answer = call(event)
            if not asyncio.iscoroutine(answer):
                note(event, answer)
            return answer

        return noting_plain

    if not TYPE_CHECKING:  # Checkers read the signatures of the base.

        def publish(self, type, payload=None, **how):
            how["stacklevel"] = how.get("stacklevel", 1) + 1
            publishing = super().publish(type, payload, **how)
            self._published[publishing.id] = self.type_of(type)
            return publishing

        def publish_sync(self, type, payload=None, **how):
            how["stacklevel"] = how.get("stacklevel", 1) + 1
            # Handlers that wait for this clock would make the receipt wait for the machine's.
            settles = how.get("wait", True) is True and not _loops.is_running() and current_event() is None
            if settles:
                how["wait"] = False
            receipt = super().publish_sync(type, payload, **how)
            self._published[receipt.id] = self.type_of(type)
            if settles:
                self._core().settle()
            return receipt

    def __repr__(self) -> str:
        return f"<Rehearsal at {self.now:%Y-%m-%d %H:%M:%S}>" if self.is_open else "<Rehearsal, closed>"

    @property
    def now(self) -> datetime:
        """Where time stands."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self._core().now_us())

    def advance(self, by: Length) -> Turn:
        """Moves time, stopping at each moment at which something is due, and settles.

        Raises:
            TimeoutError: the process does not come to rest; something in it is busy in real time.
        """
        seconds = seconds_of(by)
        return self._turn(f"advance({by!r})", lambda: self._core().advance(seconds))

    def settle(self) -> Turn:
        """Waits until nothing happens any more without time going on.

        What is due at this very moment is done, for which time moves by a second at most.

        Raises:
            TimeoutError: as ``advance``.
        """
        return self._turn("settle()", lambda: self._core().settle())

    def assert_delivered(
        self,
        what: What,
        to: Whom | None = None,
        *,
        where: Where | None = None,
        within: Length = 0.0,
    ) -> Turn:
        """Fails unless the event, or one of the type, was handled: the function returned.

        ``to`` names the handler; without it, any will do. ``where`` is a filter on the payload.
        ``within`` moves time, in twentieths, until it was handled. The failure tells what became of
        the event instead.

        Raises:
            AssertionError: it was not.
            LookupError: nobody subscribed by the name of ``to``.
        """
        __tracebackhide__ = True
        seconds, asked = seconds_of(within), self._asked(what, to, where)

        def do() -> None:
            __tracebackhide__ = True
            if not self._comes(asked, seconds):
                raise AssertionError(_story.undelivered(self, asked, self._events(asked)))

        return self._turn(f"assert_delivered({asked})", do)

    def assert_not_delivered(
        self,
        what: What,
        to: Whom | None = None,
        *,
        where: Where | None = None,
        within: Length = 0.0,
    ) -> Turn:
        """Fails if the event, or one of the type, was handled, with the story of how it came.

        ``within`` moves time by so much first; the rest as ``assert_delivered``.

        Raises:
            AssertionError: it was.
            LookupError: nobody subscribed by the name of ``to``.
        """
        __tracebackhide__ = True
        seconds, asked = seconds_of(within), self._asked(what, to, where)

        def do() -> None:
            __tracebackhide__ = True
            self._core().advance(seconds) if seconds else self._core().settle()
            found = self._handled_by(asked, _PATIENCE_NOT_SECONDS)
            if found:
                raise AssertionError(_story.delivered(self, asked, found))

        return self._turn(f"assert_not_delivered({asked})", do)

    def check_awaited(self) -> None:
        """Fails if a move or an assertion made on a loop was never awaited: it has not happened.

        Raises:
            AssertionError: with the lines.
        """
        __tracebackhide__ = True
        forgotten, self._forgotten = list(self._forgotten.values()), {}
        if forgotten:
            raise AssertionError("on a loop these have to be awaited, and were not: " + ", ".join(forgotten))

    def _turn(self, said: str, do: Callable[[], None]) -> Turn:
        __tracebackhide__ = True
        frame = sys._getframe(2)
        return Turn(do, self._forgotten, f"{said} at {frame.f_code.co_filename}:{frame.f_lineno}")

    def _asked(self, what: What, to: Whom | None, where: Where | None) -> _story.Asked:
        event, type_ = None, None
        if isinstance(what, (Event, Receipt, Publishing)):
            event = what.id
        elif not isinstance(what, Enum) and _is_id(what):
            event = what
        else:
            type_ = self.type_of(what)
        return _story.Asked(event, type_, None if to is None else self._named(to), to_text(where))

    def _named(self, to: Whom) -> frozenset[str]:
        if isinstance(to, Subscription):
            return frozenset([to.name])
        if isinstance(to, str):
            names = {name for name in self._names if name == to or name.endswith(f".{to}")}
        else:
            names = {name for name, function in self._names.items() if function == to}
        if not names:
            known = ", ".join(sorted(self._names)) or "nobody"
            said = to if isinstance(to, str) else _handlers.describe(to)
            raise LookupError(f"{said} has not subscribed here; subscribed are: {known}")
        return frozenset(names)

    def _found(self, asked: _story.Asked) -> list[tuple[str, Event]]:
        """The handlers that have handled what was asked for, each with its event."""
        return [
            (name, event)
            for name, event in list(self._handled)
            if (asked.to is None or name in asked.to) and asked.holds(event)
        ]

    def _comes(self, asked: _story.Asked, seconds: float) -> bool:
        core = self._core()
        core.settle()
        for _ in range(_LOOKS if seconds else 0):
            if self._found(asked):
                return True
            core.advance(seconds / _LOOKS)
        return bool(self._handled_by(asked, _PATIENCE_SECONDS))

    def _handled_by(self, asked: _story.Asked, patience: float) -> list[tuple[str, Event]]:
        """What is found once no handler runs any more, or at the end of patience in real time."""
        until = time.monotonic() + patience
        while not (found := self._found(asked)) and self._core().running() and time.monotonic() < until:
            self._core().settle()
        return found

    def _events(self, asked: _story.Asked) -> list[tuple[str, str]]:
        """The events that were meant, newest last, each with its type: of the log and of this test."""
        if asked.event is not None:
            return [(asked.event, self._published.get(asked.event, ""))]
        found = dict(self._published)
        after = 0
        while True:
            events, after = self._core().read_log(after, [], _READ_MAX)
            found.update((event.id, event.type) for event in events)
            if len(events) < _READ_MAX:
                return list(found.items())


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
