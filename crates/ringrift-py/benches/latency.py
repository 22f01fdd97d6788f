"""What a publish costs its caller, and how soon an async handler has the event: in the same process and
in another one. The counterpart of `crates/ringrift-events/benches/latency.rs`, with the same payload,
pauses and counts; `cargo xtask figures --only python` runs both on release builds and compares.

Each line is `value`, a name, and the median in microseconds, divided by tabs. What the watchdog adds to
publishing and handling is in percent of processor time, the median of pairs of rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time

from ringrift_events import Event, EventSystem

TYPE = "TRAINING_COMPLETED"
SETTINGS = {"store.disk_free_min_percent": 0}
TIMES, WARM, PAUSE_SECONDS = 600, 50, 0.005
PAIRS, EVENTS_A_ROUND = 25, 400


def payload() -> dict[str, object]:
    """About 300 bytes as JSON."""
    return {"config_key": "hex8_2p", "sent_us": time.time_ns() // 1_000, "pad": "x" * 230}


def value(name: str, took: list[float]) -> None:
    print(f"value\t{name}\t{statistics.median(took[WARM:]):.2f}", flush=True)


def call(events: EventSystem) -> None:
    """What the call costs whoever publishes: the commit is waited for outside of it."""
    took = []
    for _ in range(WARM + TIMES):
        one = payload()
        began = time.perf_counter_ns()
        publishing = events.publish(TYPE, one, wait=False)
        took.append((time.perf_counter_ns() - began) / 1_000)
        publishing.wait()
    value("call", took)


def noting(events: EventSystem) -> list[float]:
    """Subscribes an async handler that notes how long ago its event was published."""
    took: list[float] = []

    async def latency(event: Event) -> None:
        now = time.time_ns() // 1_000
        took.append(now - event.payload["sent_us"])

    events.subscribe(TYPE, latency, name="latency")
    return took


async def publish_paced(events: EventSystem) -> None:
    for _ in range(WARM + TIMES):
        await asyncio.sleep(PAUSE_SECONDS)
        await events.publish(TYPE, payload(), wait=False)
    # The last ones are on their way.
    await asyncio.sleep(PAUSE_SECONDS * 20)


async def same_process(home: str) -> None:
    async with EventSystem.open(home, settings=SETTINGS) as events:
        took = noting(events)
        await publish_paced(events)
        value("same_process", took)


async def other_process(home: str) -> None:
    handles = subprocess.Popen([sys.executable, __file__, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert handles.stdin is not None and handles.stdout is not None
    assert handles.stdout.readline() == b"ready\n"
    async with EventSystem.open(home, settings=SETTINGS) as events:
        await publish_paced(events)
    handles.stdin.close()
    print(handles.stdout.read().decode(), end="", flush=True)
    assert handles.wait() == 0


async def handle(home: str) -> None:
    """The other process: handles until its standard input ends."""
    async with EventSystem.open(home, settings=SETTINGS) as events:
        took = noting(events)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        value("other_process", took)


async def processor_time(loop_held: float) -> float:
    """What publishing and handling cost this process, in seconds; 0 is without the watchdog."""
    with tempfile.TemporaryDirectory() as home:
        async with EventSystem.open(home, settings=SETTINGS, loop_held=loop_held) as events:
            noting(events)
            await events.publish(TYPE, payload())
            before = time.process_time()
            for _ in range(EVENTS_A_ROUND):
                await events.publish(TYPE, payload())
            return time.process_time() - before


def watchdog() -> None:
    ratios = []
    for number in range(PAIRS):
        order = (0.5, 0.0) if number % 2 else (0.0, 0.5)
        spent = {held: asyncio.run(processor_time(held)) for held in order}
        ratios.append(spent[0.5] / spent[0.0])
    print(f"value\twatchdog_percent\t{(statistics.median(ratios) - 1) * 100:.2f}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        with EventSystem.open(home, settings=SETTINGS) as events:
            call(events)
        asyncio.run(same_process(home))
        asyncio.run(other_process(home))
    watchdog()


if len(sys.argv) > 1:
    asyncio.run(handle(sys.argv[1]))
else:
    main()
