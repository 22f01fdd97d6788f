"""Handlers: where they run, what they answer, what becomes of their failures."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ringrift_events import (
    Dead,
    Event,
    EventSystem,
    HandlerRefused,
    LoopEnded,
    NameTaken,
    NotBridged,
    Retry,
    Skip,
    SubscriptionDiffers,
    SubscriptionRefused,
)

from conftest import PATIENCE, QUICK, eventually

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p", "model_path": "m.pt", "elo": 1950}


async def test_async_handlers_run_on_the_loop_and_plain_ones_never(home: Path) -> None:
    threads: dict[str, int] = {}
    async with EventSystem.open(home, settings=QUICK) as events:

        @events.on(TYPE)
        async def on_loop(event: Event) -> None:
            task = asyncio.current_task()
            assert task is not None
            assert task.get_name() == f"ringrift:{event.handler}:{event.type}:{event.id}"
            threads["async"] = threading.get_ident()

        @events.on(TYPE)
        def on_thread(event: Event) -> None:
            threads["plain"] = threading.get_ident()

        @events.on(TYPE, run="thread")
        async def elsewhere(event: Event) -> None:
            threads["apart"] = threading.get_ident()

        await events.publish(TYPE, PAYLOAD)
    here = threading.get_ident()
    assert threads["async"] == here
    assert here not in (threads["plain"], threads["apart"])


def test_without_a_loop_async_handlers_run_on_the_packages_own(events: EventSystem) -> None:
    names: list[str] = []

    async def handle(event: Event) -> None:
        await asyncio.sleep(0)
        names.append(threading.current_thread().name)

    events.subscribe(TYPE, handle)
    events.publish_sync(TYPE, PAYLOAD)
    assert names == ["ringrift:loop"]
    with pytest.raises(LoopEnded):
        events.subscribe(TYPE, handle, name="insists", run="loop")


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda event, other: None,
        "no function",
        functools.partial(lambda event: None, 1),
        range(3),
        TYPE.lower,
    ],
)
def test_a_wrong_signature_is_refused_at_subscribe(events: EventSystem, function: Any) -> None:
    with pytest.raises(HandlerRefused) as refused:
        events.subscribe(TYPE, function, name="wrong")
    assert refused.value.code == "HANDLER_SIGNATURE"
    assert events.subscriptions() == []


def test_generators_and_plain_functions_on_a_loop_are_refused(events: EventSystem) -> None:
    def yields(event: Event) -> Any:
        yield event

    async def yields_too(event: Event) -> Any:
        yield event

    def plain(event: Event) -> None: ...

    for function in (yields, yields_too):
        with pytest.raises(HandlerRefused, match="generator"):
            events.subscribe(TYPE, function)
    with pytest.raises(HandlerRefused, match="never runs on a loop"):
        events.subscribe(TYPE, plain, run="loop")


def test_methods_partials_and_callable_objects_are_handlers(events: EventSystem) -> None:
    got: list[str] = []

    class Evaluator:
        def method(self, event: Event) -> None:
            got.append("method")

        async def __call__(self, event: Event) -> None:
            got.append("object")

    def takes_more(word: str, event: Event) -> None:
        got.append(word)

    evaluator = Evaluator()
    events.subscribe(TYPE, evaluator.method)
    events.subscribe(TYPE, evaluator, name="object")
    events.subscribe(TYPE, functools.partial(takes_more, "partial"), name="partial")
    events.publish_sync(TYPE, PAYLOAD)
    assert sorted(got) == ["method", "object", "partial"]


def test_subscribing_the_same_function_again_is_what_stands(events: EventSystem) -> None:
    """B4: a handler that is started twice is called once, and a stopped one not at all."""
    got: list[str] = []

    class Handler:
        def handle(self, event: Event) -> None:
            got.append(event.id)

    handler = Handler()
    first = events.subscribe(TYPE, handler.handle)
    assert events.subscribe(TYPE, handler.handle) is first
    events.publish_sync(TYPE, PAYLOAD)
    assert len(got) == 1
    first.unsubscribe()
    first.unsubscribe()
    events.publish_sync(TYPE, PAYLOAD)
    assert len(got) == 1
    again = events.subscribe(TYPE, handler.handle)
    assert again is not first
    events.publish_sync(TYPE, PAYLOAD)
    assert len(got) == 2
    # The same function for another type is another subscription.
    other = events.subscribe("EVALUATION_STARTED", handler.handle)
    assert other.name == f"{again.name}:EVALUATION_STARTED"


def test_names_belong_to_one_function(events: EventSystem) -> None:
    events.subscribe(TYPE, lambda event: None, name="mine")
    with pytest.raises(NameTaken) as refused:
        events.subscribe(TYPE, lambda event: 1, name="mine")
    assert refused.value.code == "SUBSCRIPTION_NAME_TAKEN"
    with pytest.raises(SubscriptionRefused):
        events.subscribe(TYPE, lambda event: None, name="two words")
    with pytest.raises(SubscriptionRefused):
        events.subscribe(TYPE, lambda event: None, name="never", timeout=0)


def test_a_durable_name_has_one_definition(events: EventSystem) -> None:
    def handle(event: Event) -> None: ...

    events.subscribe(TYPE, handle, durable="evaluator", where={"elo__gte": 1900}).unsubscribe()
    with pytest.raises(SubscriptionDiffers) as refused:
        events.subscribe(TYPE, handle, durable="evaluator", where={"elo__gte": 2000})
    assert "1900" in refused.value.message and "2000" in refused.value.message
    stands = events.subscribe(TYPE, handle, durable="evaluator", where={"elo__gte": 1900})
    assert stands.existed
    unbridged = [name for name, bridged in events.types().items() if not bridged]
    with pytest.raises(NotBridged):
        events.subscribe(unbridged[0], handle, durable="never")


def test_answers_returned_or_raised(events: EventSystem) -> None:
    tries: list[float] = []

    def skips(event: Event) -> Skip:
        return Skip("not ours")

    def skips_by_raising(event: Event) -> None:
        raise Skip("nor this")

    def dies(event: Event) -> Dead:
        return Dead("no such model")

    def retries(event: Event) -> Retry | None:
        tries.append(time.monotonic())
        return Retry("the node is away", after=0.1) if event.attempt == 1 else None

    handlers = {
        function.__name__: events.subscribe(TYPE, function, durable=function.__name__)
        for function in (skips, skips_by_raising, dies, retries)
    }
    receipt = events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: handlers["retries"].stats["success_count"] == 1, "the retry")
    eventually(lambda: handlers["skips"].stats["skipped_count"] == 1, "the skip")
    eventually(lambda: handlers["skips_by_raising"].stats["skipped_count"] == 1, "the skip")
    assert tries[1] - tries[0] >= 0.1
    eventually(lambda: len(events.dead_letters()) == 1, "the one dead letter")
    letter = events.dead_letters()[0]
    assert (letter["handler"], letter["state"], letter["error"]) == ("dies", "dead", "no such model")
    assert letter["event_id"] == receipt.id
    assert "not ours" in str(events.explain(receipt.id))


def fails_deep_inside() -> None:
    raise OSError(28, "No space left on device", "/models/hex8.pt")


@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_keeps_its_traceback_in_the_dead_letter(
    events: EventSystem, is_async: bool
) -> None:
    def plain(event: Event) -> None:
        fails_deep_inside()

    async def asynchronous(event: Event) -> None:
        fails_deep_inside()

    function = asynchronous if is_async else plain
    events.subscribe(TYPE, function, name="fails", attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: events.dead_letters(), "the dead letter")
    letter = events.dead_letters()[0]
    first, *rest = letter["error"].splitlines()
    assert first == "OSError: [Errno 28] No space left on device: '/models/hex8.pt'"
    assert "Traceback (most recent call last):" in rest
    assert "in fails_deep_inside" in letter["error"] and __file__ in letter["error"]
    assert "ringrift_events/_handlers.py" not in letter["error"], "frames of the package's own"
    assert letter["error_kind"] == "resource", "decided from the system's number"


def test_a_handler_that_exits_does_not_end_the_program(events: EventSystem) -> None:
    def exits(event: Event) -> None:
        raise SystemExit(3)

    async def exits_too(event: Event) -> None:
        raise SystemExit(3)

    events.subscribe(TYPE, exits, attempts=1)
    events.subscribe(TYPE, exits_too, attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: len(events.dead_letters()) == 2, "both dead letters")
    assert all(letter["error"].startswith("SystemExit: 3") for letter in events.dead_letters())
    events.publish_sync(TYPE, PAYLOAD)


def test_a_plain_function_that_returns_a_coroutine_says_so(events: EventSystem) -> None:
    async def asynchronous(event: Event) -> None: ...

    events.subscribe(TYPE, lambda event: asynchronous(event), name="forgot", attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    eventually(lambda: events.dead_letters(), "the dead letter")
    assert "returned a coroutine" in events.dead_letters()[0]["error"]


def test_an_async_handler_is_cancelled_at_its_limit(events: EventSystem) -> None:
    cancelled = threading.Event()

    async def hangs(event: Event) -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    events.subscribe(TYPE, hangs, timeout=0.1, attempts=1)
    events.publish_sync(TYPE, PAYLOAD)
    assert cancelled.wait(PATIENCE)
    eventually(lambda: events.dead_letters(), "the dead letter")
    letter = events.dead_letters()[0]
    assert letter["error_kind"] == "timeout"
    assert "0.1 s" in letter["error"]


def test_a_plain_handler_is_given_up_at_its_limit_and_keeps_its_slot(events: EventSystem) -> None:
    go_on = threading.Event()
    started: list[str] = []

    def hangs(event: Event) -> None:
        started.append(event["config_key"])
        go_on.wait(PATIENCE)

    subscription = events.subscribe(TYPE, hangs, timeout=0.1, attempts=1)
    try:
        events.publish(TYPE, {"config_key": "first"}).wait(PATIENCE)
        eventually(lambda: subscription.stats["abandoned"] == 1, "its being given up")
        events.publish(TYPE, {"config_key": "second"}, wait=False).wait(PATIENCE)
        assert started == ["first"]
    finally:
        go_on.set()
    eventually(lambda: started == ["first", "second"], "the second event")
    eventually(lambda: subscription.stats["late_success_count"] == 1, "the late success")


async def test_one_slow_handler_holds_nobody_else(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        quick: list[str] = []
        go_on = threading.Event()

        @events.on(TYPE)
        def slow(event: Event) -> None:
            go_on.wait(PATIENCE)

        @events.on(TYPE)
        async def prompt(event: Event) -> None:
            quick.append(event.id)

        try:
            for _ in range(20):
                await events.publish(TYPE, PAYLOAD, wait=False)
            while len(quick) < 20:
                await asyncio.sleep(0.005)
        finally:
            go_on.set()


def test_concurrency_is_what_was_asked_for(events: EventSystem) -> None:
    lock = threading.Lock()
    running, most = [0], [0]
    four = threading.Barrier(4)

    def handle(event: Event) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        four.wait(PATIENCE)
        with lock:
            running[0] -= 1

    subscription = events.subscribe(TYPE, handle, durable="four", concurrency=4)
    for _ in range(8):
        events.publish(TYPE, PAYLOAD)
    eventually(lambda: subscription.stats["success_count"] == 8, "all eight")
    assert most == [4]


async def test_a_handler_publishes_its_own_type_without_waiting_for_itself(home: Path) -> None:
    async with EventSystem.open(home, settings=QUICK) as events:
        depths: list[int] = []

        @events.on(TYPE)
        async def again(event: Event) -> None:
            depths.append(event.depth)
            if event.depth < 3:
                await events.publish(TYPE, PAYLOAD)

        await events.publish(TYPE, PAYLOAD)
        while len(depths) < 4:
            await asyncio.sleep(0.005)
        assert depths == [0, 1, 2, 3]
