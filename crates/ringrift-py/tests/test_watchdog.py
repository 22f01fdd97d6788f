"""The loop watchdog: who holds the loop, where, and what does not count."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringrift_events import Event, EventSystem
from ringrift_events._loops import side_of

from conftest import PATIENCE, QUICK, python

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p"}

LOOK_SECONDS = 0.5 / 5
"""Between two looks of the watchdog: a fifth of how long a loop may be held."""


def blocked_facts(home: Path) -> list[str]:
    """What the store keeps of blocked loops."""
    database = sqlite3.connect(home / "data" / "coordination" / "coordination.db")
    try:
        rows = database.execute("SELECT * FROM verdicts WHERE code = 'WT_LOOP_BLOCKED'").fetchall()
    finally:
        database.close()
    return [str(row) for row in rows]


async def recorded(home: Path, count: int) -> list[str]:
    until = time.monotonic() + PATIENCE
    while len(facts := await asyncio.to_thread(blocked_facts, home)) < count:
        assert time.monotonic() < until, "no fact came"
        await asyncio.sleep(0.02)
    return facts


class Reports(logging.Handler):
    """Keeps reports, each with the moment at which it came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.came.append((time.monotonic(), record.getMessage()))


@pytest.fixture
def reports() -> Reports:
    reports = Reports()
    logging.getLogger("ringrift_events").addHandler(reports)
    return reports


async def test_a_sleep_in_an_async_handler_is_reported_with_handler_event_and_line(
    home: Path, reports: Reports
) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        began: list[float] = []

        @events.on(TYPE, name="sleeper")
        async def sleeper(event: Event) -> None:
            began.append(time.monotonic())
            time.sleep(2)  # this line

        receipt = await events.publish(TYPE, PAYLOAD)
        assert len(reports.came) == 1, "one report a time"
        at, said = reports.came[0]
        if at - began[0] >= 1:
            # Other programs may have kept the watchdog from a processor, but hardly twice.
            receipt = await events.publish(TYPE, PAYLOAD)
            at, said = reports.came[1]
            assert at - began[1] < 1, f"it came {at - began[1]:.2f} s after the loop was held"
        assert "handler sleeper" in said and receipt.id in said
        here = Path(__file__).read_text().splitlines()
        line = next(n for n, text in enumerate(here, 1) if text.endswith("# this line"))
        assert f"{__file__}:{line} in sleeper" in said
        facts = await recorded(home, len(began))
        assert "sleeper" in facts[0] and receipt.id in str(facts)
        assert f":{line} in sleeper" in facts[0]


async def test_a_busy_handler_is_reported_as_computing(home: Path, reports: Reports) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE, name="computes")
        async def computes(event: Event) -> None:
            until = time.thread_time() + 1.5
            while time.thread_time() < until:
                pass

        await events.publish(TYPE, PAYLOAD, wait=PATIENCE)
        assert "handler computes" in reports.came[0][1]
        facts = await recorded(home, 1)
        assert '"class":"cpu"' in facts[0].replace(" ", "")


async def test_what_yields_is_not_reported(home: Path, reports: Reports) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE)
        async def waits(event: Event) -> None:
            for _ in range(20):
                await asyncio.sleep(0.05)

        @events.on(TYPE)
        def blocks_a_thread(event: Event) -> None:
            time.sleep(1)

        await events.publish(TYPE, PAYLOAD)
        # A loop that is held while no handler is on it is its program's own affair.
        time.sleep(1)
    assert reports.came == []
    assert blocked_facts(home) == []


STARVED = """
    import asyncio, logging, os, subprocess, sys, time
    from ringrift_events import EventSystem

    HOGS, COMPUTES_SECONDS = 6, 0.2
    BURN = "import os, sys\\nwhile os.getppid() == int(sys.argv[1]): pass"

    async def program(home):
        async with EventSystem.open(home) as events:
            held = []

            @events.on("TRAINING_COMPLETED", timeout=120)
            async def works(event):
                until, began = time.thread_time() + COMPUTES_SECONDS, time.monotonic()
                while time.thread_time() < until:
                    pass
                held.append(time.monotonic() - began)

            burn = [sys.executable, "-c", BURN, str(os.getpid())]
            hogs = [subprocess.Popen(burn) for _ in range(HOGS)]
            try:
                for _ in range(2):
                    await events.publish("TRAINING_COMPLETED", {"config_key": "a"}, wait=120)
            finally:
                for hog in hogs:
                    hog.kill()
                    hog.wait()
            print(min(held))

    logging.basicConfig(stream=sys.stdout, format="reported %(message)s")
    # All on one processor, whatever the machine has.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asyncio.run(program(sys.argv[1]))
"""


def test_a_machine_short_of_processors_is_no_blocking_handler(home: Path) -> None:
    """It computes for 0.2 s and is held for seconds, in most of which it could have run."""
    ran = python(STARVED, home)
    assert ran.returncode == 0, ran.stderr
    assert "reported" not in ran.stdout, ran.stdout
    # Shorter than the limit, and nothing would have been reported in any case.
    assert float(ran.stdout) > 1.0, f"it was starved for {ran.stdout} s only"
    assert blocked_facts(home) == []


async def test_a_task_that_is_no_handlers_is_told_with_the_event_that_waits(
    home: Path, reports: Reports
) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        waiting = asyncio.Event()

        @events.on(TYPE, name="patient")
        async def patient(event: Event) -> None:
            waiting.set()
            await asyncio.sleep(0.1)

        async def careless() -> None:
            await waiting.wait()
            time.sleep(1.5)

        task = asyncio.create_task(careless(), name="careless")
        receipt = events.publish(TYPE, PAYLOAD)
        await task
        await receipt
        assert "handler (careless)" in reports.came[0][1]
        assert receipt.id in reports.came[0][1]


def watchdog_time() -> float:
    """What the watchdog's thread has had of a processor so far, in seconds."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().strip() == "ringrift:loops":
            ran, _, _ = (task / "schedstat").read_text().split()
            return int(ran) / 1e9
    raise AssertionError("nobody watches")


async def time_of(turns: int, turn: Callable[[], None]) -> float:
    """What one turn of this loop costs its thread that does this, in seconds."""
    before = time.thread_time()
    for _ in range(turns):
        turn()
        await asyncio.sleep(0)
    return (time.thread_time() - before) / turns


async def test_a_busy_program_pays_less_than_a_hundredth_for_it(home: Path) -> None:
    """Of all that publishing and handling cost this process: the thread, and the loop's answers.

    Two throughputs, with it and without it, differ by far more than that on a busy machine;
    `cargo xtask figures --only python` compares them on a quiet one.
    """
    async with EventSystem.open(home, settings=QUICK) as events:
        handled = 0

        @events.on(TYPE)
        async def handle(event: Event) -> None:
            nonlocal handled
            handled += 1

        await events.publish(TYPE, PAYLOAD)
        answer = await time_of(1000, side_of(asyncio.get_running_loop())._read)
        watched, spent, began = watchdog_time(), time.process_time(), time.monotonic()
        while time.monotonic() < began + 3:
            await events.publish(TYPE, PAYLOAD)
        knocks = (time.monotonic() - began) / LOOK_SECONDS
        watched, spent = watchdog_time() - watched, time.process_time() - spent
    assert handled > 100, "that was no load"
    assert watched > 0, "nobody watched"
    share = (watched + knocks * answer) / spent
    assert share < 0.01, f"{share:.2%} of what {handled} events cost"


async def share_of_bare_rings() -> float:
    """What a thread that rings this loop as often costs, and the loop with it: of a processor."""
    loop, over, rang = asyncio.get_running_loop(), threading.Event(), 0.0

    def nothing() -> None:
        pass

    def ring() -> None:
        nonlocal rang
        while not over.wait(LOOK_SECONDS):
            loop.call_soon_threadsafe(nothing)
        rang = time.thread_time()

    thread = threading.Thread(target=ring)
    before, began = time.thread_time(), time.monotonic()
    thread.start()
    await asyncio.sleep(2)
    over.set()
    await asyncio.to_thread(thread.join)
    return (time.thread_time() - before + rang) / (time.monotonic() - began)


async def test_the_watchdog_costs_little_where_nothing_happens(home: Path) -> None:
    """Its thread, over a stretch in which it rings an otherwise idle loop."""
    async with EventSystem.open(home, settings=QUICK) as events:
        over = threading.Event()

        @events.on(TYPE)
        async def waits(event: Event) -> None:
            await asyncio.sleep(3)
            over.set()

        events.publish(TYPE, PAYLOAD)
        watched, before, began = watchdog_time(), time.thread_time(), time.monotonic()
        while not over.is_set():
            await asyncio.sleep(0.5)
        spent = watchdog_time() - watched + time.thread_time() - before
    share = spent / (time.monotonic() - began)
    # Where waking a thread alone costs that much, as on a crowded host, nobody can do better.
    bare = await share_of_bare_rings()
    assert share < max(0.01, 2 * bare), f"{share:.2%} of a processor, bare rings {bare:.2%}"


async def test_a_handler_that_was_installed_is_named_by_its_own_line(
    home: Path, tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    for package, text in {
        "blocking": "import time\n\n\ndef wait():\n    time.sleep(1.5)\n",
        "evaluator": "import blocking\n\n\nasync def evaluate(event):\n    blocking.wait()\n",
    }.items():
        (installed / package).mkdir(parents=True)
        (installed / package / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(installed))
    evaluator = importlib.import_module("evaluator")
    async with EventSystem.open(home, settings=QUICK) as events:
        events.subscribe(TYPE, evaluator.evaluate, name="installed")
        await events.publish(TYPE, PAYLOAD)
    assert reports.came
    # Neither the loop's machinery nor the library that it calls.
    assert "evaluator/__init__.py:5 in evaluate" in reports.came[0][1]


async def test_threads_that_want_the_interpreter_are_no_blocking_handler(
    home: Path, reports: Reports
) -> None:
    go, over = threading.Event(), threading.Event()

    def burn() -> None:
        go.wait(PATIENCE)
        while not over.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=burn) for _ in range(8)]
    for thread in threads:
        thread.start()  # waits for it: not on the loop that is watched
    interval = sys.getswitchinterval()
    # Each keeps the lock for so long that nobody gets it within a look's patience.
    sys.setswitchinterval(0.15)
    try:
        async with EventSystem.open(home, settings=QUICK) as events:

            @events.on(TYPE, name="innocent")
            async def innocent(event: Event) -> None:
                for _ in range(3):
                    await asyncio.sleep(0.01)

            publishing = events.publish(TYPE, PAYLOAD, wait=PATIENCE)
            go.set()
            await publishing
            over.set()
    finally:
        go.set()
        over.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(PATIENCE)
    assert [said for _, said in reports.came if "innocent" in said or "handler" in said] == []
    assert all("the interpreter's lock could not be had" in said for _, said in reports.came)
    assert blocked_facts(home) == []


async def test_what_held_a_loop_is_joined_with_its_event_and_descriptor(home: Path) -> None:
    fifo = home.parent / "a fifo"
    os.mkfifo(fifo)
    silent = os.open(fifo, os.O_RDWR)
    try:
        async with EventSystem.open(home, settings=QUICK) as events:
            reads = os.open(fifo, os.O_RDONLY)
            threading.Timer(1.5, os.write, (silent, b"x")).start()

            @events.on(TYPE, name="reader")
            async def reader(event: Event) -> None:
                os.read(reads, 1)

            receipt = await events.publish(TYPE, PAYLOAD, wait=PATIENCE)
            facts = await recorded(home, 1)
            assert "a fifo" in facts[0] and f"{__file__}:" in facts[0]
            explained = await asyncio.to_thread(events.explain, receipt.id)
            assert "WT_LOOP_BLOCKED" in str(explained) and "in reader" in str(explained)
            os.close(reads)
    finally:
        os.close(silent)


async def test_c_code_that_keeps_the_interpreter_is_recorded_as_that(home: Path) -> None:
    libc = ctypes.PyDLL(None)  # unlike CDLL it keeps the lock
    async with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE, name="keeper")
        async def keeper(event: Event) -> None:
            libc.usleep(2_500_000)

        receipt = await events.publish(TYPE, PAYLOAD, wait=PATIENCE)
        facts = await recorded(home, 1)
        assert "keeper" in facts[0] and receipt.id in facts[0]
        assert "lock could not be had, C code keeps it" in facts[0]
