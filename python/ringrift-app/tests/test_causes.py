"""Causes of the runbook, brought about with `HandlerBase`: `doctor()` names each, and no other."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app.coordination.event_router import DataEventType, UnifiedEventRouter, get_router
from app.coordination.handler_base import HandlerBase
from conftest import until
from ringrift_events import step

COMPLETED = DataEventType.TRAINING_COMPLETED


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed stays so: a retry would be another run."""
    monkeypatch.setenv("RINGRIFT_DLQ_BACKOFF_FIRST", "20h")
    monkeypatch.setenv("RINGRIFT_DLQ_BACKOFF_MOST", "20h")


class Keeps(HandlerBase):
    """Handles each key once."""

    FIELDS: tuple[str, ...] = ("config_key",)

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.handled: list[str] = []

    def _get_event_subscriptions(self) -> dict[str, Callable[[Any], Any]]:
        return {COMPLETED: self._on_event}

    async def _on_event(self, event: Any) -> None:
        if not self._is_duplicate_event(event, key_fields=self.FIELDS):
            self.handled.append(event.id)


class Does(HandlerBase):
    """Does as it is told, once for each event."""

    TIMEOUT_SECONDS = 0.7

    def __init__(self, name: str, does: Callable[[], Any]) -> None:
        super().__init__(name)
        self.does = does

    def _get_event_subscriptions(self) -> dict[str, Callable[[Any], Any]]:
        return {COMPLETED: self._on_event}

    async def _on_event(self, event: Any) -> None:
        done = self.does()
        if done is not None:
            await done


class Short(Keeps):
    """Forgets soon."""

    DEDUP_TTL_SECONDS = 1.0


class Wider(Keeps):
    """Keeps another key."""

    FIELDS = ("config_key", "model_path")


def findings(router: UnifiedEventRouter) -> list[dict[str, Any]]:
    """What names a cause."""
    return [one for one in router.events.doctor()["findings"] if one["cause"] is not None]


async def named(router: UnifiedEventRouter, cause: str) -> str:
    """Waits for a cause, the only one that may be named; its findings as text."""
    await until(lambda: cause in {one["cause"] for one in findings(router)}, cause)
    assert {one["cause"] for one in findings(router)} == {cause}
    return str(findings(router))


async def test_4_2_a_window_that_is_too_short(router: UnifiedEventRouter) -> None:
    handler = Short("trainer")
    await handler.start()
    first = (await router.publish(COMPLETED, {"config_key": "hex8", "number": 1})).id
    await asyncio.sleep(1.1)
    second = (await router.publish(COMPLETED, {"config_key": "hex8", "number": 2})).id
    assert handler.handled == [first, second]
    text = await named(router, "dedup-ttl-too-short")
    assert "trainer" in text and first in text and second in text


async def test_4_3_different_key_fields(router: UnifiedEventRouter) -> None:
    for handler in (Keeps("trainer"), Wider("evaluator")):
        await handler.start()
    await router.publish(COMPLETED, {"config_key": "hex8", "model_path": "m.pt", "number": 1})
    text = await named(router, "different-key-fields")
    assert "trainer" in text and "evaluator" in text and "model_path" in text


async def test_4_3_a_field_that_is_missing(router: UnifiedEventRouter) -> None:
    handler = Wider("evaluator")
    await handler.start()
    event = (await router.publish(COMPLETED, {"config_key": "hex8", "number": 1})).id
    text = await named(router, "different-key-fields")
    assert "evaluator" in text and "model_path" in text and event in text


async def test_handlers_that_agree_are_no_finding(router: UnifiedEventRouter) -> None:
    handlers = [Keeps("trainer"), Keeps("evaluator")]
    for handler in handlers:
        await handler.start()
    await router.publish(COMPLETED, {"config_key": "hex8", "number": 1})
    await router.publish(COMPLETED, {"config_key": "square8", "number": 2})
    assert [len(handler.handled) for handler in handlers] == [2, 2]
    assert findings(router) == []


async def test_1_1_a_handler_that_was_not_started(home: Path) -> None:
    (home / "ringrift.toml").write_text(
        '[[expect]]\nhandler = "Keeps"\n\n[doctor]\nunhosted_after = "1s"\n'
    )
    router = get_router()
    try:
        assert "Keeps" in await named(router, "handler-not-started")
        await Keeps.get_instance().start()
        await until(lambda: not findings(router), "no finding")
    finally:
        await Keeps.get_instance().stop()
        await router.shutdown()


async def test_2_2_blocking_io_in_an_async_method(router: UnifiedEventRouter) -> None:
    fifo = Path(router.events.home) / "moves.fifo"
    os.mkfifo(fifo)
    silent = os.open(fifo, os.O_RDWR)

    def reads() -> None:
        os.read(silent, 1)

    handler = Does("reader", reads)
    await handler.start()
    ends = threading.Timer(2.0, os.write, (silent, b"x"))
    ends.start()
    event = (await router.publish(COMPLETED, {"number": 1})).id
    ends.join()
    text = await named(router, "blocking-io")
    assert "reader" in text and event in text and "moves.fifo" in text
    # Its own line, not that of the class that calls it.
    assert f"{__file__}:" in text and "in reads" in text
    os.close(silent)


async def test_2_3_a_network_call(router: UnifiedEventRouter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]

        async def asks() -> None:
            step("network", "model registry")
            server, _ = await asyncio.open_connection("127.0.0.1", port)
            await server.read(1)

        await Does("uploader", asks).start()
        event = (await router.publish(COMPLETED, {"number": 1})).id
        text = await named(router, "network-call")
        assert "uploader" in text and event in text and "network:model registry" in text


async def test_6_1_sync_code_in_an_async_method(router: UnifiedEventRouter) -> None:
    def computes() -> None:
        until_used = time.thread_time() + 2
        while time.thread_time() < until_used:
            pass

    handler = Does("trainer", computes)
    handler.TIMEOUT_SECONDS = 60
    await handler.start()
    event = (await router.publish(COMPLETED, {"number": 1}, wait=60)).id
    text = await named(router, "sync-code-in-async")
    assert "trainer" in text and event in text


async def test_6_2_an_infinite_loop_that_yields(router: UnifiedEventRouter) -> None:
    async def yields() -> None:
        while True:
            await asyncio.sleep(0)

    await Does("yielder", yields).start()
    event = (await router.publish(COMPLETED, {"number": 1})).id
    text = await named(router, "infinite-loop")
    assert "yielder" in text and event in text
