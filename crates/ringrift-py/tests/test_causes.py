"""Causes of the runbook, brought about from Python: `doctor()` names each, and no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ringrift_events import Event, EventSystem, step

from conftest import PATIENCE, eventually, started

TYPE = "TRAINING_COMPLETED"
SETTINGS = {"dlq.backoff_first": "20h", "dlq.backoff_most": "20h"}
"""What failed stays so: a retry would be another run."""


@contextlib.contextmanager
def opened(home: Path, **settings: object) -> Iterator[EventSystem]:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    with EventSystem.open(home, settings={**SETTINGS, **given}) as events:
        yield events


def findings(events: EventSystem) -> list[dict[str, Any]]:
    found = events.doctor()["findings"]
    return [one for one in found if one["cause"] is not None]


def causes(events: EventSystem) -> set[str]:
    return {one["cause"] for one in findings(events)}


def names(events: EventSystem, cause: str, *at_fault: str) -> None:
    """Waits until a cause is named, with what is at fault; no other may be."""
    eventually(lambda: cause in causes(events), f"{cause} among {findings(events)}")
    assert causes(events) == {cause}, findings(events)
    text = str([(one["subject"], one["evidence"]) for one in findings(events)])
    assert [one for one in at_fault if one not in text] == []


def test_1_1_a_handler_that_was_not_started(home: Path) -> None:
    with opened(home) as creator:
        creator.subscribe(TYPE, print, durable="evaluator")
    with opened(home, doctor__unhosted_after="1s") as events:
        events.subscribe("NEW_GAMES_AVAILABLE", print, durable="archiver")
        event = events.publish_sync(TYPE, {"number": 1}).id
        names(events, "handler-not-started", "evaluator", event)


def test_1_1_a_handler_whose_loop_was_closed(home: Path) -> None:
    async def handle(event: Event) -> None: ...

    with opened(home, doctor__unhosted_after="1s") as events:

        async def program() -> None:
            events.subscribe(TYPE, handle, durable="evaluator")

        asyncio.run(program())
        event = events.publish_sync(TYPE, {"number": 1}, wait=False).id
        names(events, "handler-not-started", "evaluator", event)


def test_2_2_blocking_io_in_an_async_handler(home: Path) -> None:
    fifo = home.parent / "moves.fifo"
    os.mkfifo(fifo)
    silent = os.open(fifo, os.O_RDWR)
    with opened(home) as events:
        began = threading.Event()

        @events.on(TYPE, name="reader")
        async def reader(event: Event) -> None:
            with open(fifo, "rb", buffering=0) as moves:
                began.set()
                moves.read(1)

        try:
            event = events.publish(TYPE, {"number": 1}, wait=False).id
            assert began.wait(PATIENCE)
            names(events, "blocking-io", "reader", event, "moves.fifo", f"{__file__}:")
        finally:
            os.write(silent, b"x")
        # It stands so in the records too, once the loop turns again.
        eventually(lambda: not events.health()["details"].get("stalls"), "the end")
        names(events, "blocking-io", "reader", event, "moves.fifo", f"{__file__}:")
    os.close(silent)


def test_2_3_a_network_call(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, opened(home) as events:
        port = mute.getsockname()[1]
        over = threading.Event()

        def asks() -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.settimeout(PATIENCE)
                while not over.is_set():
                    server.recv(1)

        @events.on(TYPE, name="uploader", timeout=0.5)
        def uploader(event: Event) -> None:
            step("network", "model registry")
            asks()

        @events.on(TYPE, name="downloader", timeout=0.5)
        def downloader(event: Event) -> None:
            asks()

        event = events.publish(TYPE, {"number": 1}, wait=False).id
        try:
            eventually(lambda: len(events.dead_letters()) == 2, "both letters")
            names(events, "network-call", "uploader", "downloader", event, f"127.0.0.1:{port}")
        finally:
            over.set()
            mute.close()


DIES = """
    import os, sys, time
    from ringrift_events import EventSystem
    with EventSystem.open(sys.argv[1], settings={"store.lease": "2s"}) as events:
        dedup = sys.argv[3].split() or None
        @events.on("TRAINING_COMPLETED", durable="trainer", dedup=dedup)
        def trainer(event):
            with open(sys.argv[2], "a") as effects:
                effects.write("x\\n")
            with open(sys.argv[2]) as effects:
                if len(effects.readlines()) == 1:
                    os.abort()
        print("ready", flush=True)
        sys.stdin.read()
"""


def die_and_go_on(home: Path, dedup: str) -> tuple[EventSystem, str]:
    effects = home.parent / "effects"
    first = started(DIES, home, effects, dedup)
    events = EventSystem.open(home, settings={**SETTINGS, "store.lease": "2s"})
    event = events.publish_sync(TYPE, {"number": 1}).id
    with first:
        first.wait(PATIENCE)
    second = started(DIES, home, effects, dedup)
    eventually(lambda: effects.exists() and effects.read_text() == "x\nx\n", "the second effect")
    eventually(lambda: events.explain(event)["deliveries"][0]["code"] == "HN_OK", "its end")
    with second:
        second.communicate("", PATIENCE)
    return events, event


def test_4_1_a_missing_dedup_check(home: Path) -> None:
    events, event = die_and_go_on(home, "")
    with events:
        names(events, "missing-dedup-check", "trainer", event)


def test_4_1_is_not_named_of_a_handler_that_checks(home: Path) -> None:
    events, _ = die_and_go_on(home, "number")
    with events:
        assert causes(events) == set()


def test_4_2_a_window_that_is_too_short(home: Path) -> None:
    with opened(home) as events:
        got: list[str] = []
        events.subscribe(
            TYPE, lambda event: got.append(event.id), name="trainer", dedup="config_key", dedup_ttl=1.0
        )
        first = events.publish_sync(TYPE, {"config_key": "hex8", "number": 1}).id
        time.sleep(1.1)
        second = events.publish_sync(TYPE, {"config_key": "hex8", "number": 2}).id
        assert got == [first, second]
        names(events, "dedup-ttl-too-short", "trainer", first, second)


def test_4_3_different_key_fields(home: Path) -> None:
    with opened(home) as events:
        events.subscribe(TYPE, print, name="trainer", dedup="config_key")
        events.subscribe(TYPE, repr, name="evaluator", dedup=("config_key", "model_path"))
        events.publish_sync(TYPE, {"config_key": "hex8", "model_path": "m", "number": 1})
        names(events, "different-key-fields", "trainer", "evaluator", "model_path")


def test_6_1_sync_code_in_an_async_handler(home: Path) -> None:
    with opened(home) as events:

        @events.on(TYPE, name="trainer")
        async def trainer(event: Event) -> None:
            until = time.thread_time() + 2
            while time.thread_time() < until:
                pass

        event = events.publish_sync(TYPE, {"number": 1}, wait=PATIENCE).id
        names(events, "sync-code-in-async", "trainer", event)


def test_6_2_an_infinite_loop(home: Path) -> None:
    with opened(home) as events:
        over = threading.Event()

        @events.on(TYPE, name="spinner", timeout=0.7)
        def spinner(event: Event) -> None:
            while not over.is_set():
                pass

        event = events.publish(TYPE, {"number": 1}, wait=False).id
        try:
            eventually(lambda: events.dead_letters(), "the letter")
            names(events, "infinite-loop", "spinner", event)
        finally:
            over.set()


def test_6_2_an_infinite_loop_that_yields(home: Path) -> None:
    with opened(home) as events:

        @events.on(TYPE, name="yielder", timeout=0.7)
        async def yielder(event: Event) -> None:
            while True:
                await asyncio.sleep(0)

        event = events.publish(TYPE, {"number": 1}, wait=False).id
        eventually(lambda: events.dead_letters(), "the letter")
        names(events, "infinite-loop", "yielder", event)


def test_below_6_2_a_handler_that_waits_beyond_its_limit(home: Path) -> None:
    with opened(home) as events:

        @events.on(TYPE, name="patient", timeout=0.7)
        async def patient(event: Event) -> None:
            while True:
                await asyncio.sleep(0.05)

        events.publish(TYPE, {"number": 1}, wait=False)
        eventually(lambda: events.dead_letters(), "the letter")
        assert causes(events) == set(), findings(events)
