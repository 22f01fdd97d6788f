"""The Python package, as a worker of `cargo xtask bench`: the ordinary system with its defaults."""

from __future__ import annotations

import argparse
import asyncio
import time

from words import TYPE, age_ns, batches, pace, payload, publish_for, ready, run, say, wait_for_all

from ringrift_events import Event, EventSystem

FILL_FLYING = 1_000
"""Publishes in flight while a log is filled."""

TOGETHER = 256
"""Runs at once of a subscription whose order does not matter."""

LOOK_SECONDS = 0.001
COMES_WITHIN_SECONDS = 300.0


def system(told: argparse.Namespace) -> EventSystem:
    return EventSystem.open(told.home)


def fill(told: argparse.Namespace) -> None:
    with system(told) as events:
        ready()
        began = time.monotonic()
        for batch in batches(told.count, FILL_FLYING):
            for publishing in [events.publish(TYPE, payload(), wait=False) for _ in range(batch)]:
                publishing.wait()
        say(told.count, time.monotonic() - began, [])


def publish(told: argparse.Namespace) -> None:
    with system(told) as events:
        publish_for(told.seconds, lambda payload: events.publish_sync(TYPE, payload))


def publish_awaited(told: argparse.Namespace) -> None:
    asyncio.run(_publish_awaited(told))


async def _publish_awaited(told: argparse.Namespace) -> None:
    async with system(told) as events:
        await events.publish(TYPE, payload())
        ready()
        took = []
        began = last = time.monotonic_ns()
        while last - began < told.seconds * 1e9:
            await events.publish(TYPE, payload())
            now = time.monotonic_ns()
            took.append(now - last)
            last = now
        say(len(took), (last - began) / 1e9, took)


def consume(told: argparse.Namespace) -> None:
    asyncio.run(_consume(told, None))


def consume_together(told: argparse.Namespace) -> None:
    asyncio.run(_consume(told, TOGETHER))


async def _consume(told: argparse.Namespace, concurrency: int | None) -> None:
    count, last = 0, 0
    handled = asyncio.Event()

    async def handle(event: Event) -> None:
        nonlocal count, last
        count += 1
        if count == told.count:
            last = event.seq or 0
            handled.set()

    async with system(told) as events:
        ready()
        began = time.monotonic()
        events.subscribe(
            TYPE, handle, durable="bench", start="beginning", concurrency=concurrency
        )
        await asyncio.wait_for(handled.wait(), COMES_WITHIN_SECONDS)
        while (await asyncio.to_thread(events.subscriptions))[0]["settled"] < last:
            await asyncio.sleep(LOOK_SECONDS)
        took = time.monotonic() - began
        assert count == told.count, f"{count} events came"
    say(count, took, [])


def receive(told: argparse.Namespace) -> None:
    asyncio.run(_receive(told))


async def _receive(told: argparse.Namespace) -> None:
    took: list[int] = []
    received = asyncio.Event()

    async def handle(event: Event) -> None:
        took.append(age_ns(event.payload))
        if len(took) == told.count:
            received.set()

    async with system(told) as events:
        events.subscribe(TYPE, handle, name="bench-receives")
        await wait_for_all(told.idle, took, asyncio.wait_for(received.wait(), COMES_WITHIN_SECONDS))


def publish_paced(told: argparse.Namespace) -> None:
    with system(told) as events:
        pace(told.count, lambda payload: events.publish_sync(TYPE, payload))


run(
    {
        "fill": fill,
        "publish": publish,
        "publish-awaited": publish_awaited,
        "consume": consume,
        "consume-together": consume_together,
        "receive": receive,
        "pace": publish_paced,
    }
)
