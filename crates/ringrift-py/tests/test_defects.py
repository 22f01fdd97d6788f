"""What the original did wrong, each as a test that shows this system free of it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

from ringrift_events import Event, EventSystem, PayloadRefused

import pytest

from conftest import PATIENCE, QUICK, eventually, started

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p", "model_path": "m.pt"}


def test_b2_one_publish_is_one_delivery_and_one_failure_one_dead_letter(events: EventSystem) -> None:
    got: list[str] = []
    events.subscribe(TYPE, lambda event: got.append(event.id), name="counts")

    def fails(event: Event) -> None:
        raise ValueError("always")

    events.subscribe(TYPE, fails, attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    events.publish_sync(TYPE.lower(), PAYLOAD)
    eventually(lambda: len(events.dead_letters()) == 2, "a dead letter an event")
    assert len(got) == len(set(got)) == 2


def test_b3_a_retry_reaches_the_failed_handler_alone_and_tells_its_outcome(
    events: EventSystem,
) -> None:
    others: list[str] = []
    well = threading.Event()
    tried = threading.Semaphore(0)

    def fails(event: Event) -> None:
        tried.release()
        if not well.is_set():
            raise ValueError("not yet")

    events.subscribe(TYPE, lambda event: others.append(event.id), name="other")
    events.subscribe(TYPE, fails, attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: events.dead_letters(states=["dead"]), "the dead letter")
    letter = events.dead_letters()[0]
    assert events.retry_dead_letters([letter["id"]]) == 1
    # A retry that fails again is no recovery.
    eventually(lambda: (events.dead_letters() or [letter])[0]["attempts_total"] == 2, "the retry")
    eventually(lambda: events.dead_letters(states=["dead"]), "its failure")
    well.set()
    assert events.retry_dead_letters([events.dead_letters()[0]["id"]]) == 1
    eventually(lambda: not events.dead_letters(), "the recovery")
    assert len(others) == 1


def test_b4_a_restarted_handler_gets_each_event_once(events: EventSystem) -> None:
    got: list[str] = []

    def handle(event: Event) -> None:
        got.append(event.id)

    for _ in range(3):
        subscription = events.subscribe(TYPE, handle)
        subscription.unsubscribe()
        subscription = events.subscribe(TYPE, handle)
    events.publish_sync(TYPE, PAYLOAD)
    assert len(got) == 1
    subscription.unsubscribe()
    events.publish_sync(TYPE, PAYLOAD)
    assert len(got) == 1


@pytest.mark.parametrize("durable", [None, "evaluator"])
def test_b5_a_retry_is_not_swallowed_by_its_own_dedup(
    events: EventSystem, durable: str | None
) -> None:
    attempts: list[int] = []

    def handle(event: Event) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            raise ConnectionError("transient")

    subscription = events.subscribe(
        TYPE, handle, durable=durable, name=None if durable else "live", dedup=("config_key", "model_path")
    )
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: subscription.stats["success_count"] == 1, "the retry")
    assert attempts == [1, 2]
    # Now it is done, and the same again is a duplicate.
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: subscription.stats["events_deduplicated"] == 1, "the duplicate")
    assert attempts == [1, 2]
    eventually(lambda: not events.dead_letters(), "an empty dead letter queue")


def test_b6_dedup_keys_contain_the_type(events: EventSystem) -> None:
    got: list[str] = []
    events.subscribe(
        ["TRAINING_STARTED", TYPE], lambda event: got.append(event.type), name="both", dedup="config_key"
    )
    events.publish_sync("TRAINING_STARTED", PAYLOAD)
    events.publish_sync(TYPE, PAYLOAD)
    events.publish_sync(TYPE, PAYLOAD)
    assert got == ["training_started", "training_completed"]


def test_b9_later_events_do_not_move_past_a_failed_one(events: EventSystem) -> None:
    got: list[str] = []

    def handle(event: Event) -> None:
        if event["config_key"] == "1" and event.attempt < 3:
            raise ValueError("transient")
        got.append(event["config_key"])

    events.subscribe(TYPE, handle, durable="evaluator")
    for number in range(4):
        events.publish(TYPE, {"config_key": str(number)})
    eventually(lambda: len(got) == 4, "all four")
    assert sorted(got) == ["0", "1", "2", "3"]


PUBLISHER = """
    import sys
    from ringrift_events import EventSystem

    with EventSystem.open(sys.argv[1]) as events:
        print("ready")
        for line in sys.stdin:
            events.publish_sync("TRAINING_COMPLETED", {"config_key": line.strip()})
"""


async def test_b10_events_of_other_processes_run_on_the_handlers_loop_under_its_limit(
    home: Path,
) -> None:
    loops: list[Any] = []
    async with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE, timeout=0.2, attempts=1)
        async def handle(event: Event) -> None:
            loops.append(asyncio.get_running_loop())
            if event["config_key"] == "hangs":
                await asyncio.sleep(60)

        publisher = await asyncio.to_thread(started, PUBLISHER, home)
        out, _ = await asyncio.to_thread(publisher.communicate, "well\nhangs\n", 60)
        while not (letters := await asyncio.to_thread(events.dead_letters)):
            await asyncio.sleep(0.01)
        assert letters[0]["error_kind"] == "timeout"
        assert letters[0]["payload"] == {"config_key": "hangs"}
    assert loops == [asyncio.get_running_loop()] * 2


def test_b14_one_event_shape_everywhere(home: Path) -> None:
    """Own events, others', live and durable, async and plain: the same object."""
    seen: list[tuple[str, Any]] = []

    def look(where: str, event: Event) -> None:
        assert event["config_key"] == event.get("config_key") == event.payload["config_key"]
        assert event["type"] == event.type == event.event_type == "training_completed"
        seen.append((where, event["config_key"]))

    with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE)
        async def live(event: Event) -> None:
            look("live", event)

        @events.on(TYPE, durable="durable")
        def durable(event: Event) -> None:
            look("durable", event)

        events.publish(TYPE, {"config_key": "own"})
        publisher = started(PUBLISHER, home)
        publisher.communicate("other\n", 60)
        eventually(lambda: len(seen) == 4, "all four deliveries")
    assert sorted(seen) == [(w, k) for w in ("durable", "live") for k in ("other", "own")]


def test_b15_questions_work_with_events_in_the_history(events: EventSystem) -> None:
    events.subscribe(TYPE, lambda event: None, durable="evaluator")
    receipt = events.publish_sync(TYPE, PAYLOAD)
    assert events.health()["healthy"] is True
    assert events.stats()["throughput"]["total"]["total"] == 1
    assert events.doctor()["findings"] == []
    assert events.explain(receipt.id)
    assert events.tree(receipt.id)
    assert events.route(TYPE, PAYLOAD)
    assert events.why_not("evaluator", TYPE)
    assert [one["name"] for one in events.subscriptions()] == ["evaluator"]


def test_b16_what_cannot_be_published_stops_nobody(events: EventSystem) -> None:
    got: list[str] = []

    def fails(event: Event) -> None:
        raise ValueError("an object that no JSON knows", object())

    events.subscribe(TYPE, fails, attempts=1)
    events.subscribe(TYPE, lambda event: got.append(event.id), name="after")
    with pytest.raises(PayloadRefused):
        events.publish(TYPE, {"config_key": object()})
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: events.dead_letters(), "the dead letter")
    assert len(got) == 1


def test_b16_letters_that_cannot_be_written_now_stop_nobody(events: EventSystem, home: Path) -> None:
    """Somebody holds the write lock while a handler fails: others run, and the letters come later."""
    path = home / "data" / "coordination" / "coordination.db"
    both, locked, turn = threading.Event(), threading.Event(), threading.Lock()
    got: list[str] = []
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)) as other:

        def fails(event: Event) -> None:
            assert both.wait(PATIENCE)
            with turn:
                if not locked.is_set():
                    other.execute("BEGIN IMMEDIATE")
                    locked.set()
            raise ValueError("while its letter cannot be written")

        def after(event: Event) -> None:
            assert locked.wait(PATIENCE)
            got.append(event.id)

        events.subscribe(TYPE, fails, name="fails", attempts=1)
        events.subscribe(TYPE, after, name="after")
        for _ in range(2):
            events.publish_sync(TYPE, PAYLOAD, wait=False)
        both.set()
        eventually(lambda: len(got) == 2, "both events, while the letters are locked")
        assert other.in_transaction and events.dead_letters() == []
        other.rollback()
    eventually(lambda: len(events.dead_letters(handler="fails")) == 2, "the letters")
    assert len(events.dead_letters()) == 2
    events.publish_sync(TYPE, PAYLOAD, wait=False)
    eventually(lambda: len(got) == 3, "the next event")
