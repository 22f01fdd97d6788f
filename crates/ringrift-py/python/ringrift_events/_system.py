"""The event system of this process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
from collections.abc import Mapping
from types import FrameType, TracebackType

from . import _loops, _native, _watch  # noqa: F401  (registers the sampler)
from ._context import CURRENT
from ._errors import Closed, Forked
from ._names import Seconds, TypeName, name_of, seconds
from ._operations import Operations
from ._payload import to_bytes
from ._publishing import Publishing, Receipt
from ._questions import Questions
from ._subscribing import Subscribing

LOOP_HELD_SECONDS = 0.5
"""How long a loop may be held: half of what people notice, so that a report comes within a second."""

_OPEN: set[EventSystem] = set()
_EXIT_LOOP_SECONDS = 1.0
"""How long the interpreter's exit waits for the package's own loop."""


class EventSystem(Subscribing, Questions):
    """Publishes, subscribes and answers questions, for this process.

    Open it with ``EventSystem.open(home)``, as a context manager of either kind.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None,
        settings: Mapping[str, object],
        loop_held: Seconds = LOOP_HELD_SECONDS,
    ) -> None:
        """Use ``EventSystem.open``."""
        super().__init__()
        self._loop_held = seconds(loop_held) or 0.0
        self._home = None if home is None else os.fspath(home)
        self._settings = [f"{name}={value}" for name, value in settings.items()]
        self._opened: _native.Core | None = None
        self._closed = False
        self._pid: int | None = None

    @classmethod
    def open(
        cls,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        loop_held: Seconds = LOOP_HELD_SECONDS,
    ) -> EventSystem:
        """Opens the system of a home, which is made if there is none.

        Without ``home``: ``$RINGRIFT_HOME``, else the nearest folder upwards that holds
        ``ringrift.toml``, else the current folder. ``settings`` are those of ``ringrift config show``.

        A loop with handlers that does not turn for ``loop_held`` is reported with the handler, the
        event and the line that hold it; 0 switches that off.

        Where a loop runs, opening waits for ``async with`` or for the first use, so that it need
        not hold the loop; elsewhere it is done when this returns.
        """
        system = cls(home, settings or {}, loop_held)
        if not _loops.is_running():
            system._core()
        return system

    def _core(self) -> _native.Core:
        core = self._opened
        if core is not None and not self._closed:
            return core
        with self._lock:
            if self._closed:
                raise Closed("this system was closed; open another one")
            if self._opened is None:
                self._opened = self._open()
                self._pid = os.getpid()
                _OPEN.add(self)
            return self._opened

    def _open(self) -> _native.Core:
        return _native.Core.open(self._home, self._settings, self._loop_held)

    def _refuse_fork(self, attempted: str) -> None:
        # Before anything of the parent's is looked at: what stands there does not stand here.
        if self._pid is not None and self._pid != os.getpid():
            raise Forked(f"this system was opened before fork(); {attempted} was refused")

    def __enter__(self) -> EventSystem:
        self._core()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> EventSystem:
        await asyncio.get_running_loop().run_in_executor(None, self._core)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def close(self, grace: Seconds | None = None) -> None:
        """Ends the system in this process. May be repeated.

        What runs has ``grace`` to finish (``process.shutdown_grace``), the rest is handed back. On a
        thread that runs a loop use ``aclose()``: here the loop's own handlers could not finish and are
        cancelled at once.
        """
        if grace is None and _loops.is_running():
            grace = 0.0
        self._close(seconds(grace))

    async def aclose(self, grace: Seconds | None = None) -> None:
        """The same without blocking the loop, whose handlers may finish meanwhile."""
        await asyncio.get_running_loop().run_in_executor(None, self._close, seconds(grace))

    def _close(self, grace: float | None) -> None:
        with self._lock:
            self._closed = True
            core = self._opened
        if core is None or self not in _OPEN:
            return
        try:
            core.close(grace)
        finally:
            _OPEN.discard(self)
            self._forget_all()

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed. To a forked child its parent's is not open."""
        return self._opened is not None and not self._closed and self._pid == os.getpid()

    @property
    def home(self) -> str:
        """The home's folder, by its real path."""
        return self._core().home

    @property
    def process(self) -> str:
        """The id of this process in the store."""
        return self._core().process

    @property
    def operations(self) -> Operations:
        """What a program does to its own process: daemons, audit, log levels, bridge rules."""
        return Operations(self._core)

    def publish(
        self,
        type: TypeName,
        payload: object = None,
        *,
        source: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Publishing:
        """Publishes one event. It takes effect at the call, from any thread, with or without a loop.

        What it returns may be awaited for the receipt, or forgotten. The receipt waits for this
        process's live handlers of the event, at most ``publish.wait`` (5 s) or as many seconds as
        ``wait`` says; ``wait=False``, and any publish inside a handler, has it at the commit.

        Raises:
            RingriftError: what is refused, before anything happened.
        """
        given = self._given(
            (name_of(type), payload, source, key, idempotency_key, id), wait, sys._getframe(stacklevel)
        )
        return Publishing(self._core().publish(given))

    def publish_sync(
        self,
        type: TypeName,
        payload: object = None,
        *,
        source: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Receipt:
        """The same, blocking this thread for room and for the receipt.

        On a thread that runs a loop it returns at the commit: the loop's handlers could not run.
        """
        if _loops.is_running():
            wait = False
        given = self._given(
            (name_of(type), payload, source, key, idempotency_key, id), wait, sys._getframe(stacklevel)
        )
        return Receipt._make(self._core().publish_blocking(given))

    @staticmethod
    def _given(
        words: tuple[str, object, str | None, str | None, str | None, str | None],
        wait: bool | float,
        frame: FrameType,
    ) -> _native.Given:
        name, payload, source, key, idempotency_key, id = words
        place = CURRENT.get()
        context = None if place is None else (place.trace_id, place.parent, place.depth)
        if wait is False or (place is not None and place.parent is not None):
            at_most = None
        else:
            at_most = -1.0 if wait is True else float(wait)
        return (
            name,
            to_bytes(payload),
            source,
            key,
            idempotency_key,
            id,
            context,
            at_most,
            frame.f_code.co_filename,
            frame.f_lineno,
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._opened else "not opened yet"
        return f"<EventSystem {self._home or 'of the default home'}, {state}>"


def _at_exit() -> None:
    """Whoever forgot to close: before the interpreter goes, while threads may still have its lock."""
    if not _OPEN:
        return
    _loops.abandon_stopped()
    for system in list(_OPEN):
        with contextlib.suppress(Exception):
            system._close(None)
    _loops.end_own(_EXIT_LOOP_SECONDS)


def _in_child() -> None:
    """A forked child: its parent's systems refuse it by themselves; it has nothing to end."""
    _OPEN.clear()
    _loops.forget_all()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
