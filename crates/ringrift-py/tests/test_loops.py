"""Loops: two of them, closed ones, none; contextvars along the way."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ringrift_events import (
    Event,
    EventSystem,
    Subscription,
    current_event,
    current_trace_id,
    step,
    trace,
)

from conftest import PATIENCE, QUICK, eventually

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p"}


def test_two_loops_each_run_their_own_handlers(events: EventSystem) -> None:
    ran: dict[str, bool] = {}
    ready, over = threading.Barrier(3), threading.Event()

    async def program(name: str) -> None:
        loop = asyncio.get_running_loop()

        async def handle(event: Event) -> None:
            ran[name] = asyncio.get_running_loop() is loop

        events.subscribe(TYPE, handle, name=name)
        await asyncio.to_thread(ready.wait, PATIENCE)
        # A receipt is awaited on any loop.
        await events.publish(TYPE, PAYLOAD)
        await asyncio.to_thread(over.wait, PATIENCE)

    threads = [
        threading.Thread(target=asyncio.run, args=(program(name),)) for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    eventually(lambda: len(ran) == 2, "both handlers")
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert ran == {"one": True, "two": True}


def test_a_loop_that_ends_with_its_handlers_leaves_the_system_usable(events: EventSystem) -> None:
    got: list[str] = []

    async def program(name: str) -> None:
        async def handle(event: Event) -> None:
            got.append(name)

        subscription = events.subscribe(TYPE, handle, name=name)
        await events.publish(TYPE, PAYLOAD)
        await subscription.unsubscribe_async()

    asyncio.run(program("first"))
    asyncio.run(program("second"))
    assert got == ["first", "second"]


def test_a_run_whose_loop_ends_is_answered_and_comes_again(events: EventSystem) -> None:
    began = threading.Event()

    async def handle(event: Event) -> None:
        began.set()
        await asyncio.sleep(PATIENCE)

    async def program() -> None:
        events.subscribe(TYPE, handle, durable="evaluator")
        events.publish(TYPE, PAYLOAD)
        while not began.is_set():
            await asyncio.sleep(0.005)

    asyncio.run(program())
    eventually(lambda: events.dead_letters(), "the letter")
    assert "its loop ended" in events.dead_letters()[0]["error"]


def test_system_and_loop_end_in_any_order(home: Path) -> None:
    async def leaves_it_open() -> EventSystem:
        events = EventSystem.open(home, settings=QUICK)

        async def handle(event: Event) -> None: ...

        events.subscribe(TYPE, handle, name="stays")
        await events.publish(TYPE, PAYLOAD)
        return events

    events = asyncio.run(leaves_it_open())
    events.publish(TYPE, PAYLOAD, wait=False).wait(PATIENCE)
    events.close(grace=0.2)


async def test_closing_lets_the_loops_handlers_finish(home: Path) -> None:
    done: list[str] = []
    events = EventSystem.open(home, settings=QUICK)
    async with events:
        began = asyncio.Event()

        @events.on(TYPE)
        async def handle(event: Event) -> None:
            began.set()
            await asyncio.sleep(0.2)
            done.append(event.id)

        publishing = events.publish(TYPE, PAYLOAD)
        await began.wait()
    assert done == [publishing.id]


async def test_trace_and_parent_follow_contextvars(home: Path) -> None:
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")
    seen: dict[str, Event] = {}
    async with EventSystem.open(home, settings=QUICK) as events:
        word.set("of the subscriber")

        @events.on(TYPE)
        async def asynchronous(event: Event) -> None:
            assert current_event() is event
            assert word.get() == "of the subscriber"
            step("compute", "hand on")

            async def later() -> None:
                await asyncio.sleep(0.01)
                await events.publish("EVALUATION_STARTED", PAYLOAD)

            await asyncio.create_task(later())
            await asyncio.to_thread(events.publish_sync, "EVALUATION_STARTED", PAYLOAD)

        @events.on("EVALUATION_STARTED")
        def plain(event: Event) -> None:
            assert current_trace_id() == event.trace_id
            events.publish("EVALUATION_COMPLETED", PAYLOAD)

        @events.on("EVALUATION_COMPLETED")
        def collects(event: Event) -> None:
            seen[event.id] = event

        with trace() as own:
            first = await events.publish(TYPE, PAYLOAD)
        while len(seen) < 2:
            await asyncio.sleep(0.005)
        assert current_event() is None and current_trace_id() is None
        tree = await asyncio.to_thread(events.tree, first.id)
        assert str(tree).count("evaluation_completed") >= 2
        with pytest.raises(ValueError, match="no kind of step"):
            with trace():
                await in_a_handler_that_misspells(events)
    assert {event.trace_id for event in seen.values()} == {own}
    assert {event.depth for event in seen.values()} == {2}


async def in_a_handler_that_misspells(events: EventSystem) -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @events.on("PROMOTION_STARTED", attempts=1)
    async def misspells(event: Event) -> None:
        try:
            step("databse", "x")  # type: ignore[arg-type]
        except ValueError as error:
            failed.set_exception(error)

    await events.publish("PROMOTION_STARTED", PAYLOAD)
    await failed


def test_a_loop_of_jupyters_kind_works_between_its_runs(events: EventSystem) -> None:
    """A loop that is run piece by piece: handlers run while it turns."""
    loop = asyncio.new_event_loop()
    got: list[str] = []
    try:

        async def first() -> None:
            @events.on(TYPE)
            async def handle(event: Event) -> None:
                got.append(event["config_key"])

        async def later() -> None:
            await events.publish(TYPE, {"config_key": "second"})

        loop.run_until_complete(first())
        events.publish(TYPE, {"config_key": "between"}, wait=False).wait(PATIENCE)
        loop.run_until_complete(later())
    finally:
        events.close()
        loop.close()
    assert got == ["between", "second"]


@pytest.mark.parametrize("kept", [False, True], ids=["forgotten", "kept"])
@pytest.mark.parametrize("loop_held", [0.5, 0])
def test_a_closed_loop_costs_a_durable_subscription_no_event(
    home: Path, kept: bool, loop_held: float
) -> None:
    with EventSystem.open(home, settings=QUICK, loop_held=loop_held) as events:
        attempts: dict[str, int] = {}
        loops: list[asyncio.AbstractEventLoop] = []

        async def handle(event: Event) -> None:
            attempts[event.id] = event.attempt

        async def program(until: int) -> None:
            if kept:
                loops.append(asyncio.get_running_loop())
            events.subscribe(TYPE, handle, durable="evaluator", name="evaluator")
            while len(attempts) < until:
                await asyncio.sleep(0.005)

        asyncio.run(program(0))
        ids = [events.publish_sync(TYPE, PAYLOAD, wait=False).id for _ in range(20)]
        eventually(lambda: "WT_NO_PROCESS" in str(events.explain(ids[0])), "the verdict")
        assert events.dead_letters() == []
        assert events.subscriptions_here() == []
        # The next loop subscribes the same function again, and has all of them.
        asyncio.run(program(20))
        assert attempts == dict.fromkeys(ids, 1)
        assert events.dead_letters() == []


def test_a_subscription_says_whether_its_loop_stands(events: EventSystem) -> None:
    async def handle(event: Event) -> None: ...

    async def program() -> None:
        subscription = events.subscribe(TYPE, handle)
        assert subscription.is_active
        subscriptions.append(subscription)

    subscriptions: list[Subscription] = []
    asyncio.run(program())
    assert not subscriptions[0].is_active
    plain = events.subscribe(TYPE, print)
    assert plain.is_active
    plain.unsubscribe()
    assert not plain.is_active


def test_in_the_asyncio_console_a_program_is_typed_in(home: Path) -> None:
    """`python -m asyncio`: its loop turns on the main thread, what is typed runs there too."""
    typed = f"""
from ringrift_events import EventSystem
events = EventSystem.open({str(home)!r})
_ = await events.__aenter__()
got = []
async def handle(event): got.append(event["config_key"])

_ = events.subscribe({TYPE!r}, handle)
receipt = await events.publish({TYPE!r}, {PAYLOAD!r})
_ = events.publish_sync({TYPE!r}, {PAYLOAD!r})
print("got", got[0], "matched", len(receipt.matched))
await events.aclose()
print("closed", events.is_open)
"""
    console = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "asyncio"],
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert console.returncode == 0, console.stderr
    assert "got hex8_2p matched 1" in console.stdout, console.stdout + console.stderr
    assert "closed False" in console.stdout, console.stdout + console.stderr
    for word in ("Traceback", "Error", "Warning:"):
        assert word not in console.stderr, console.stderr


def test_a_console_that_ends_without_closing_ends_clean(home: Path) -> None:
    typed = f"""
from ringrift_events import EventSystem
events = EventSystem.open({str(home)!r})
async def handle(event): print("handled", event["config_key"])

_ = events.subscribe({TYPE!r}, handle, durable="console")
_ = await events.publish({TYPE!r}, {PAYLOAD!r})
"""
    console = subprocess.run(
        [sys.executable, "-m", "asyncio"], input=typed, capture_output=True, text=True, timeout=PATIENCE
    )
    assert console.returncode == 0, console.stderr
    for word in ("Traceback", "Error", "Warning:"):
        assert word not in console.stderr, console.stderr
