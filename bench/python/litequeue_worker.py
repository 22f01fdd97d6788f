"""litequeue, as a worker of `cargo xtask bench --peers`."""

from __future__ import annotations

import argparse
import json
import time

from litequeue import LiteQueue
from words import COMES_TO_REST_SECONDS, age_ns, pace, payload, publish_for, ready, run, say

# Between two looks at an empty queue: litequeue has no way to wait.
POLL_SECONDS = 0.001


def opened(told: argparse.Namespace) -> LiteQueue:
    return LiteQueue(str(told.home / "litequeue.db"))


def fill(told: argparse.Namespace) -> None:
    queue = opened(told)
    ready()
    began = time.monotonic()
    for _ in range(told.count):
        queue.put(json.dumps(payload()))
    say(told.count, time.monotonic() - began, [])


def publish(told: argparse.Namespace) -> None:
    queue = opened(told)
    publish_for(told.seconds, lambda payload: queue.put(json.dumps(payload)))


def consume(told: argparse.Namespace) -> None:
    queue = opened(told)
    ready()
    count, began = 0, time.monotonic()
    while (message := queue.pop()) is not None:
        queue.done(message.message_id)
        count += 1
    assert count == told.count, f"{count} events came"
    say(count, time.monotonic() - began, [])


def receive(told: argparse.Namespace) -> None:
    queue = opened(told)
    polled_empty(queue, COMES_TO_REST_SECONDS)
    used = time.process_time()
    polled_empty(queue, told.idle)
    percent = 100 * (time.process_time() - used) / max(told.idle, 1e-9)
    ready()
    took: list[int] = []
    began = time.monotonic()
    while len(took) < told.count:
        message = queue.pop()
        if message is None:
            time.sleep(POLL_SECONDS)
            continue
        took.append(age_ns(json.loads(message.data)))
        queue.done(message.message_id)
    say(len(took), time.monotonic() - began, took, idle_percent=percent)


def polled_empty(queue: LiteQueue, seconds: float) -> None:
    """Waits as a consumer does while nothing comes."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        assert queue.pop() is None
        time.sleep(POLL_SECONDS)


def publish_paced(told: argparse.Namespace) -> None:
    queue = opened(told)
    pace(told.count, lambda payload: queue.put(json.dumps(payload)))


run({"fill": fill, "publish": publish, "consume": consume, "receive": receive, "pace": publish_paced})
