"""What the original did wrong, by its numbers: each is a test that shows these paths free of it."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from app.coordination.cross_process_events import get_event_queue
from app.coordination.daemon_manager import DaemonType, get_daemon_manager
from app.coordination.dead_letter_queue import get_dead_letter_queue
from app.coordination.event_router import DataEventType, UnifiedEventRouter, get_router
from app.coordination.handler_base import HandlerBase
from app.coordination.stage_events import (
    StageCompletionResult,
    StageEvent,
    StageEventBus,
    get_stage_event_bus,
)
from app.distributed.data_events import get_event_bus
from conftest import KEY, WITHIN_SECONDS, until
from ringrift_events import Event, PayloadRefused

COMPLETED = DataEventType.TRAINING_COMPLETED
STARTED = DataEventType.TRAINING_STARTED
PAYLOAD = {"config_key": KEY, "model_path": "m.pt"}
THREADS = 8
EACH = 100

_LOOKED_AT_ELSEWHERE = """
from app.coordination.event_router import get_router
health = get_router().health_check()
print(health.healthy, health.status, health.message)
"""
_ELSEWHERE = """
import json, sys
from app.coordination.event_router import get_router
event_type, payload = sys.argv[1], json.loads(sys.argv[2])
print(get_router().publish_sync(event_type, payload, source="elsewhere").id)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come soon."""
    monkeypatch.setenv("RINGRIFT_DLQ_BACKOFF_FIRST", "20ms")


async def published_elsewhere(home: Path, event_type: str, payload: dict[str, Any]) -> str:
    """Publishes in another process; the event's id."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _ELSEWHERE, event_type, json.dumps(payload)],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


class Trainer(HandlerBase):
    """Notes what it gets; fails as often as it is told to."""

    key_fields: tuple[str, ...] | None = ("config_key",)

    def __init__(self, name: str | None = None, *, failures: int = 0) -> None:
        super().__init__(name)
        self.got: list[Event] = []
        self.done: list[Event] = []
        self.failures = failures

    def _get_event_subscriptions(self) -> dict[Any, Any]:
        return {COMPLETED: self._on_event, STARTED: self._on_event}

    async def _on_event(self, event: Event) -> None:
        self.got.append(event)
        if self.key_fields and self._is_duplicate_event(event, key_fields=self.key_fields):
            return
        if self.failures > 0:
            self.failures -= 1
            raise ConnectionError("no route to the evaluator")
        self.done.append(event)


async def started(handler: Trainer) -> Trainer:
    await handler.start()
    return handler


async def test_b2_a_publish_is_delivered_once_by_whatever_door(router: UnifiedEventRouter) -> None:
    by_router: list[str] = []
    by_bus: list[str] = []
    by_stage: list[str] = []
    router.subscribe(COMPLETED, lambda event: by_router.append(event.id), name="router")
    get_event_bus().subscribe(COMPLETED, lambda event: by_bus.append(event.id), name="bus")
    get_stage_event_bus().subscribe(
        StageEvent.TRAINING_COMPLETE, lambda event: by_stage.append(event.id), name="stage"
    )
    result = StageCompletionResult(StageEvent.TRAINING_COMPLETE, KEY, fields={"elo": 1900})
    ids = [
        (await router.publish(COMPLETED, PAYLOAD)).id,
        (await get_event_bus().publish("TRAINING_COMPLETED", PAYLOAD)).id,
        (await get_stage_event_bus().complete(result)).id,
    ]
    assert by_router == by_bus == ids
    assert by_stage == ids[2:]


async def test_b2_a_failing_handler_leaves_one_dead_letter(router: UnifiedEventRouter) -> None:
    await started(Trainer(failures=1_000))
    await router.publish(COMPLETED, PAYLOAD)
    [letter] = await until(get_dead_letter_queue().list, "the dead letter")
    assert letter["handler"] == "Trainer"
    assert get_dead_letter_queue().count() == 1


async def test_b3_a_retry_reaches_the_failed_handler_alone_and_tells_its_outcome(
    router: UnifiedEventRouter,
) -> None:
    well = await started(Trainer("well"))
    ill = await started(Trainer("ill", failures=2))
    await router.publish(COMPLETED, PAYLOAD)
    await until(lambda: ill.done, "its recovery")
    assert len(ill.got) == 3, "a retry that fails is no recovery"
    assert len(well.got) == 1
    await until(lambda: get_dead_letter_queue().count() == 0, "an empty queue")


async def test_b4_a_restarted_handler_gets_each_event_once_and_a_stopped_one_none(
    router: UnifiedEventRouter,
) -> None:
    handler = await started(Trainer())
    for _ in range(3):
        await handler.start()
        await handler.stop()
        await handler.start()
    await router.publish(COMPLETED, {**PAYLOAD, "config_key": "first"})
    assert len(handler.got) == 1
    await handler.stop()
    assert (await router.publish(COMPLETED, {**PAYLOAD, "config_key": "second"})).matched == []
    await get_daemon_manager().stop_all()
    await get_daemon_manager().start_all()
    await router.publish(COMPLETED, {**PAYLOAD, "config_key": "third"})
    assert [event["config_key"] for event in handler.got] == ["first", "third"]
    assert handler.stats.success_count == 2, "counts outlast a restart"


async def test_b5_a_retry_is_not_swallowed_by_the_handlers_own_dedup(
    router: UnifiedEventRouter,
) -> None:
    handler = await started(Trainer(failures=2))
    receipt = await router.publish(COMPLETED, PAYLOAD)
    await until(lambda: handler.done, "the retry's success")
    assert handler.stats.events_deduplicated == 0
    again = await router.publish(COMPLETED, PAYLOAD)
    assert handler.stats.events_deduplicated == 1
    assert [event.id for event in handler.done] == [receipt.id]
    # It is recorded behind the receipt.
    await until(
        lambda: "HN_DUPLICATE" in json.dumps(router.events.explain(again.id)), "its verdict"
    )
    assert receipt.id in json.dumps(router.events.explain(again.id))


async def test_b5_a_failed_run_gives_its_key_to_the_next(router: UnifiedEventRouter) -> None:
    handler = await started(Trainer(failures=1))
    router.publish(COMPLETED, PAYLOAD)
    second = await router.publish(COMPLETED, PAYLOAD)
    # Whichever comes first, the second or the retry: one is handled, the other a duplicate of it.
    await until(lambda: handler.stats.events_deduplicated == 1, "the other one")
    assert len(handler.done) == 1 and len(handler.got) == 3
    await until(lambda: get_dead_letter_queue().count() == 0, "an empty queue")
    assert second.matched == ["Trainer"]


async def test_b5_plain_methods_keep_their_keys_too(router: UnifiedEventRouter) -> None:
    class Plain(Trainer):
        def _on_event(self, event: Event) -> None:  # type: ignore[override]
            if self._is_duplicate_event(event, key_fields=self.key_fields):
                return
            if self.failures > 0:
                self.failures -= 1
                raise ConnectionError("no route")
            self.done.append(event)

    handler = await started(Plain(failures=1))
    await router.publish(COMPLETED, PAYLOAD)
    await until(lambda: handler.done, "the retry's success")
    await router.publish(COMPLETED, PAYLOAD)
    assert handler.stats.events_deduplicated == 1 and len(handler.done) == 1


async def test_b6_the_type_belongs_to_the_key(router: UnifiedEventRouter) -> None:
    handler = await started(Trainer())
    await router.publish(STARTED, PAYLOAD)
    await router.publish(COMPLETED, PAYLOAD)
    assert [event.type for event in handler.done] == [STARTED, COMPLETED]
    assert handler.stats.events_deduplicated == 0


async def test_b6_a_missing_field_is_named_and_makes_no_duplicates(
    router: UnifiedEventRouter, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Trainer()
    handler.key_fields = ("config_key", "run.number")
    await started(handler)
    await router.publish(COMPLETED, PAYLOAD)
    await router.publish(COMPLETED, PAYLOAD)
    assert len(handler.done) == 2
    assert "field=run.number" in caplog.text
    for _ in range(2):
        await router.publish(COMPLETED, {**PAYLOAD, "run": {"number": 7}})
    assert len(handler.done) == 3


async def test_b9_later_events_do_not_move_past_one_that_is_not_done(
    router: UnifiedEventRouter,
) -> None:
    queue = get_event_queue()
    queue.subscribe("evaluator", COMPLETED)
    ids = [queue.publish(COMPLETED, {**PAYLOAD, "n": n}).id for n in range(3)]
    events: list[Event] = []
    while len(events) < 3:
        events += await asyncio.to_thread(queue.poll, "evaluator", 10, WITHIN_SECONDS)
    assert sorted(event.id for event in events) == sorted(ids)
    assert queue.ack("evaluator", *ids[1:]) == 2
    assert queue.ack("evaluator", ids[1]) == 0, "it is acknowledged already"
    await asyncio.to_thread(queue.unsubscribe, "evaluator")
    queue.subscribe("evaluator", COMPLETED)
    [again] = await asyncio.to_thread(queue.poll, "evaluator", 10, WITHIN_SECONDS)
    assert again.id == ids[0]
    queue.ack("evaluator", again)
    await until(lambda: queue.count_pending() == 0, "nothing is owed")


async def test_b10_events_of_other_processes_run_on_the_handlers_loop_under_its_limit(
    home: Path, router: UnifiedEventRouter
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    class Slow(Trainer):
        TIMEOUT_SECONDS = 0.2

        async def _on_event(self, event: Event) -> None:
            loops.append(asyncio.get_running_loop())
            if event["model_path"] == "slow.pt":
                await asyncio.sleep(WITHIN_SECONDS)
            self.done.append(event)

    handler = await started(Slow())
    event_id = await published_elsewhere(home, COMPLETED, PAYLOAD)
    await until(lambda: handler.done, "the event of the other process")
    assert handler.done[0].id == event_id and handler.done[0].source == "elsewhere"
    await published_elsewhere(home, COMPLETED, {**PAYLOAD, "model_path": "slow.pt"})
    [letter] = await until(get_dead_letter_queue().list, "the time-out's dead letter")
    assert letter["error_kind"] == "timeout"
    assert set(loops) == {asyncio.get_running_loop()}
    assert handler.get_recent_errors()[0]["kind"] == "timeout"


async def test_b11_a_forgotten_await_loses_nothing(router: UnifiedEventRouter) -> None:
    handler = await started(Trainer())
    router.publish(COMPLETED, PAYLOAD)
    get_event_bus().publish(STARTED, PAYLOAD)
    get_stage_event_bus().complete(StageCompletionResult(StageEvent.PBT_COMPLETE, KEY))
    await until(lambda: len(handler.done) == 2, "both events")
    await until(lambda: get_stage_event_bus().last("pbt_complete", KEY), "the stage")


async def test_b12_a_thread_without_a_loop_publishes(router: UnifiedEventRouter) -> None:
    handler = await started(Trainer())
    receipts: list[Any] = []
    thread = threading.Thread(
        target=lambda: receipts.append(get_router().publish(COMPLETED, PAYLOAD).wait())
    )
    thread.start()
    await asyncio.to_thread(thread.join)
    assert receipts[0].matched == ["Trainer"]
    assert len(handler.done) == 1


async def test_b14_one_shape_of_an_event_everywhere(home: Path, router: UnifiedEventRouter) -> None:
    shapes: list[Event] = []
    handler = await started(Trainer())
    router.subscribe(COMPLETED, shapes.append, name="router")
    get_event_bus().subscribe(COMPLETED, shapes.append, name="bus")
    StageEventBus().subscribe(StageEvent.TRAINING_COMPLETE, shapes.append, name="stage")
    queue = get_event_queue()
    queue.subscribe("fetcher", COMPLETED)
    payload = {**PAYLOAD, "stage": "training_complete", "source": "inside", "tags": [1, 2]}
    event_id = await published_elsewhere(home, COMPLETED, payload)
    await until(lambda: len(shapes) == 3 and handler.done, "the four of them")
    [fetched] = await asyncio.to_thread(queue.poll, "fetcher", 1, WITHIN_SECONDS)
    for event in (*shapes, handler.done[0], fetched):
        assert type(event) is Event
        assert event["id"] == event.id == event_id
        assert event["type"] == event.event_type == event.get("event_type") == COMPLETED
        assert event["source"] == "elsewhere", "its own fields come first"
        assert event["model_path"] == "m.pt" and event.get("nothing") is None
        assert event.payload == payload


async def test_b15_health_and_statistics_work_with_events_in_the_history(
    router: UnifiedEventRouter,
) -> None:
    handler = await started(Trainer(failures=1))
    for n in range(3):
        await router.publish(COMPLETED, {**PAYLOAD, "config_key": f"key{n}"})
    await until(lambda: len(handler.done) == 3, "every event")
    assert router.health_check().healthy
    assert handler.health_check().status == "degraded" and handler.health_check().healthy
    assert "no route" in handler.health_check().message
    stats = router.get_stats()
    assert stats["events_published"] == stats["this_process"]["events_published"] == 3
    assert handler.stats.as_dict()["events_processed"] == 4
    assert handler.stats.last_event_time is not None
    await handler.stop()
    assert handler.health_check().status == "stopped"
    assert len(handler.get_recent_errors()) == 1, "errors outlast a stop"


async def test_b15_health_tells_of_other_processes_daemons(
    home: Path, router: UnifiedEventRouter
) -> None:
    async def looked_at() -> str:
        look = [sys.executable, "-c", _LOOKED_AT_ELSEWHERE]
        return await asyncio.to_thread(subprocess.check_output, look, cwd=home, text=True)

    await started(Trainer())
    assert (await looked_at()).startswith("True running")
    await get_daemon_manager().stop(DaemonType.CROSS_PROCESS_POLLER)
    # Each process says within a second how its daemons stand.
    said = ""
    while "CROSS_PROCESS_POLLER" not in said:
        said = await looked_at()
    assert said.startswith("False failed") and "was stopped by" in said
    await get_daemon_manager().start(DaemonType.CROSS_PROCESS_POLLER)
    while not (await looked_at()).startswith("True"):
        pass


async def test_b16_what_cannot_be_published_stops_nobody(router: UnifiedEventRouter) -> None:
    handler = await started(Trainer())
    with pytest.raises(PayloadRefused, match=r"payload\.metrics\[1\]"):
        router.publish(COMPLETED, {**PAYLOAD, "metrics": [1, object()]})

    def fails(event: Event) -> None:
        raise OSError(28, "No space left on device")

    router.subscribe(COMPLETED, fails, name="fails")
    await router.publish(COMPLETED, PAYLOAD)
    assert len(handler.done) == 1


async def test_b17_eight_threads_and_two_loops_lose_nothing(router: UnifiedEventRouter) -> None:
    here = Trainer("here")
    here.key_fields = None
    await started(here)
    there = Trainer("there")
    there.key_fields = None
    ready = threading.Event()
    over = threading.Event()

    async def other_loop() -> None:
        await there.start()
        ready.set()
        await until(over.is_set, "the end")

    loop = threading.Thread(target=lambda: asyncio.run(other_loop()))
    loop.start()
    await asyncio.to_thread(ready.wait)

    def publish(number: int) -> None:
        async def some() -> None:
            for n in range(EACH // 2):
                await get_router().publish(COMPLETED, {**PAYLOAD, "n": n}, wait=False)

        asyncio.run(some())
        for n in range(EACH // 2):
            get_router().publish_sync(COMPLETED, {**PAYLOAD, "n": n}, wait=False)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for handler in (here, there):
            await until(lambda: len(handler.done) == THREADS * EACH, f"every event {handler.name}")
            assert len({event.id for event in handler.done}) == THREADS * EACH
    finally:
        over.set()
        for thread in (*threads, loop):
            await asyncio.to_thread(thread.join)


async def test_b5_a_partial_of_an_async_method_is_async_and_its_retry_no_duplicate(
    router: UnifiedEventRouter,
) -> None:
    class Partial(Trainer):
        def _get_event_subscriptions(self) -> dict[Any, Any]:
            return {COMPLETED: functools.partial(self._on_event)}

    handler = Partial(failures=1)
    await handler.start()
    router.publish(COMPLETED, PAYLOAD)
    await until(lambda: handler.done, "the second try")
    assert len(handler.got) == 2


async def test_b5_a_coroutine_that_was_not_awaited_confirms_no_key(
    router: UnifiedEventRouter,
) -> None:
    class Forgets(Trainer):
        def _get_event_subscriptions(self) -> dict[Any, Any]:
            return {COMPLETED: lambda event: self._plainly(event)}

        def _plainly(self, event: Event) -> object:
            assert not self._is_duplicate_event(event, key_fields=["config_key"])
            return self._on_event(event)

    handler = Forgets()
    await handler.start()
    router.publish(COMPLETED, PAYLOAD)
    await until(handler.get_recent_errors, "the refusal")
    assert "make the handler an async function" in handler.get_recent_errors()[0]["message"]
    assert not handler._seen_events


def test_a_handler_whose_loop_ended_starts_again_on_the_next(home: Path) -> None:
    handler = Trainer()

    async def program(key: str) -> None:
        await handler.start()
        assert handler.is_running
        await get_router().publish(COMPLETED, {"config_key": key})

    for number, key in enumerate(("first", "second"), 1):
        asyncio.run(program(key))
        assert not handler.is_running
        assert [event["config_key"] for event in handler.done] == ["first", "second"][:number]
