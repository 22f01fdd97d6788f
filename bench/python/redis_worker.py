"""redis-py with Redis Streams, as a worker of `cargo xtask bench --peers`: `XADD`, and a consumer group that
acknowledges. A backlog is read by its plain client, which is many times as fast as its asyncio client; who
waits for events on a loop has to take that one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from words import age_ns, batches, pace, payload, publish_for, ready, run, say, wait_for_all

FILL_PIPELINE = 1_000
READS = 1_000
BLOCK_MS = 5_000
STREAM = GROUP = "bench"


def publisher(told: argparse.Namespace) -> Callable[[dict[str, object]], object]:
    client = redis.Redis(port=told.port)
    return lambda payload: client.xadd(STREAM, {"payload": json.dumps(payload)})


def fill(told: argparse.Namespace) -> None:
    client = redis.Redis(port=told.port)
    client.flushall()
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    ready()
    began = time.monotonic()
    for batch in batches(told.count, FILL_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for _ in range(batch):
            pipeline.xadd(STREAM, {"payload": json.dumps(payload())})
        pipeline.execute()
    say(told.count, time.monotonic() - began, [])


def publish(told: argparse.Namespace) -> None:
    publish_for(told.seconds, publisher(told))


def read(streams: Any) -> Any:
    """The entries of an answer, whose shape depends on the protocol; none if nothing came in time."""
    if not streams:
        return []
    return streams[0][1] if isinstance(streams, list) else next(iter(streams.values()))[0]


def consume(told: argparse.Namespace) -> None:
    asyncio.run(_consume(told))


async def _consume(told: argparse.Namespace) -> None:
    async def handle(fields: dict[bytes, bytes]) -> None:
        pass

    client = redis.Redis(port=told.port)
    ready()
    count, began = 0, time.monotonic()
    while count < told.count:
        entries = read(client.xreadgroup(GROUP, "consumer", {STREAM: ">"}, count=READS, block=BLOCK_MS))
        assert entries, f"{count} events came"
        for _, fields in entries:
            await handle(fields)
        client.xack(STREAM, GROUP, *[entry for entry, _ in entries])
        count += len(entries)
    say(count, time.monotonic() - began, [])


def receive(told: argparse.Namespace) -> None:
    asyncio.run(_receive(told))


async def _receive(told: argparse.Namespace) -> None:
    took: list[int] = []

    async def handle(fields: dict[bytes, bytes]) -> None:
        took.append(age_ns(json.loads(fields[b"payload"])))

    async def listen() -> None:
        client = redis.asyncio.Redis(port=told.port)
        while len(took) < told.count:
            answer = await client.xreadgroup(GROUP, "consumer", {STREAM: ">"}, count=READS, block=BLOCK_MS)
            for entry, fields in read(answer):
                await handle(fields)
                await client.xack(STREAM, GROUP, entry)
        await client.aclose()

    await wait_for_all(told.idle, took, listen())


def publish_paced(told: argparse.Namespace) -> None:
    pace(told.count, publisher(told))


run({"fill": fill, "publish": publish, "consume": consume, "receive": receive, "pace": publish_paced})
