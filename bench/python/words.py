"""What every worker in Python shares: `WORKER.py WORK --home FOLDER …` speaks as `ringrift-bench` does, with
its event, its pauses and its words. Each work says `ready`, waits for a line, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

TYPE = "TRAINING_COMPLETED"

COMES_TO_REST_SECONDS = 1.5
"""Time for a process to come to rest after it opened, before it is watched."""

Work = Callable[[argparse.Namespace], None]


def payload() -> dict[str, object]:
    """About 300 bytes as JSON, which say when they were made."""
    return {"config_key": "hex8_2p", "sent_ns": time.monotonic_ns(), "pad": "x" * 236}


def age_ns(sent: object) -> int:
    """How long ago a payload was made, in nanoseconds."""
    now = time.monotonic_ns()
    assert isinstance(sent, dict)
    return now - int(sent["sent_ns"])


def ready() -> None:
    """Says that this worker is ready, and waits for the word that all begin with."""
    print("ready", flush=True)
    input()


def say(count: int, seconds: float, took_ns: list[int], **others: float) -> None:
    """Says the outcome: latencies in microseconds where there are any."""
    said: dict[str, float] = {"count": count, "seconds": seconds, **others}
    took_ns.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
        if took_ns:
            said[name] = took_ns[max(math.ceil(len(took_ns) * share), 1) - 1] / 1_000
    print(json.dumps(said), flush=True)


def publish_for(seconds: float, publish: Callable[[dict[str, object]], object]) -> None:
    """Publishes for so long, waiting for each, and says how that went."""
    publish(payload())
    ready()
    took = []
    began = last = time.monotonic_ns()
    while last - began < seconds * 1e9:
        publish(payload())
        now = time.monotonic_ns()
        took.append(now - last)
        last = now
    say(len(took), (last - began) / 1e9, took)


def pace(count: int, publish: Callable[[dict[str, object]], object]) -> None:
    """Publishes so many with pauses of 3 to 11 milliseconds, and says how long each took."""
    ready()
    took, began = [], time.monotonic()
    for number in range(count):
        time.sleep((3 + number * 7 % 9) / 1_000)
        asked = time.monotonic_ns()
        publish(payload())
        took.append(time.monotonic_ns() - asked)
    say(count, time.monotonic() - began, took)


def batches(count: int, most: int) -> Iterator[int]:
    """Divides so many events into batches."""
    while count > 0:
        yield min(count, most)
        count -= most


async def idle_percent(seconds: float) -> float:
    """What the process uses of a core while its loop waits for so long."""
    await asyncio.sleep(COMES_TO_REST_SECONDS if seconds else 0.0)
    used = time.process_time()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - used) / max(seconds, 1e-9)


async def wait_for_all(idle: float, took_ns: list[int], coming: Awaitable[object]) -> None:
    """Watches the process doing nothing for so long, then waits until all has come, and says so."""
    waits = asyncio.ensure_future(coming)
    percent = await idle_percent(idle)
    await asyncio.to_thread(ready)
    began = time.monotonic()
    await waits
    say(len(took_ns), time.monotonic() - began, took_ns, idle_percent=percent)


def run(works: dict[str, Work]) -> None:
    """Does the work that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=works)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--idle", type=float, default=0.0)
    # What other workers are told as well.
    told, _ = parser.parse_known_args()
    works[told.work](told)
