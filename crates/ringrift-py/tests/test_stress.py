"""Many processes at once, each doing everything; and two copies of SQLite on one file. Exact sums."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ringrift_events import EventSystem

import stress
from stress import EVERY, PICKY, Crew, Ledger, Work, answer

LONG = bool(os.environ.get("RINGRIFT_LONG"))

STRESS_SECONDS = 600.0 if LONG else 30.0
HAMMER_SECONDS = 60.0 if LONG else 8.0


def database_of(home: Path) -> Path:
    return home / "data" / "coordination" / "coordination.db"


def books_balance(home: Path, ledgers: list[Path]) -> int:
    """Compares what processes noted with what the store says; answers how many were published."""
    lines = [line.split() for ledger in ledgers for line in ledger.read_text().splitlines()]
    names = [line[1] for line in lines if line[0] == "published"]
    published = collections.Counter(names)
    assert set(published.values()) == {1}
    runs: dict[str, dict[str, list[tuple[int, str]]]] = {EVERY: {}, PICKY: {}}
    for who, name, attempt, answered in (line for line in lines if line[0] in runs):
        runs[who].setdefault(name, []).append((int(attempt), answered))
    expected = {EVERY: {name: [(1, "done")] for name in names}, PICKY: {name: picky(name) for name in names}}
    for who in runs:
        told = {name: sorted(attempts) for name, attempts in runs[who].items()}
        different = {name for name in {*told, *names} if told.get(name) != expected[who].get(name)}
        assert not different, [(name, told.get(name)) for name in list(different)[:10]]
    dead = sum(runs[-1][1] == "dead" for runs in expected[PICKY].values())
    skipped = sum(runs[-1][1] == "skipped" for runs in expected[PICKY].values())
    assert sums_of(home) == {EVERY: (len(names), 0), PICKY: (len(names) - dead, dead)}
    with contextlib.closing(sqlite3.connect(database_of(home), timeout=60)) as database:

        def count(what: str) -> int:
            return int(database.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])

        assert count("cross_process_events") == len(names)
        assert count("dead_letter_queue WHERE handler = 'picky' AND status = 'dead'") == dead
        assert count("dead_letter_queue") == dead
        assert count("verdicts WHERE code = 'HN_SKIPPED'") == skipped
    return len(names)


def picky(name: str) -> list[tuple[int, str]]:
    """The attempts that the picky one makes at an event, and its answers."""
    number = int(name.split("-")[1])
    first = (1, answer(number, 1))
    return [first] if first[1] != "failed" else [first, (2, answer(number, 2))]


def sums_of(home: Path) -> dict[str, tuple[int, int]]:
    """Done and dead of each durable name, if its states add up and nothing is open."""
    command = [sys.executable, "-m", "ringrift_events", "--home", str(home), "--json", "db", "check", "--sums"]
    checked = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["data"]
    assert checked["healthy"], checked["problems"]
    sums = {}
    for one in checked["sums"]:
        assert one["adds_up"] and one["matching"] == one["done"] + one["dead"], one
        sums[one["name"]] = (one["done"], one["dead"])
    return sums


def test_eight_processes_publish_handle_and_fork_and_the_ledger_is_exact(
    home: Path, tmp_path: Path
) -> None:
    EventSystem.open(home, settings=stress.SETTINGS).close()
    with Crew(home, tmp_path, 8, STRESS_SECONDS) as crew:
        crew.worked()
        with EventSystem.open(home, settings=stress.SETTINGS) as events:
            crew.settled(events)
        crew.ended()
        assert books_balance(home, crew.ledgers) > 8 * STRESS_SECONDS
        for ledger in crew.ledgers:
            assert ledger.read_text().count("forked\n") >= 2, "it forked no worker"
    assert stress.is_intact(database_of(home))


class Hammer:
    """Threads that use the home's file beside the system; each counts what it has committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.wrong: list[str] = []
        self.written: collections.Counter[str] = collections.Counter()

    def start(self, who: str, blow: Callable[[str, int], None]) -> None:
        def work() -> None:
            try:
                while not self._stop.is_set():
                    blow(who, self.written[who])
                    self.written[who] += 1
            except BaseException as error:
                self.wrong.append(f"{who}: {error!r}")

        self._threads.append(threading.Thread(target=work, name=who))
        self._threads[-1].start()

    def write_here(self, who: str, number: int) -> None:
        """Python's own copy: opens, writes, reads the system's tables, closes."""
        with contextlib.closing(sqlite3.connect(self._path, timeout=60)) as database:
            with database:
                database.execute("INSERT INTO mine VALUES (?, ?)", (who, number))
            (own,) = database.execute("SELECT COUNT(*) FROM mine WHERE who = ?", (who,)).fetchone()
            assert own == number + 1, f"{own} rows after {number + 1}"
            database.execute("SELECT COUNT(*) FROM cross_process_events").fetchone()

    def write_in_a_shell(self, who: str, number: int) -> None:
        """A process of its own, which comes and goes."""
        text = f"INSERT INTO mine VALUES ('{who}', {number}); SELECT COUNT(*) FROM mine WHERE who = '{who}'"
        words = ["sqlite3", "-bail", "-cmd", ".timeout 60000", str(self._path), text]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert (ran.returncode, ran.stdout) == (0, f"{number + 1}\n"), ran

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), f"{thread.name} hangs"
        assert not self.wrong, self.wrong


def test_two_copies_of_sqlite_hammer_one_file_beside_other_processes(
    home: Path, tmp_path: Path
) -> None:
    """POSIX locks belong to the process, and another copy's close drops them: not ours."""
    path, own = database_of(home), tmp_path / "ledger-own"
    with EventSystem.open(home, settings=stress.SETTINGS) as events:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database, database:
            database.execute("CREATE TABLE mine (who TEXT, number INTEGER)")
        with Crew(home, tmp_path, 3, HAMMER_SECONDS) as crew:
            hammer = Hammer(path)
            for number in range(3):
                hammer.start(f"thread{number}", hammer.write_here)
            for number in range(2):
                hammer.start(f"shell{number}", hammer.write_in_a_shell)
            try:
                work = Work(events, Ledger(own))
                work.run(HAMMER_SECONDS, forks=False)
                crew.worked()
            finally:
                hammer.end()
            crew.settled(events)
            crew.ended()
        assert books_balance(home, [own, *crew.ledgers]) > 4 * HAMMER_SECONDS
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
        kept = database.execute("SELECT who, COUNT(*), MAX(number) + 1 FROM mine GROUP BY who").fetchall()
    assert {who: (count, count) for who, count in hammer.written.items()} == {
        who: (count, upto) for who, count, upto in kept
    }
    assert len(kept) == 5 and min(count for _, count, _ in kept) >= 3
    assert stress.is_intact(path)
