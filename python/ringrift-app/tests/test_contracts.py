"""What the runbook's Python implies beyond its letters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app.coordination import event_router
from app.coordination.daemon_manager import get_daemon_manager
from app.coordination.event_mappings import DATA_TO_CROSS_PROCESS_MAP, get_cross_process_event_type
from app.coordination.event_router import DataEventType, UnifiedEventRouter, get_router
from app.coordination.handler_base import HandlerBase
from app.core.tracing import get_trace_id, traced
from conftest import KEY, MyHandler
from ringrift_events import Closed, Event, NameTaken, TypeRefused

COMPLETED = DataEventType.TRAINING_COMPLETED
PAYLOAD = {"config_key": KEY, "model_path": "m.pt"}


async def test_a_fresh_router_closes_the_old_and_handlers_return_by_start(
    home: Path, router: UnifiedEventRouter
) -> None:
    handler = MyHandler.get_instance()
    await handler.start()
    event_router._router_instance = None
    assert not router.events.is_open
    with pytest.raises(Closed):
        router.publish(COMPLETED, PAYLOAD)
    assert router.health_check().status == "stopped"
    fresh = get_router()
    assert fresh is not router and get_router() is fresh
    assert (await fresh.publish(COMPLETED, PAYLOAD)).matched == []
    await handler.start()
    assert (await fresh.publish(COMPLETED, PAYLOAD)).matched == ["MyHandler"]


async def test_the_bridge_map_changes_the_rule_and_never_a_name(router: UnifiedEventRouter) -> None:
    bridged = len(DATA_TO_CROSS_PROCESS_MAP)
    assert DATA_TO_CROSS_PROCESS_MAP[COMPLETED] == "training_completed"
    assert "idle_node_work_injected" not in DATA_TO_CROSS_PROCESS_MAP
    with pytest.raises(ValueError, match="keeps its name"):
        DATA_TO_CROSS_PROCESS_MAP["idle_node_work_injected"] = "sync_stalled"
    with pytest.raises(TypeRefused):
        DATA_TO_CROSS_PROCESS_MAP["no_such_type"] = "no_such_type"
    assert DATA_TO_CROSS_PROCESS_MAP.get("no_such_type") is None
    DATA_TO_CROSS_PROCESS_MAP["IDLE_NODE_WORK_INJECTED"] = "idle_node_work_injected"
    try:
        assert len(DATA_TO_CROSS_PROCESS_MAP) == bridged + 1
        event_router._router_instance = None
        assert (await get_router().publish("idle_node_work_injected", {})).bridged, "it outlasts a router"
    finally:
        del DATA_TO_CROSS_PROCESS_MAP["idle_node_work_injected"]
    assert get_cross_process_event_type("idle_node_work_injected") is None
    assert not (await get_router().publish("idle_node_work_injected", {})).bridged


async def test_handlers_of_one_name_are_refused_and_half_a_handler_does_not_stay(
    router: UnifiedEventRouter,
) -> None:
    class Twice(HandlerBase):
        def _get_event_subscriptions(self) -> dict[Any, Callable[[Event], object]]:
            return {COMPLETED: self._completed, "no_such_type": self._other}

        def _completed(self, event: Event) -> None: ...

        def _other(self, event: Event) -> None: ...

    with pytest.raises(TypeRefused):
        await Twice().start()
    assert router.get_stats()["this_process"]["subscription_count"] == 0
    await MyHandler().start()
    with pytest.raises(NameTaken):
        await MyHandler().start()


async def test_an_instance_needs_no_arguments_and_is_forgotten_on_demand(
    router: UnifiedEventRouter,
) -> None:
    handler = MyHandler.get_instance()
    assert handler is MyHandler.get_instance() and handler.name == "MyHandler"
    await handler.start()
    MyHandler.reset_instance()
    assert not handler.is_running
    assert get_daemon_manager().handlers() == []
    assert MyHandler.get_instance() is not handler


async def test_dedup_ends_with_its_time_and_disagreeing_calls_are_named(
    router: UnifiedEventRouter, caplog: pytest.LogCaptureFixture
) -> None:
    handler = MyHandler()
    handler.DEDUP_TTL_SECONDS = 0.0
    await handler.start()
    for _ in range(2):
        await router.publish(COMPLETED, PAYLOAD)
    assert len(handler.handled) == 2 and handler.stats.events_deduplicated == 0
    assert not handler._is_duplicate_event({"type": COMPLETED, "payload": PAYLOAD, "id": "1"})
    assert "dedup fields differ" in caplog.text and "model_path" in caplog.text


async def test_a_loggers_level_holds_for_a_router_that_opens_later(home: Path) -> None:
    logger = logging.getLogger("app.distributed.data_events")
    logger.setLevel(logging.ERROR)
    try:
        await get_router().publish(COMPLETED, PAYLOAD)
        log = home / "logs" / "coordination.log"
        assert not log.exists() or "emit " not in log.read_text()
        logger.setLevel(logging.NOTSET)
        await get_router().publish(COMPLETED, PAYLOAD)
        assert log.read_text().count("emit TRAINING_COMPLETED ") == 1
    finally:
        logger.setLevel(logging.NOTSET)


async def test_a_time_limit_is_one_handlers_own(router: UnifiedEventRouter) -> None:
    async def slow(event: Event) -> None:
        await asyncio.sleep(0.3)

    router.subscribe(COMPLETED, slow, timeout=0.05, name="limited")
    router.subscribe(COMPLETED, slow, name="unlimited")
    await router.publish(COMPLETED, PAYLOAD)
    by_name = {one.name: one.stats for one in router.events.subscriptions_here()}
    # Its retry may have come already.
    assert by_name["limited"]["timeouts_count"] >= 1
    assert by_name["unlimited"]["success_count"] == 1


def test_a_traced_function_outside_of_a_handler_has_a_trace_of_its_own() -> None:
    @traced("outer")
    def outer() -> tuple[str, str]:
        return get_trace_id(), inner()

    @traced("inner")
    def inner() -> str:
        return get_trace_id()

    assert get_trace_id() == ""
    one, other = outer()
    assert one == other != ""
    assert get_trace_id() == ""
