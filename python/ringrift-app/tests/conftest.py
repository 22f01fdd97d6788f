"""A home below a fresh current folder, and handlers and traffic in this process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import blocks
import pytest
import pytest_asyncio
from app.coordination import event_router
from app.coordination.cross_process_events import get_event_queue
from app.coordination.daemon_manager import get_daemon_manager
from app.coordination.event_router import DataEventType, UnifiedEventRouter, get_router
from app.coordination.handler_base import HandlerBase

WITHIN_SECONDS = 60.0
"""A generous limit for what happens soon: machines that run tests are busy."""

SHELL_TRIES_MAX = 20
"""``sqlite3`` does not wait for a lock; an operator types it again."""


async def until(holds: Callable[[], Any], what: str) -> Any:
    """Waits for something to become true, and returns it."""
    end = time.monotonic() + WITHIN_SECONDS
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {WITHIN_SECONDS} s: {what}"
        await asyncio.sleep(0.02)
    return found


async def shell(command: str, folder: Path) -> str:
    """What a shell command prints, run as operators run it."""
    for _ in range(SHELL_TRIES_MAX):
        ended = await asyncio.to_thread(
            subprocess.run, ["bash", "-e", "-c", command], cwd=folder, capture_output=True, text=True
        )
        if ended.returncode == 0:
            return ended.stdout
        assert "locked" in ended.stderr, ended.stderr or f"exit {ended.returncode}: {ended.stdout}"
        await asyncio.sleep(0.1)
    raise AssertionError(f"still locked after {SHELL_TRIES_MAX} tries")


async def elsewhere(block: blocks.Block, folder: Path, then: str = "") -> str:
    """What a block prints in an interpreter of its own."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, blocks.__file__, str(block.number), then],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def forget_everything() -> None:
    """Ends this process's router and handlers."""
    for handler in get_daemon_manager().handlers():
        get_daemon_manager().forget(handler)
    HandlerBase._instances.clear()
    event_router._router_instance = None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder is fresh, and so is what this process has of the system."""
    monkeypatch.delenv("RINGRIFT_HOME", raising=False)
    # A full disk of the machine that runs tests is none of their business.
    monkeypatch.setenv("RINGRIFT_STORE_DISK_FREE_MIN_PERCENT", "0")
    monkeypatch.chdir(tmp_path)
    forget_everything()
    yield tmp_path
    forget_everything()


@pytest_asyncio.fixture
async def router(home: Path) -> AsyncIterator[UnifiedEventRouter]:
    """The router of the fresh home."""
    yield get_router()
    for handler in get_daemon_manager().handlers():
        await handler.stop()
    await get_router().shutdown()


class MyHandler(HandlerBase):
    """Handles what was trained, each model once."""

    def __init__(self) -> None:
        super().__init__()
        self.handled: list[Any] = []

    def _get_event_subscriptions(self) -> dict[str, Callable[[Any], Awaitable[None]]]:
        return {DataEventType.TRAINING_COMPLETED: self._on_event}

    async def _on_event(self, event: Any) -> None:
        if self._is_duplicate_event(event, key_fields=["config_key", "model_path"]):
            return
        self.handled.append(event)


PIPELINE = [
    DataEventType.NEW_GAMES_AVAILABLE,
    DataEventType.DATA_SYNC_COMPLETED,
    DataEventType.NPZ_EXPORT_COMPLETE,
    DataEventType.TRAINING_COMPLETED,
    DataEventType.EVALUATION_COMPLETED,
    DataEventType.MODEL_PROMOTED,
    DataEventType.MODEL_DISTRIBUTION_COMPLETE,
]
KEY = "hex8_2p"


class Site:
    """A process with handlers and traffic: one handles, one fails, one is too slow, one fetches."""

    def __init__(self, home: Path, router: UnifiedEventRouter) -> None:
        self.home = home
        self.router = router
        self.handler = MyHandler.get_instance()
        self.published = 0

    async def publish(self, event_type: DataEventType, **payload: Any) -> Any:
        self.published += 1
        return await self.router.publish(
            event_type, {"config_key": KEY, **payload}, source="trainer"
        )

    async def settle(self) -> None:
        async def fails(event: Any) -> None:
            raise ConnectionError("no route to the evaluator")

        async def hangs(event: Any) -> None:
            await asyncio.sleep(WITHIN_SECONDS)

        await self.handler.start()
        self.router.subscribe(DataEventType.TRAINING_FAILED, fails, name="fails")
        self.router.subscribe(DataEventType.SYNC_STALLED, hangs, name="hangs", timeout=0.1)
        get_event_queue().subscribe("archivist")
        for event_type in PIPELINE:
            await self.publish(event_type, model_path="m.pt")
        await self.publish(DataEventType.TRAINING_COMPLETED, model_path="m.pt")
        await self.publish(DataEventType.TRAINING_FAILED)
        await self.publish(DataEventType.SYNC_STALLED)
        await until(lambda: len(self.router.events.dead_letters()) >= 2, "two dead letters")


@pytest_asyncio.fixture
async def site(home: Path, router: UnifiedEventRouter) -> Site:
    """The process in which the runbook's blocks run."""
    site = Site(home, router)
    await site.settle()
    return site
