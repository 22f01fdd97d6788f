"""Async handlers take turns in one task, and nobody can tell: each has its context and its cancellation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ringrift_events import Event, EventSystem, current_event

from conftest import PATIENCE, QUICK

TYPE = "TRAINING_COMPLETED"
MANY = 8
HOLDS_SECONDS = 0.2


async def publish_many(events: EventSystem) -> None:
    """Several events that are at the loop together."""
    publishings = [events.publish(TYPE, {"n": n}, wait=False) for n in range(MANY)]
    for publishing in publishings:
        await publishing


def gather(event: Event) -> None:
    """The first one holds the loop until the others are there, so that they come together."""
    if event["n"] == 0:
        time.sleep(HOLDS_SECONDS)


async def until(events: list[int]) -> None:
    async def all_came() -> None:
        while len(events) < MANY:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(all_came(), PATIENCE)


async def test_handlers_that_do_not_wait_share_a_task_and_no_context(home: Path) -> None:
    came: list[int] = []
    tasks: set[asyncio.Task[object] | None] = set()

    async def handle(event: Event) -> None:
        assert current_event() is event
        gather(event)
        tasks.add(asyncio.current_task())
        came.append(event["n"])

    async with EventSystem.open(home, settings=QUICK) as events:
        await publish_many(events)
        events.subscribe(TYPE, handle, durable="d", concurrency=MANY, start="beginning")
        await until(came)
        assert current_event() is None
    assert len(tasks) < MANY
    assert sorted(came) == list(range(MANY))


async def test_a_handler_that_waits_keeps_its_task_and_the_others_go_on(home: Path) -> None:
    ended: list[int] = []
    goes_on = asyncio.Event()

    async def handle(event: Event) -> None:
        gather(event)
        task = asyncio.current_task()
        if event["n"] == 1:
            await asyncio.wait_for(goes_on.wait(), PATIENCE)
        elif event["n"] == MANY - 1:
            goes_on.set()
        assert asyncio.current_task() is task
        assert current_event() is event
        ended.append(event["n"])

    async with EventSystem.open(home, settings=QUICK) as events:
        await publish_many(events)
        events.subscribe(TYPE, handle, durable="d", concurrency=MANY, start="beginning")
        await until(ended)
        assert ended[-1] == 1
        assert not events.dead_letters()


async def test_what_a_handler_does_to_its_task_is_not_for_the_next(home: Path) -> None:
    ended: list[int] = []

    async def handle(event: Event) -> None:
        gather(event)
        task = asyncio.current_task()
        assert task is not None
        if event["n"] % 2 == 0:
            # It ends before the cancellation comes.
            task.cancel()
        else:
            await asyncio.sleep(0)
        ended.append(event["n"])

    async with EventSystem.open(home, settings=QUICK) as events:
        await publish_many(events)
        subscription = events.subscribe(
            TYPE, handle, durable="d", concurrency=MANY, start="beginning"
        )
        await until(ended)
        assert sorted(ended) == list(range(MANY))
        assert not subscription.recent_errors()


async def test_a_handler_that_raises_a_cancellation_takes_no_other_along(home: Path) -> None:
    came: list[int] = []

    async def handle(event: Event) -> None:
        gather(event)
        came.append(event["n"])
        if event["n"] == 1:
            raise asyncio.CancelledError

    async with EventSystem.open(home, settings=QUICK) as events:
        await publish_many(events)
        events.subscribe(
            TYPE, handle, durable="d", concurrency=MANY, start="beginning", attempts=1
        )
        await until(came)
        assert sorted(came) == list(range(MANY))
        letters = await asyncio.to_thread(events.dead_letters)
        while not letters:
            await asyncio.sleep(0.005)
            letters = await asyncio.to_thread(events.dead_letters)
        assert [letter["payload"]["n"] for letter in letters] == [1]


async def test_a_run_that_waits_is_cancelled_alone_when_its_time_is_over(home: Path) -> None:
    began: list[int] = []

    async def handle(event: Event) -> None:
        began.append(event["n"])
        if event["n"] == 0:
            await asyncio.sleep(PATIENCE)

    async with EventSystem.open(home, settings=QUICK) as events:
        await publish_many(events)
        events.subscribe(
            TYPE, handle, durable="d", concurrency=MANY, start="beginning", timeout=0.2, attempts=1
        )
        await until(began)
        letters = await asyncio.to_thread(events.dead_letters)
        while not letters:
            await asyncio.sleep(0.005)
            letters = await asyncio.to_thread(events.dead_letters)
        assert [letter["payload"]["n"] for letter in letters] == [0]
        assert "exceeded its time limit" in letters[0]["error"]
