"""honker's Python package, as a worker of `cargo xtask bench --peers`: a durable stream with its defaults."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import honker
from words import age_ns, batches, pace, payload, publish_for, ready, run, say, wait_for_all

FILL_BATCH = 1_000
NAME = "bench"


def stream(told: argparse.Namespace) -> tuple[Any, Any]:
    """The database, which has to be kept, and its stream."""
    database = honker.open(str(told.home / "honker.db"))
    return database, database.stream(NAME)


def fill(told: argparse.Namespace) -> None:
    database, events = stream(told)
    ready()
    began = time.monotonic()
    for batch in batches(told.count, FILL_BATCH):
        with database.transaction() as transaction:
            for _ in range(batch):
                events.publish(payload(), tx=transaction)
    say(told.count, time.monotonic() - began, [])


def publish(told: argparse.Namespace) -> None:
    _database, events = stream(told)
    publish_for(told.seconds, events.publish)


def consume(told: argparse.Namespace) -> None:
    asyncio.run(_consume(told))


async def _consume(told: argparse.Namespace) -> None:
    count = 0

    async def handle(event: object) -> None:
        nonlocal count
        count += 1

    _database, events = stream(told)
    ready()
    began = time.monotonic()
    async for event in events.subscribe(consumer=NAME):
        await handle(event)
        if count == told.count:
            break
    # Its iterator saves the offset before it goes on; the last one is for whoever ends it.
    events.save_offset(NAME, event.offset)
    say(count, time.monotonic() - began, [])


def receive(told: argparse.Namespace) -> None:
    asyncio.run(_receive(told))


async def _receive(told: argparse.Namespace) -> None:
    took: list[int] = []
    _database, events = stream(told)

    async def handle(event: Any) -> None:
        took.append(age_ns(event.payload))

    async def listen() -> None:
        async for event in events.subscribe(consumer=NAME):
            await handle(event)
            if len(took) == told.count:
                break

    await wait_for_all(told.idle, took, listen())


def publish_paced(told: argparse.Namespace) -> None:
    _database, events = stream(told)
    pace(told.count, events.publish)


run({"fill": fill, "publish": publish, "consume": consume, "receive": receive, "pace": publish_paced})
