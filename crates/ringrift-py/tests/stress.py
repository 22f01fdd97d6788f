"""Processes of the stress tests, their ledger, and who watches over them. Not a test itself.

A process publishes for some seconds, handles for two durable names, and forks workers meanwhile. What
it did it notes in a file of its own, a whole line each; all files together are the ledger.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import faulthandler
import hashlib
import itertools
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from ringrift_events import Answer, Backpressure, Dead, Event, EventSystem, Forked, Skip

TYPE = "TRAINING_COMPLETED"
EVERY, PICKY = "every", "picky"
"""The durable names: one is done with all it gets, the other answers in every way."""

PAUSE_SECONDS = 0.05
"""Between two publishes of a thread: some 40 events a second of each process."""

FORK_SECONDS = 0.25
"""Between two forks of a process."""

CHILD_SECONDS_MAX = 60.0
"""Longest a forked child may take for a few milliseconds of work before it counts as hung."""

QUIET_SECONDS_MAX = 60.0
"""Longest that a process may note nothing, or that what is owed may stay the same."""

SETTINGS = {"dlq.backoff_first": "20ms", "store.disk_free_min_percent": 0}


class Ledger:
    """Notes lines of words; from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def note(self, *words: object) -> None:
        # One write that appends: lines of many threads stay whole.
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def answer(number: int, attempt: int) -> str:
    """How the picky one answers an event at an attempt."""
    if number % 97 == 0:
        return "dead"
    if number % 5 == 0 and attempt == 1:
        return "failed"
    return "skipped" if number % 3 == 0 else "done"


class Work:
    """What a process does, on a system that is open."""

    def __init__(self, events: EventSystem, ledger: Ledger) -> None:
        self._events = events
        self._ledger = ledger
        self._numbers = itertools.count()
        self.stop = threading.Event()
        self.wrong: list[str] = []

        async def every(event: Event) -> None:
            await asyncio.sleep(0)
            ledger.note(EVERY, event["name"], event.attempt, "done")

        def picky(event: Event) -> Answer | None:
            answered = answer(event["number"], event.attempt)
            ledger.note(PICKY, event["name"], event.attempt, answered)
            if answered == "failed":
                raise ConnectionError("on purpose")
            answers: dict[str, Answer] = {"dead": Dead("on purpose"), "skipped": Skip("on purpose")}
            return answers.get(answered)

        events.subscribe(TYPE, every, durable=EVERY, start="beginning", concurrency=4)
        events.subscribe(TYPE, picky, durable=PICKY, start="beginning", concurrency=4, attempts=3)

    def run(self, seconds: float, *, forks: bool) -> None:
        """Publishes from a thread and from a loop, and forks; returns when the time is over."""
        works = [self._publish_on_a_thread, lambda: asyncio.run(self._publish_on_a_loop())]
        works += [self._fork] if forks else []
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()
        if self.wrong:
            raise AssertionError("; ".join(self.wrong))

    def _guarded(self, work: collections.abc.Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.wrong.append(repr(error))
            self.stop.set()

    def _next(self) -> dict[str, object]:
        number = next(self._numbers)
        return {"config_key": f"key{number % 7}", "number": number, "name": f"{os.getpid()}-{number}"}

    def _publish_on_a_thread(self) -> None:
        while not self.stop.wait(PAUSE_SECONDS):
            payload = self._next()
            receipt = self._events.publish_sync(TYPE, payload, wait=False)
            assert receipt.seq is not None and receipt.duplicate_of is None, receipt
            self._ledger.note("published", payload["name"])

    async def _publish_on_a_loop(self) -> None:
        while not self.stop.is_set():
            await asyncio.sleep(PAUSE_SECONDS)
            payload = self._next()
            try:
                publishing = self._events.publish(TYPE, payload)
            except Backpressure:
                continue  # Nothing happened: its number is in no ledger.
            # It has taken effect, whoever waits for it or not.
            self._ledger.note("published", payload["name"])
            if int(str(payload["number"])) % 2:
                await publishing

    def _fork(self) -> None:
        fork = multiprocessing.get_context("fork")
        while not self.stop.wait(FORK_SECONDS):
            self._ended(self._bare_child(), "a forked child")
            # As a DataLoader starts its workers.
            loader = fork.Process(target=compute)
            loader.start()
            loader.join(CHILD_SECONDS_MAX)
            self._ended(loader.exitcode, "a worker of multiprocessing")

    def _ended(self, code: int | None, what: str) -> None:
        assert code == 0, f"{what} ended with {code}"
        self._ledger.note("forked")

    def _bare_child(self) -> int | None:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                compute()
                try:
                    self._events.publish(TYPE, {"config_key": "child"})
                except Forked:
                    code = 0
            finally:
                os._exit(code)
        until = time.monotonic() + CHILD_SECONDS_MAX
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        where_it_hangs(child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None


def where_it_hangs(child: int) -> None:
    """Prints what a process waits for, in the kernel and in Python."""
    for name in ("wchan", "syscall", "status"):
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{child}/{name}").read_text()
            print(f"child {child} {name}: {told}", file=sys.stderr, flush=True)
    os.kill(child, signal.SIGUSR1)
    time.sleep(1)


def compute() -> None:
    """A worker's work."""
    assert len(hashlib.sha256(b"x" * 100_000).hexdigest()) == 64


def main(home: str, ledger: str, seconds: str) -> None:
    """One process: works, says so, and handles until its standard input ends."""
    faulthandler.register(signal.SIGUSR1)
    # What newer interpreters say of forks beside threads; here they are on purpose.
    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
    with EventSystem.open(home, settings=SETTINGS) as events:
        work = Work(events, Ledger(Path(ledger)))
        print("ready", flush=True)
        work.run(float(seconds), forks=True)
        print("worked", flush=True)
        sys.stdin.read()


class Crew:
    """Some such processes; none outlives it."""

    def __init__(self, home: Path, folder: Path, count: int, seconds: float) -> None:
        self._home = home
        self.ledgers = [folder / f"ledger-{number}" for number in range(count)]
        self._seconds = seconds
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Crew:
        for ledger in self.ledgers:
            ledger.touch()
            said = ledger.with_suffix(".err").open("w")
            words = [__file__, str(self._home), str(ledger), str(self._seconds)]
            process = subprocess.Popen(
                [sys.executable, "-u", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            said.close()
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def worked(self) -> None:
        """Waits until each has published; one that notes nothing for too long is hung."""
        threads = []
        done: set[int] = set()
        for number, process in enumerate(self._processes):
            thread = threading.Thread(target=self._hear, args=(number, process, done))
            thread.start()
            threads.append(thread)
        sizes = [(-1, 0.0)] * len(threads)
        while any(thread.is_alive() for thread in threads):
            for number, ledger in enumerate(self.ledgers):
                size = ledger.stat().st_size
                if size != sizes[number][0] or not threads[number].is_alive():
                    sizes[number] = (size, time.monotonic())
                if time.monotonic() - sizes[number][1] > QUIET_SECONDS_MAX:
                    raise AssertionError(self._hung(f"process {number} notes nothing"))
            time.sleep(0.05)
        assert len(done) == len(threads), self._said("one ended before its time")

    @staticmethod
    def _hear(number: int, process: subprocess.Popen[str], done: set[int]) -> None:
        assert process.stdout is not None
        if [process.stdout.readline(), process.stdout.readline()] == ["ready\n", "worked\n"]:
            done.add(number)

    def settled(self, events: EventSystem) -> None:
        """Waits until nothing is owed to anybody; what stays the same for too long is stuck."""
        last, since = -1, time.monotonic()
        while (owed := owed_of(events)) > 0:
            if owed != last:
                last, since = owed, time.monotonic()
            if time.monotonic() - since > QUIET_SECONDS_MAX:
                raise AssertionError(self._hung(f"{owed} deliveries are owed"))
            time.sleep(0.05)

    def ended(self) -> None:
        """Lets each of them end by itself."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            try:
                code = process.wait(QUIET_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                raise AssertionError(self._hung(f"pid {process.pid} does not end")) from None
            assert code == 0, self._said(f"pid {process.pid} ended with {code}")

    def _hung(self, what: str) -> str:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
        time.sleep(2)  # faulthandler announces no end of its writing
        return self._said(what)

    def _said(self, what: str) -> str:
        said = [ledger.with_suffix(".err").read_text() for ledger in self.ledgers]
        return "\n".join([what, *said])


def owed_of(events: EventSystem) -> int:
    """Events that wait, and deliveries that run or wait for a retry."""
    durable = [one for one in events.subscriptions() if one["name"] in (EVERY, PICKY)]
    return events.count_pending() + sum(int(one["claimed"] + one["retrying"]) for one in durable)


def is_intact(path: Path) -> bool:
    """Whether SQLite finds the whole file in order."""
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
        found: list[tuple[str]] = database.execute("PRAGMA integrity_check").fetchall()
    return found == [("ok",)]


if __name__ == "__main__":
    main(*sys.argv[1:])
