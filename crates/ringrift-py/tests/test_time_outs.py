"""Time-outs: what they say of where a handler was, and what goes on beyond them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from ringrift_events import Event, EventSystem

from conftest import PATIENCE, QUICK, eventually

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p"}


def line_of(mark: str) -> str:
    """This file and the number of the line that ends with a mark."""
    lines = Path(__file__).read_text().splitlines()
    number = next(n for n, text in enumerate(lines, 1) if text.endswith(f"# {mark}"))
    return f"{__file__}:{number}"


def letters(events: EventSystem, count: int = 1) -> list[dict[str, Any]]:
    eventually(lambda: len(events.dead_letters()) >= count, "the letter")
    return events.dead_letters()


async def evaluate() -> None:
    await asyncio.sleep(PATIENCE)  # waits here


def test_a_time_out_of_an_async_handler_says_where_it_waited(events: EventSystem) -> None:
    @events.on(TYPE, timeout=0.1, attempts=1)
    async def handle(event: Event) -> None:
        await evaluate()

    events.publish(TYPE, PAYLOAD, wait=False)
    error = letters(events)[0]["error"]
    assert f"stuck at {line_of('waits here')} in evaluate" in error
    assert "in handle\n    await evaluate()" in error
    assert "timeout=" in error.splitlines()[0], "the advice names what Python calls it"
    assert "_handlers.py" not in error


def test_a_time_out_of_a_plain_handler_says_where_its_thread_was(events: EventSystem) -> None:
    over = threading.Event()

    @events.on(TYPE, timeout=0.1, attempts=1)
    def handle(event: Event) -> None:
        over.wait(PATIENCE)  # blocks here

    events.publish(TYPE, PAYLOAD, wait=False)
    try:
        error = letters(events)[0]["error"]
    finally:
        over.set()
    assert f"stuck at {line_of('blocks here')} in handle" in error
    assert "_handlers.py" not in error


def test_a_time_out_on_a_loop_that_does_not_turn_says_what_holds_it(home: Path) -> None:
    with EventSystem.open(home, settings=QUICK) as events:
        over = threading.Event()

        @events.on(TYPE, timeout=0.1, attempts=1)
        async def holds(event: Event) -> None:
            over.wait(PATIENCE)  # holds the loop

        events.publish(TYPE, PAYLOAD, wait=False)
        try:
            error = letters(events)[0]["error"]
        finally:
            over.set()
        assert f"stuck at {line_of('holds the loop')} in holds" in error


def test_a_handler_that_swallows_its_cancellation_keeps_its_slot(events: EventSystem) -> None:
    over = threading.Event()
    running: list[str] = []
    most: list[int] = []

    @events.on(TYPE, name="stubborn", timeout=0.1, attempts=1)
    async def stubborn(event: Event) -> None:
        running.append(event.id)
        most.append(len(running))
        while not over.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        running.remove(event.id)

    subscription = events.subscriptions_here()[0]
    for _ in range(3):
        events.publish(TYPE, PAYLOAD, wait=False)
    try:
        first = letters(events)[0]
        assert "keeps its slot until it does" in first["error"]
        assert subscription.stats["abandoned"] == 1
        # Two limits later nothing else has begun.
        threading.Event().wait(0.3)
        assert most == [1]
    finally:
        over.set()
    eventually(lambda: len(most) == 3 and not running, "the others")
    assert most == [1, 1, 1]
    eventually(lambda: subscription.stats["abandoned"] == 0, "its end")


def test_a_handler_that_cleans_up_when_it_is_cancelled_has_just_timed_out(
    events: EventSystem,
) -> None:
    @events.on(TYPE, timeout=0.1, attempts=1)
    async def handle(event: Event) -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0.02)

    subscription = events.subscriptions_here()[0]
    events.publish(TYPE, PAYLOAD, wait=False)
    assert "it was cancelled" in letters(events)[0]["error"]
    assert subscription.stats["abandoned"] == 0
