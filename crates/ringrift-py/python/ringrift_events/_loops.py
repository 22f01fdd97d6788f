"""What an asyncio loop has of the library: a bell among its sockets, and the runs that it does.

A loop belongs to one thread, and so does everything here: only a loop's own thread touches its side.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from . import _native
from ._event import Event
from ._forks import Lock
from ._handlers import ENTRIES, attend, find


class LoopSide:
    """One loop's side."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.bell = _native.Bell()
        self._loop = weakref.ref(loop)
        self._calls: deque[tuple[int, _native.Run]] = deque()
        # One task does the calls one after the other. Where one waits, the task stays with it, and
        # another goes on: a task for each would cost more than most handlers do.
        self._turns: asyncio.Task[None] | None = None
        self._at: _native.Run | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waits: dict[int, Callable[[_native.RawEvent | None], None]] = {}
        self._numbers = itertools.count(1)
        self._ident = threading.get_ident()
        try:
            loop.add_reader(self.bell.fileno(), self._read)
        except NotImplementedError:
            raise RuntimeError(
                f"{type(loop).__name__} cannot watch descriptors; use a selector loop or uvloop"
            ) from None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Its loop, unless it is gone."""
        return self._loop()

    @property
    def ident(self) -> int:
        """The thread that last turned it."""
        return self._ident

    def run_of(self, task: asyncio.Task[Any]) -> int | None:
        """The number of the run that a task does, if it is one of ours."""
        at = self._at
        if at is not None and task is self._turns:
            return at.number
        for number, ours in list(self._tasks.items()):
            if ours is task:
                return number
        return None

    def task_of(self, run: int) -> asyncio.Task[None] | None:
        """The task that does the run of this number."""
        at = self._at
        return self._turns if at is not None and at.number == run else self._tasks.get(run)

    def is_closed(self) -> bool:
        """Whether its loop is closed or gone: nothing runs there any more."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    def is_turning(self) -> bool:
        """Whether somebody runs its loop."""
        loop = self._loop()
        return loop is not None and loop.is_running()

    def wait(self, told: Callable[[_native.RawEvent | None], None]) -> int:
        """Has the loop call ``told`` when the library says that this number is ready."""
        number = next(self._numbers)
        self._waits[number] = told
        return number

    def forget(self, number: int) -> None:
        """Ends a wait."""
        self._waits.pop(number, None)

    def _read(self) -> None:
        self._ident = threading.get_ident()
        for kind, number, thing in self.bell.take():
            if kind == 0:
                assert isinstance(thing, _native.Run)
                self._calls.append((number, thing))
            elif kind == 1:
                self._cancel(number)
            elif kind == 2:
                told = self._waits.pop(number, None)
                if told is not None:
                    told(None)
            else:
                assert isinstance(thing, _native.RawEvent)
                told = self._waits.get(number)
                if told is not None:
                    told(thing)
        self._take_turns()

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()
            return
        for call in self._calls:
            if call[1].number == number:
                self._calls.remove(call)
                call[1].fail(_NOT_BEGUN, None)
                return

    def _take_turns(self) -> None:
        """Has a task do the calls that wait, unless one does already."""
        loop = self._loop()
        if not self._calls or self._turns is not None or loop is None:
            return
        self._turns = loop.create_task(self._do_calls())
        self._turns.add_done_callback(self._turned)

    async def _do_calls(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            # A handler may have cancelled its task and ended: that is not for the others.
            while self._calls and task is self._turns and not getattr(task, "_must_cancel", False):
                await self._do(task, *self._calls.popleft())
        finally:
            if task is self._turns:
                self._turns = None
                self._take_turns()

    async def _do(self, task: asyncio.Task[None], callee: int, run: _native.Run) -> None:
        handler = find(callee)
        if handler is None:
            run.fail("its subscription ended before it began", None)
            return
        event = Event(run.event, attempt=run.attempt, handler=run.handler)
        task.set_name(f"ringrift:{event.handler}:{event.type}:{event.id}")
        self._at = run
        try:
            await attend(handler, run, event, self._stays)
        finally:
            if self._at is run:
                self._at = None
            else:
                del self._tasks[run.number]

    def _stays(self) -> None:
        """The run that the turns are at waits: their task is its own from now on."""
        assert self._at is not None and self._turns is not None
        self._tasks[self._at.number] = self._turns
        self._turns = self._at = None
        self._take_turns()

    def _turned(self, task: asyncio.Task[None]) -> None:
        if task is self._turns:
            # Cancelled before its first step, as everything on a loop that ends.
            self._turns = None
            while self._calls:
                self._calls.popleft()[1].fail(_NOT_BEGUN, None)


ENTRIES.update((LoopSide._do_calls.__code__, LoopSide._do.__code__))

_NOT_BEGUN = "its task was cancelled before it began"


_SIDES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopSide] = weakref.WeakKeyDictionary()
_OWN_LOCK = Lock()
_OWN: tuple[LoopSide, asyncio.AbstractEventLoop, threading.Thread] | None = None


def side_of(loop: asyncio.AbstractEventLoop) -> LoopSide:
    """A loop's side. Call it on the loop's thread."""
    side = _SIDES.get(loop)
    if side is None:
        side = _SIDES[loop] = LoopSide(loop)
    return side


def by_number(number: int) -> LoopSide | None:
    """The side with this bell."""
    for side in list(_SIDES.values()):
        if side.bell.number == number:
            return side
    return None


def running() -> LoopSide | None:
    """The side of the loop that runs on this thread, if one does."""
    try:
        return side_of(asyncio.get_running_loop())
    except RuntimeError:
        return None


def is_running() -> bool:
    """Whether a loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def own() -> LoopSide:
    """The side of the package's own loop, which has a thread for itself; started when first needed."""
    global _OWN
    with _OWN_LOCK:
        if _OWN is None:
            ready: list[LoopSide] = []
            began = threading.Event()
            loop = asyncio.new_event_loop()

            def turn() -> None:
                asyncio.set_event_loop(loop)
                ready.append(side_of(loop))
                began.set()
                loop.run_forever()

            # A daemon, so that a handler that hangs does not hold the interpreter's exit.
            thread = threading.Thread(target=turn, name="ringrift:loop", daemon=True)
            thread.start()
            began.wait()
            _OWN = (ready[0], loop, thread)
        return _OWN[0]


def end_own(timeout: float) -> None:
    """Stops the package's own loop and waits for its thread."""
    global _OWN
    with _OWN_LOCK:
        if _OWN is None:
            return
        _, loop, thread = _OWN
        _OWN = None
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(timeout)
        if not thread.is_alive():
            loop.close()


def abandon_stopped() -> None:
    """Ends the sides of loops that nobody runs any more, so that nobody waits for them."""
    for side in list(_SIDES.values()):
        if not side.is_turning():
            side.bell.close()


def forget_all() -> None:
    """A forked child has none of its parent's loops."""
    global _OWN
    _OWN = None
    _SIDES.clear()
