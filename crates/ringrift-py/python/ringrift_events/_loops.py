"""What an asyncio loop has of the library: a bell among its sockets, and the runs that it does.

A loop belongs to one thread, and so does everything here: only a loop's own thread touches its side.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from . import _native
from ._context import CURRENT, of_run
from ._event import Event
from ._forks import Lock
from ._handlers import Handler, attend, find


class LoopSide:
    """One loop's side."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.bell = _native.Bell()
        self._loop = weakref.ref(loop)
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
        for number, ours in list(self._tasks.items()):
            if ours is task:
                return number
        return None

    def task_of(self, run: int) -> asyncio.Task[None] | None:
        """The task that does the run of this number."""
        return self._tasks.get(run)

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
                self._begin(number, thing)
            elif kind == 1:
                task = self._tasks.get(number)
                if task is not None:
                    task.cancel()
            elif kind == 2:
                told = self._waits.pop(number, None)
                if told is not None:
                    told(None)
            else:
                assert isinstance(thing, _native.RawEvent)
                told = self._waits.get(number)
                if told is not None:
                    told(thing)

    def _begin(self, callee: int, run: _native.Run) -> None:
        handler, loop = find(callee), self._loop()
        if handler is None or loop is None:
            run.fail("its subscription ended before it began", None)
            return
        event = Event(run.event, attempt=run.attempt, handler=run.handler)
        try:
            task = handler.context.copy().run(self._spawn, loop, handler, run, event)
        except BaseException as error:
            run.fail(f"its task could not be made: {error!r}", None)
            raise
        self._tasks[run.number] = task
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: _native.Run) -> None:
        self._tasks.pop(run.number, None)
        # One that answered has answered; one that was cancelled before its first step never could.
        run.fail("its task was cancelled before it began", None)

    @staticmethod
    def _spawn(
        loop: asyncio.AbstractEventLoop, handler: Handler, run: _native.Run, event: Event
    ) -> asyncio.Task[None]:
        CURRENT.set(of_run(event, run))
        name = f"ringrift:{run.handler}:{event.type}:{event.id}"
        return loop.create_task(attend(handler, run, event), name=name)


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
