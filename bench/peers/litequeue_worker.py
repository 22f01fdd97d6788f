"""litequeue, as a worker of `cargo xtask bench --peers`: `litequeue_worker.py WORK --home FOLDER …` speaks
as `ringrift-bench` does. Each work says `ready`, waits for a line, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

from litequeue import LiteQueue

# Between two looks at an empty queue: litequeue has no way to wait.
POLL_SECONDS = 0.001
COMES_TO_REST_SECONDS = 1.5


def payload() -> str:
    """About 300 bytes, which say when they were made."""
    return json.dumps({"config_key": "hex8_2p", "sent_ns": time.monotonic_ns(), "pad": "x" * 236})


def ready() -> None:
    print("ready", flush=True)
    input()


def say(count: int, seconds: float, took_ns: list[int], **others: float) -> None:
    """The line: latencies in microseconds where there are any."""
    said: dict[str, float] = {"count": count, "seconds": seconds, **others}
    took_ns.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
        if took_ns:
            said[name] = took_ns[max(math.ceil(len(took_ns) * share), 1) - 1] / 1_000
    print(json.dumps(said), flush=True)


def fill(queue: LiteQueue, words: argparse.Namespace) -> None:
    ready()
    began = time.monotonic()
    for _ in range(words.count):
        queue.put(payload())
    say(words.count, time.monotonic() - began, [])


def publish(queue: LiteQueue, words: argparse.Namespace) -> None:
    ready()
    took, began = [], time.monotonic()
    while time.monotonic() - began < words.seconds:
        asked = time.monotonic_ns()
        queue.put(payload())
        took.append(time.monotonic_ns() - asked)
    say(len(took), time.monotonic() - began, took)


def consume(queue: LiteQueue, words: argparse.Namespace) -> None:
    ready()
    count, began = 0, time.monotonic()
    while (message := queue.pop()) is not None:
        queue.done(message.message_id)
        count += 1
    assert count == words.count, f"{count} events came"
    say(count, time.monotonic() - began, [])


def receive(queue: LiteQueue, words: argparse.Namespace) -> None:
    polled_empty(queue, COMES_TO_REST_SECONDS)
    used = time.process_time()
    polled_empty(queue, words.idle)
    percent = 100 * (time.process_time() - used) / max(words.idle, 1e-9)
    ready()
    took: list[int] = []
    began = time.monotonic()
    while len(took) < words.count:
        message = queue.pop()
        if message is None:
            time.sleep(POLL_SECONDS)
            continue
        took.append(time.monotonic_ns() - json.loads(message.data)["sent_ns"])
        queue.done(message.message_id)
    say(len(took), time.monotonic() - began, took, idle_percent=percent)


def polled_empty(queue: LiteQueue, seconds: float) -> None:
    """Waits as a consumer does while nothing comes."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        assert queue.pop() is None
        time.sleep(POLL_SECONDS)


def pace(queue: LiteQueue, words: argparse.Namespace) -> None:
    ready()
    began = time.monotonic()
    for number in range(words.count):
        time.sleep((3 + number * 7 % 9) / 1_000)
        queue.put(payload())
    say(words.count, time.monotonic() - began, [])


def main() -> None:
    works = {"fill": fill, "publish": publish, "consume": consume, "receive": receive, "pace": pace}
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=works)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--idle", type=float, default=0.0)
    # What other workers are told as well.
    words, _ = parser.parse_known_args()
    works[words.work](LiteQueue(str(words.home / "litequeue.db")), words)


main()
