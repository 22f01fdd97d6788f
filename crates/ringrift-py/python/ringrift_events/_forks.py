"""Locks that a forked child finds free, whichever of its parent's threads held them."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType


class Lock:
    """A reentrant lock. ``fork()`` copies locks as they stand, without the threads that would free them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _ALL.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _renew(self) -> None:
        # What the forking thread itself holds it frees in the child too; anybody else is gone.
        owned: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        if not owned:
            self._lock = threading.RLock()


_ALL: weakref.WeakSet[Lock] = weakref.WeakSet()


def _in_child() -> None:
    for lock in list(_ALL):
        lock._renew()


os.register_at_fork(after_in_child=_in_child)
