"""A subscription of this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any

from . import _native
from ._errors import ExpectTimeout
from ._event import Event
from ._loops import LoopSide, own, running, side_of


class Subscription:
    """A handler's subscription. Dropping it changes nothing; ``unsubscribe()`` ends it here."""

    def __init__(
        self,
        native: _native.Subscription,
        function: Callable[..., object],
        side: LoopSide | None,
        ended: Callable[[Subscription], None],
    ) -> None:
        self._native = native
        self._side = None if side is None else weakref.ref(side)
        self._ended_here = False
        self._ended = ended
        self.function = function

    @property
    def id(self) -> str:
        """Its number in the store."""
        return self._native.id

    @property
    def name(self) -> str:
        """Its name, which is its handler's."""
        return self._native.name

    @property
    def existed(self) -> bool:
        """Whether a durable one stood already when this process subscribed."""
        return self._native.existed

    @property
    def is_active(self) -> bool:
        """Whether it may be called here: not unsubscribed, and its loop, if it is on one, not closed."""
        if self._ended_here or self._side is None:
            return not self._ended_here
        side = self._side()
        return side is not None and not side.is_closed()

    @property
    def stats(self) -> dict[str, Any]:
        """What its handler has done in this process."""
        stats: dict[str, Any] = json.loads(self._native.stats())
        return stats

    def recent_errors(self, limit: int = 10) -> list[dict[str, Any]]:
        """Its handler's last errors in this process, newest first."""
        errors: list[dict[str, Any]] = json.loads(self._native.recent_errors(limit))
        return errors

    def unsubscribe(self, grace: float | None = None) -> None:
        """Ends it in this process: no call starts after this returns. May be repeated.

        Blocks for the hand-over of what a durable one had claimed; what it runs has ``grace`` seconds
        to finish (``process.shutdown_grace``), and is handed back then.
        """
        try:
            self._native.unsubscribe(grace)
        finally:
            self._ended_here = True
            self._ended(self)

    async def unsubscribe_async(self) -> None:
        """The same without blocking the loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.unsubscribe)

    def pause(self, by: str = "python") -> bool:
        """Stops new claims of a durable one in every process; open ones finish."""
        return self._native.pause(by)

    def resume(self, by: str = "python") -> bool:
        """Lets a paused one go on."""
        return self._native.resume(by)

    def __repr__(self) -> str:
        return f"<Subscription {self.name}>"


class Expectation:
    """The next event that is waited for. It, and the time for it, count from the call that made it.

    Await it on a loop, or ``wait()`` on a thread.
    """

    def __init__(
        self, what: str, timeout: float, subscribe: Callable[[LoopSide, int], _native.Subscription]
    ) -> None:
        self._what = what
        self._timeout = timeout
        self._until = time.monotonic() + timeout
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        here = running()
        self._side = here if here is not None else own()
        self._event: Event | None = None
        self._told: list[Callable[[], None]] = []
        self._number = self._side.wait(self._arrived)
        try:
            self._subscription = subscribe(self._side, self._number)
        except BaseException:
            self._side.forget(self._number)
            raise
        self._on_loop(self._set_timer)

    def _on_loop(self, what: Callable[[], object]) -> None:
        loop = self._side.loop
        if loop is not None:
            # A loop that is closed takes its subscriptions with it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(what)

    def _set_timer(self) -> None:
        if not self._is_closed:
            left = max(0.0, self._until - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(left, self._expire)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        # Nobody waits for it: whoever does ends it himself.
        if not self._is_closed and not self._told:
            asyncio.get_running_loop().run_in_executor(None, self.close)

    def _arrived(self, raw: _native.RawEvent | None) -> None:
        if self._event is None and raw is not None:
            self._event = Event(raw)
            for tell in self._told:
                tell()

    def __await__(self) -> Generator[Any, None, Event]:
        return self._next().__await__()

    async def _next(self) -> Event:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not ready.done():
                ready.set_result(None)

        def tell() -> None:
            loop.call_soon_threadsafe(end)

        self._told.append(tell)
        side_of(loop)
        try:
            if self._event is None and not self._is_closed:
                await asyncio.wait_for(ready, max(0.0, self._until - time.monotonic()))
        except (asyncio.TimeoutError, TimeoutError):
            pass
        finally:
            self._told.remove(tell)
            await asyncio.shield(loop.run_in_executor(None, self.close))
        return self._found()

    def wait(self) -> Event:
        """Waits on this thread; never call it on the loop that made it."""
        ready = threading.Event()
        self._told.append(ready.set)
        try:
            if self._event is None and not self._is_closed:
                ready.wait(max(0.0, self._until - time.monotonic()))
        finally:
            self._told.remove(ready.set)
            self.close()
        return self._found()

    def _found(self) -> Event:
        if self._event is None:
            raise ExpectTimeout(
                f"no {self._what} came within {self._timeout} s",
                next=f"ringrift why-not {self._subscription.name}",
                retryable=True,
            )
        return self._event

    def close(self) -> None:
        """Ends the wait. May be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        self._on_loop(self._cancel_timer)
        self._side.forget(self._number)
        self._subscription.unsubscribe(None)
