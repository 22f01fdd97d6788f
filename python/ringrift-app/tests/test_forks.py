"""Forked children: whatever their parent's threads held, they do not hang."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from app.coordination import _process
from app.coordination.event_router import UnifiedEventRouter, get_router
from conftest import WITHIN_SECONDS, MyHandler
from ringrift_events import Forked


def in_child_while_held(lock: object, work: object) -> int:
    """Forks while another thread holds a lock; the child's exit code. A child that hangs is killed."""
    assert callable(work) and hasattr(lock, "__enter__")
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:  # type: ignore[attr-defined]
            held.set()
            over.wait(WITHIN_SECONDS)

    holds = threading.Thread(target=hold)
    holds.start()
    held.wait(WITHIN_SECONDS)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(WITHIN_SECONDS / 2))
        code = 70
        try:
            code = int(work())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    over.set()
    holds.join(WITHIN_SECONDS)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_a_child_finds_the_locks_of_router_and_handlers_free(
    router: UnifiedEventRouter,
) -> None:
    handler = MyHandler.get_instance()
    await handler.start()

    def asks() -> int:
        refused = 0
        for attempt in (
            lambda: get_router().publish("TRAINING_COMPLETED"),
            lambda: get_router().subscribe("TRAINING_COMPLETED", print),
            handler.get_recent_errors,
        ):
            try:
                attempt()
            except Forked:
                refused += 1
        assert not handler.is_running
        return refused

    for lock in (_process.LOCK, handler._lock, handler._seen_events.lock):
        assert in_child_while_held(lock, asks) == 3
