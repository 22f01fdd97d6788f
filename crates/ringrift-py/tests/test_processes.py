"""Processes: fork, exit, death, SQLite's second copy, the command."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ringrift_events import Event, EventSystem, Forked

from conftest import PATIENCE, QUICK, eventually, python, started

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p"}


def in_child(work: object) -> int:
    """Forks, does it in the child, answers the child's exit code; one that hangs is killed."""
    assert callable(work)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(PATIENCE / 2))
        code = 70
        try:
            code = int(work())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_refused_and_its_parent_goes_on(events: EventSystem) -> None:
    got: list[str] = []
    subscription = events.subscribe(TYPE, lambda event: got.append(event.id), durable="evaluator")
    publishing = events.publish(TYPE, PAYLOAD)

    def child() -> int:
        refused = 0
        for attempt in (
            lambda: events.publish(TYPE, PAYLOAD),
            lambda: events.publish_sync(TYPE, PAYLOAD),
            publishing.wait,
            subscription.unsubscribe,
            lambda: events.subscribe(TYPE, print, name="child"),
            events.health,
            lambda: subscription.stats,
            subscription.recent_errors,
            events.close,
        ):
            try:
                attempt()
            except Forked as error:
                refused += error.code == "STORE_FORKED"
        return refused

    # `close` of a child has nothing to end, and is no error.
    assert in_child(child) == 8
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: len(got) == 2, "both events in the parent")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_that_forks_while_a_thread_subscribes_is_refused_and_does_not_hang(
    events: EventSystem, home: Path
) -> None:
    shell = subprocess.Popen(
        ["sqlite3", str(home / "data" / "coordination" / "coordination.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(".timeout 60000\nBEGIN IMMEDIATE;\nSELECT 'held';\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == "held\n"
    subscribes = threading.Thread(target=events.subscribe, args=(TYPE, print))

    def child() -> int:
        refused = 0
        for attempt in (lambda: events.subscribe(TYPE, repr, name="child"), events.health):
            try:
                attempt()
            except Forked:
                refused += 1
        events.close()
        return refused

    try:
        subscribes.start()
        # It waits for the store within its system's lock.
        eventually(lambda: not free(events), "the lock held")
        assert in_child(child) == 2
    finally:
        shell.communicate("COMMIT;\n", PATIENCE)
        subscribes.join(PATIENCE)
    assert not subscribes.is_alive()


def free(events: EventSystem) -> bool:
    """Whether no thread is inside of the system's lock."""
    lock = events._lock._lock
    if not lock.acquire(blocking=False):
        return False
    lock.release()
    return True


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_children_that_fork_while_events_flow_harm_nobody(events: EventSystem, home: Path) -> None:
    """A DataLoader forks its workers whenever it likes; they compute and end."""
    stop = threading.Event()
    published: list[str] = []

    def publish() -> None:
        while not stop.is_set():
            published.append(events.publish_sync(TYPE, PAYLOAD).id)

    got: set[str] = set()
    events.subscribe(TYPE, lambda event: got.add(event.id), durable="evaluator")
    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert in_child(lambda: sum(range(1000)) % 7) == 499500 % 7
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    eventually(lambda: got == set(published), "every event")
    with sqlite3.connect(home / "data" / "coordination" / "coordination.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_child_that_ends_like_a_program_does_not_hang(home: Path) -> None:
    """`sys.exit` in a fork runs atexit: what its parent opened is not its to close."""
    ran = python(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from ringrift_events import EventSystem
        events = EventSystem.open(sys.argv[1])
        events.subscribe("TRAINING_COMPLETED", print, name="prints")
        child = os.fork()
        if child == 0:
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        events.publish_sync("TRAINING_COMPLETED", {"config_key": "a"}, wait=False)
        """,
        home,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("3\n")


@pytest.mark.parametrize("ending", ["pass", "sys.exit(5)", "raise ValueError('on purpose')"])
def test_an_interpreter_that_ends_without_closing_ends_in_order(home: Path, ending: str) -> None:
    ran = python(
        f"""
        import asyncio, sys
        from ringrift_events import EventSystem
        events = EventSystem.open(sys.argv[1])
        @events.on("TRAINING_COMPLETED", durable="evaluator")
        async def handle(event):
            await asyncio.sleep(0.05)
            print("handled", event["config_key"], flush=True)
        @events.on("TRAINING_COMPLETED")
        def plain(event):
            pass
        events.publish("TRAINING_COMPLETED", {{"config_key": "a"}})
        events.expect("EVALUATION_STARTED")
        {ending}
        """,
        home,
    )
    assert ran.returncode == {"p": 0, "s": 5, "r": 1}[ending[0]], ran.stderr
    assert "Fatal" not in ran.stderr and "panicked" not in ran.stderr
    # What it published is there, and it left: nobody holds its page.
    with EventSystem.open(home, settings=QUICK) as events:
        assert events.stats()["throughput"]["total"]["total"] == 1
        assert events.health()["details"]["processes_alive"] == 1
        # What it had not finished is handled by whoever comes next.
        got: list[str] = []
        if "handled a" not in ran.stdout:
            events.subscribe(TYPE, lambda event: got.append(event.id), durable="evaluator")
            eventually(lambda: got, "the event it left")


def test_a_handler_that_hangs_does_not_hold_the_exit(home: Path) -> None:
    ran = python(
        """
        import sys, threading
        from ringrift_events import EventSystem
        events = EventSystem.open(sys.argv[1], settings={"process.shutdown_grace": "200ms"})
        began = threading.Event()
        @events.on("TRAINING_COMPLETED")
        def hangs(event):
            began.set()
            threading.Event().wait()
        @events.on("TRAINING_COMPLETED")
        async def hangs_too(event):
            import asyncio
            await asyncio.Event().wait()
        events.publish("TRAINING_COMPLETED", {"config_key": "a"})
        began.wait()
        print("the end")
        """,
        home,
    )
    assert ran.stdout == "the end\n"
    assert ran.returncode == 0, ran.stderr


CONSUMER = """
    import os, sys, time
    from ringrift_events import EventSystem

    events = EventSystem.open(sys.argv[1], settings={"store.lease": "2s"})

    @events.on("TRAINING_COMPLETED", durable="evaluator", concurrency=4)
    def evaluate(event):
        os.write(1, f"{event['config_key']}\\n".encode())  # whole lines from four threads
        time.sleep(0.02)

    print("ready", flush=True)
    sys.stdin.read()
    events.close()
"""


def test_what_a_killed_process_held_is_handled_by_another(home: Path) -> None:
    with EventSystem.open(home, settings={**QUICK, "store.lease": "2s"}) as events:
        victim = started(CONSUMER, home)
        for number in range(50):
            events.publish(TYPE, {"config_key": str(number)}, wait=False)
        assert victim.stdout is not None
        seen = {victim.stdout.readline().strip() for _ in range(5)}
        victim.kill()
        seen |= set(victim.stdout.read().split())
        with victim:  # waits for its end and closes its pipes
            pass
        survivor = started(CONSUMER, home)
        assert survivor.stdout is not None
        while seen != {str(number) for number in range(50)}:
            line = survivor.stdout.readline()
            assert line, seen
            seen.add(line.strip())
        survivor.communicate("", PATIENCE)
        assert survivor.returncode == 0


def test_pythons_own_sqlite_opens_and_closes_the_same_file_meanwhile(home: Path) -> None:
    """POSIX locks belong to the process, and another copy's close drops them: not ours."""
    with EventSystem.open(home, settings=QUICK) as events:
        path = home / "data" / "coordination" / "coordination.db"
        stop = threading.Event()
        looks = [0]

        def look() -> None:
            while not stop.is_set():
                database = sqlite3.connect(path, timeout=30)
                database.execute("SELECT count(*) FROM cross_process_events").fetchone()
                database.close()
                looks[0] += 1

        other = started(CONSUMER, home)
        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        receipts = []
        try:
            for number in range(300):
                receipts.append(events.publish_sync(TYPE, {"config_key": str(number)}))
                if number % 100 == 0:
                    shell = ["sqlite3", str(path), "SELECT count(*) FROM cross_process_events"]
                    subprocess.run(shell, check=True, capture_output=True, timeout=PATIENCE)
            eventually(lambda: looks[0] >= 50, "looks of the other copy")
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        out, _ = other.communicate("", PATIENCE)
        assert other.returncode == 0
        database = sqlite3.connect(path)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = database.execute("SELECT count(*) FROM cross_process_events").fetchone()
        database.close()
        assert count == len({receipt.seq for receipt in receipts}) == 300
        assert set(out.split()) <= {str(number) for number in range(300)}


def test_the_command_comes_with_the_package(home: Path) -> None:
    command = [sys.executable, "-m", "ringrift_events", "--home", str(home), "--json"]
    with EventSystem.open(home) as events:
        receipt = events.publish_sync(TYPE, PAYLOAD)
        ran = subprocess.run(
            [*command, "explain", receipt.id], capture_output=True, text=True, timeout=PATIENCE
        )
    answer = json.loads(ran.stdout)
    assert answer["ok"] is True and answer["command"] == "explain"
    assert receipt.id in ran.stdout
    missing = subprocess.run(
        [*command, "explain", "0000"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert json.loads(missing.stdout)["ok"] is False
    assert missing.returncode == 6, missing.stdout


def test_the_wheels_script_is_the_same_command(home: Path) -> None:
    script = str(Path(sys.executable).with_name("ringrift"))
    publish = [script, "--home", str(home), "--json", "publish", TYPE, '{"config_key": "script"}']
    subprocess.run([script, "init", str(home)], check=True, capture_output=True, timeout=PATIENCE)
    said = subprocess.run(publish, check=True, capture_output=True, text=True, timeout=PATIENCE)
    answer = json.loads(said.stdout)
    assert answer["ok"] is True and answer["command"] == "publish"
    with EventSystem.open(home) as events:
        assert events.explain(answer["data"]["id"])["event"]["seq"] == 1


def test_ctrl_c_ends_the_command(home: Path) -> None:
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "ringrift_events", "--home", str(home), "subscribe", TYPE, "--name", "w"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "subscribed" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_events_cross_from_python_to_python_and_back(home: Path) -> None:
    with EventSystem.open(home, settings=QUICK) as events:
        got: list[Event] = []
        events.subscribe("EVALUATION_COMPLETED", got.append, name="collects")
        other = started(
            """
            import sys
            from ringrift_events import EventSystem
            with EventSystem.open(sys.argv[1]) as events:
                @events.on("TRAINING_COMPLETED")
                async def evaluate(event):
                    await events.publish("EVALUATION_COMPLETED", {"config_key": event["config_key"]})
                print("ready", flush=True)
                sys.stdin.read()
            """,
            home,
        )
        first = events.publish_sync(TYPE, PAYLOAD)
        eventually(lambda: got, "the answer")
        other.communicate("", PATIENCE)
        assert got[0].parent_id == first.id
        assert got[0].depth == 1
        assert got[0].trace_id == first.id.replace("-", "")
        assert got[0].origin != events.process
