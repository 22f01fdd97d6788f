"""Publishing: from anywhere, effective at the call, forgotten or awaited."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from pathlib import Path

import pytest

from ringrift_events import (
    Closed,
    EventSystem,
    ExpectTimeout,
    FilterRefused,
    IdempotencyConflict,
    Receipt,
    TypeRefused,
)

from conftest import PATIENCE, QUICK, eventually

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p", "elo": 1950}


def test_a_publish_without_a_loop_takes_effect_at_the_call(events: EventSystem) -> None:
    publishing = events.publish(TYPE, PAYLOAD)
    receipt = publishing.wait(PATIENCE)
    assert (receipt.id, receipt.seq, receipt.bridged) == (publishing.id, 1, True)
    assert publishing.wait() == receipt


def test_a_receipt_names_the_required_fields_that_are_missing(events: EventSystem) -> None:
    assert events.publish_sync(TYPE, {"elo": 1950}).missing == ["config_key"]
    assert events.publish_sync(TYPE, PAYLOAD).missing == []


def test_a_forgotten_await_loses_nothing(home: Path) -> None:
    """B11: what nobody awaits is published all the same, without a warning."""

    async def program() -> None:
        async with EventSystem.open(home, settings=QUICK) as events:
            for number in range(100):
                events.publish(TYPE, {"config_key": str(number)})
            gc.collect()

    asyncio.run(program())
    with EventSystem.open(home) as events:
        answer = events.stats()
    assert answer["throughput"]["total"]["total"] == 100, answer["throughput"]


def test_a_thread_without_a_loop_publishes(events: EventSystem) -> None:
    """B12: a thread is as good as any."""
    receipts: list[Receipt] = []
    threads = [
        threading.Thread(target=lambda: receipts.append(events.publish_sync(TYPE, PAYLOAD)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(receipt.seq or 0 for receipt in receipts) == [1, 2, 3, 4]


def test_eight_threads_under_hard_switching_lose_nothing(events: EventSystem) -> None:
    """B17: nothing of asyncio is shared between threads."""
    got: list[str] = []

    @events.on(TYPE, concurrency=8)
    async def handle(event: object) -> None:
        got.append(event["config_key"])  # type: ignore[index]

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def publish(thread: int) -> None:
            for number in range(100):
                events.publish(TYPE, {"config_key": f"{thread}-{number}"})

        threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        eventually(lambda: len(got) == 800, "every event")
    finally:
        sys.setswitchinterval(switching)
    assert len(set(got)) == 800


async def test_awaiting_the_receipt_waits_for_the_handlers_of_this_process(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        done: list[str] = []

        @events.on(TYPE)
        async def slowly(event: object) -> None:
            await asyncio.sleep(0.05)
            done.append("slowly")

        receipt = await events.publish(TYPE, PAYLOAD)
        assert done == ["slowly"]
        assert receipt.matched == [f"{__name__}.{slowly.__qualname__}"]
        assert receipt.running == []
        # Told at the commit, if that is what is asked for.
        await events.publish(TYPE, PAYLOAD, wait=False)
        assert done == ["slowly"]


async def test_a_wait_that_ends_before_its_handlers_names_them(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        go_on = asyncio.Event()

        @events.on(TYPE, name="waits")
        async def waits(event: object) -> None:
            await go_on.wait()

        receipt = await events.publish(TYPE, PAYLOAD, wait=0.05)
        assert receipt.running == ["waits"]
        go_on.set()


async def test_a_receipt_is_awaited_by_many_and_by_a_gather(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        publishing = events.publish(TYPE, PAYLOAD)
        first, second, third = await asyncio.gather(
            publishing, publishing, events.publish(TYPE, PAYLOAD)
        )
        assert first == second == await publishing
        assert third.seq == 2


async def test_publish_sync_on_a_loop_returns_at_the_commit(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        done: list[bool] = []

        @events.on(TYPE)
        async def handle(event: object) -> None:
            done.append(True)

        receipt = events.publish_sync(TYPE, PAYLOAD)
        assert receipt.seq == 1
        assert done == []
        while not done:
            await asyncio.sleep(0.005)


def test_an_idempotency_key_publishes_once(events: EventSystem) -> None:
    first = events.publish_sync(TYPE, PAYLOAD, idempotency_key="run-1")
    again = events.publish_sync(TYPE, PAYLOAD, idempotency_key="run-1")
    assert again.duplicate_of == first.id
    with pytest.raises(IdempotencyConflict) as refused:
        events.publish_sync(TYPE, {"config_key": "other"}, idempotency_key="run-1")
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


def test_equal_payloads_are_two_events(events: EventSystem) -> None:
    """B7, B8: never deduplicated by content."""
    got: list[str] = []
    events.subscribe("HOST_OFFLINE", lambda event: got.append(event.id), name="counts")
    for _ in range(3):
        events.publish_sync("HOST_OFFLINE", {"host": "node-1", "ports": (1, 2), 3: "x"})
    assert len(set(got)) == 3


def test_an_unknown_type_is_refused_with_the_nearest_name(events: EventSystem) -> None:
    with pytest.raises(TypeRefused) as refused:
        events.publish("TRAINING_COMPLETE", PAYLOAD)
    error = refused.value
    assert error.code == "TYPE_UNKNOWN"
    assert error.value == "TRAINING_COMPLETE"
    assert "training_completed" in error.message
    assert (error.retryable, error.may_have_applied) == (False, False)
    with pytest.raises(FilterRefused):
        events.subscribe(TYPE, lambda event: None, name="odd", where="elo >> 3")


def test_the_line_that_publishes_is_known(events: EventSystem) -> None:
    receipt = events.publish_sync(TYPE, PAYLOAD)
    story = events.explain(receipt.id)
    assert __file__[-40:] in str(story), story


def test_use_after_close_is_refused(home: Path) -> None:
    events = EventSystem.open(home)
    events.close()
    events.close()
    for attempt in [
        lambda: events.publish(TYPE, PAYLOAD),
        lambda: events.publish_sync(TYPE, PAYLOAD),
        lambda: events.subscribe(TYPE, lambda event: None, name="late"),
        events.health,
    ]:
        with pytest.raises(Closed) as refused:
            attempt()
        assert refused.value.code == "ROUTER_STOPPED"
    assert not events.is_open


def test_expect_waits_for_the_next_event_and_times_out(events: EventSystem) -> None:
    expected = events.expect(TYPE, where={"elo__gte": 1900}, timeout=PATIENCE)
    events.publish(TYPE, {"config_key": "weak", "elo": 100})
    events.publish(TYPE, {"config_key": "strong", "elo": 2000})
    assert expected.wait()["config_key"] == "strong"
    with pytest.raises(ExpectTimeout) as missing:
        events.expect(TYPE, timeout=0.05).wait()
    assert isinstance(missing.value, TimeoutError)
    assert missing.value.code == "TIMED_OUT"


async def test_expect_is_awaited_on_a_loop(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        expected = events.expect(TYPE, timeout=PATIENCE)
        events.publish(TYPE, PAYLOAD)
        assert (await expected)["elo"] == 1950
        with pytest.raises(ExpectTimeout):
            await events.expect(TYPE, timeout=0.05)
        # What waited is gone again.
        assert events.subscriptions() == []


def test_an_expectation_that_nobody_awaits_ends_at_its_time(events: EventSystem) -> None:
    def standing() -> list[str]:
        return [one["name"] for one in events.subscriptions() if one["name"].startswith("expect:")]

    async def program() -> None:
        events.expect(TYPE, timeout=0.1)
        assert standing()
        until = asyncio.get_running_loop().time() + PATIENCE
        while await asyncio.to_thread(standing):
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.01)

    forgotten = events.expect(TYPE, timeout=0.1)
    eventually(lambda: not standing(), "the end of the one without a loop")
    with pytest.raises(ExpectTimeout):
        forgotten.wait()
    asyncio.run(program())
    events.expect(TYPE, timeout=PATIENCE).close()
    assert standing() == []


def test_what_an_expectation_got_is_there_after_its_time(events: EventSystem) -> None:
    expected = events.expect(TYPE, timeout=0.1)
    event = events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: expected._is_closed, "its end")
    assert expected.wait().id == event.id
