"""The fixture `ringrift`: time moves when it is told to, and failed assertions tell the story."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from ringrift_events import Event, Retry, Skip
from ringrift_events._rehearsal import seconds_of
from ringrift_events.pytest_plugin import Rehearsal

pytest_plugins = ["pytester"]

TYPE = "TRAINING_COMPLETED"
PAYLOAD = {"config_key": "hex8_2p", "elo": 1900}


class Fails:
    """Fails so many times, then succeeds."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.calls = 0

    async def __call__(self, event: Event) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ConnectionError("not yet")


@pytest.mark.parametrize("durable", [None, "trainer"])
def test_retries_come_when_time_moves(ringrift: Rehearsal, durable: str | None) -> None:
    handle = Fails(3)
    ringrift.subscribe(TYPE, handle, durable=durable, name="trainer")
    receipt = ringrift.publish_sync(TYPE, PAYLOAD)
    before = ringrift.now
    ringrift.assert_not_delivered(receipt)
    ringrift.advance("1m")
    ringrift.assert_delivered(receipt, to=handle)
    assert handle.calls == 4
    assert timedelta(seconds=60) <= ringrift.now - before <= timedelta(seconds=63)


def test_within_moves_time_as_far_as_is_needed(ringrift: Rehearsal) -> None:
    asked: list[Event] = []

    @ringrift.on(TYPE, durable="patient")
    def patient(event: Event) -> object:
        asked.append(event)
        return None if len(asked) > 1 else Retry("later", after=600)

    before = ringrift.now
    ringrift.publish_sync(TYPE, PAYLOAD)
    with pytest.raises(AssertionError, match="ST_RETRYING|RETRY"):
        ringrift.assert_delivered(TYPE, to="patient", within="5m")
    ringrift.assert_delivered(TYPE, to=patient, within="1h")
    assert ringrift.now - before < timedelta(minutes=20)


def test_handlers_that_hang_are_timed_out(ringrift: Rehearsal) -> None:
    began, over = threading.Semaphore(0), threading.Event()

    @ringrift.on(TYPE, timeout=1800, attempts=1)
    async def hangs(event: Event) -> None:
        began.release()
        await asyncio.Event().wait()

    @ringrift.on(TYPE, timeout=1800, attempts=1)
    def blocks(event: Event) -> None:
        began.release()
        over.wait()

    began_at = time.monotonic()
    ringrift.publish_sync(TYPE, PAYLOAD, wait=False)
    ringrift.advance("29m")
    assert began.acquire() and began.acquire()
    assert ringrift.dead_letters() == []
    ringrift.advance("2m")
    letters = ringrift.dead_letters()
    over.set()
    assert sorted(letter["handler"].rpartition(".")[2] for letter in letters) == ["blocks", "hangs"]
    assert all("1800" in letter["error"] or "30" in letter["error"] for letter in letters), letters
    assert time.monotonic() - began_at < 30


def test_rates_and_dedup_windows_follow_time(ringrift: Rehearsal) -> None:
    paced: list[str] = []
    once: list[str] = []

    @ringrift.on(TYPE, rate=(1, 60.0))
    def slowly(event: Event) -> None:
        paced.append(event.id)

    @ringrift.on(TYPE, dedup="config_key")
    def only_once(event: Event) -> None:
        once.append(event.id)

    for _ in range(3):
        ringrift.publish_sync(TYPE, PAYLOAD, wait=False)
    ringrift.settle()
    assert (len(paced), len(once)) == (1, 1)
    ringrift.advance(timedelta(minutes=1))
    assert len(paced) == 2
    ringrift.advance("3m58s")
    again = ringrift.publish_sync(TYPE, PAYLOAD)
    ringrift.assert_not_delivered(again, to=only_once)
    ringrift.advance("2s")
    again = ringrift.publish_sync(TYPE, PAYLOAD)
    ringrift.assert_delivered(again, to=only_once)


def test_a_failed_assertion_tells_what_became_of_the_event(ringrift: Rehearsal) -> None:
    @ringrift.on(TYPE, where={"elo__gte": 2000})
    def strong(event: Event) -> None: ...

    @ringrift.on(TYPE)
    def skips(event: Event) -> object:
        return Skip("not mine")

    @ringrift.on("MODEL_PROMOTED")
    def other(event: Event) -> None: ...

    receipt = ringrift.publish_sync(TYPE, PAYLOAD)
    with pytest.raises(AssertionError) as refused:
        ringrift.assert_delivered(receipt, to=strong)
    told = str(refused.value)
    assert "RT_FILTER_FALSE" in told and "elo is 1900" in told and "test_pytest_plugin.py" in told, told
    assert "skips" not in told
    with pytest.raises(AssertionError, match="HN_SKIPPED.*\n.*not mine"):
        ringrift.assert_delivered(receipt.id, to="skips")
    with pytest.raises(AssertionError, match="RT_TYPE_MISMATCH"):
        ringrift.assert_delivered(receipt, to="other")
    with pytest.raises(AssertionError, match="no model_promoted was published; published were: tra"):
        ringrift.assert_delivered("MODEL_PROMOTED")
    with pytest.raises(LookupError, match="nobody_here has not subscribed here; subscribed are: .*other"):
        ringrift.assert_not_delivered(receipt, to="nobody_here")


def test_an_event_that_should_not_have_come_tells_how_it_came(ringrift: Rehearsal) -> None:
    @ringrift.on(TYPE, durable="evaluator")
    async def evaluate(event: Event) -> None: ...

    ringrift.publish_sync(TYPE, PAYLOAD)
    ringrift.assert_not_delivered(TYPE, to=evaluate, where={"elo__lt": 1000})
    ringrift.assert_not_delivered("MODEL_PROMOTED", within="10s")
    with pytest.raises(AssertionError) as refused:
        ringrift.assert_not_delivered(TYPE, to=evaluate, where={"elo__gte": 1000})
    told = str(refused.value)
    assert "HN_OK evaluator" in told and '"elo":1900' in told, told


def test_volatile_events_are_known_too(ringrift: Rehearsal) -> None:
    volatile = next(name for name, bridged in ringrift.types().items() if not bridged)

    @ringrift.on(volatile, where={"never": True})
    def picky(event: Event) -> None: ...

    ringrift.publish(volatile, {"step": 1})
    with pytest.raises(AssertionError, match=volatile):
        ringrift.assert_delivered(volatile, to=picky)

    @ringrift.on(volatile)
    def takes(event: Event) -> None: ...

    publishing = ringrift.publish(volatile, {"step": 2})
    ringrift.assert_delivered(publishing, to=takes)
    ringrift.assert_not_delivered(publishing, to=picky)


async def test_on_a_loop_the_loops_handlers_run_meanwhile(ringrift: Rehearsal) -> None:
    loop = asyncio.get_running_loop()
    ran: list[bool] = []

    @ringrift.on(TYPE, durable="evaluator")
    async def evaluate(event: Event) -> None:
        ran.append(asyncio.get_running_loop() is loop)
        await asyncio.sleep(0.02)
        if len(ran) < 3:
            raise ConnectionError("not yet")

    receipt = await ringrift.publish(TYPE, PAYLOAD)
    await ringrift.settle()
    await ringrift.assert_not_delivered(receipt)
    await ringrift.advance("5m")
    await ringrift.assert_delivered(receipt, to=evaluate)
    with pytest.raises(AssertionError, match="ST_RECOVERED evaluator"):
        await ringrift.assert_not_delivered(receipt)
    assert ran == [True] * 3


def test_handlers_that_take_real_time_are_waited_for(ringrift: Rehearsal) -> None:
    @ringrift.on(TYPE)
    async def takes_its_time(event: Event) -> None:
        await asyncio.sleep(0.4)

    first = ringrift.publish(TYPE, PAYLOAD)
    with pytest.raises(AssertionError, match="HN_OK"):
        ringrift.assert_not_delivered(first)
    ringrift.assert_delivered(ringrift.publish(TYPE, PAYLOAD), to=takes_its_time)


def test_in_a_loop_of_the_tests_own(ringrift: Rehearsal) -> None:
    async def program() -> None:
        handle = Fails(1)
        ringrift.subscribe(TYPE, handle, name="own")
        await ringrift.publish(TYPE, PAYLOAD)
        await ringrift.assert_delivered(TYPE, to=handle, within="1m")

    asyncio.run(program())


class TestItsSettings:
    @pytest.fixture
    def ringrift_settings(self) -> Mapping[str, object]:
        return {"dlq.attempts": 2}

    def test_are_the_tests_to_choose(self, ringrift: Rehearsal) -> None:
        handle = Fails(5)
        ringrift.subscribe(TYPE, handle, durable="fails")
        ringrift.publish(TYPE, PAYLOAD)
        ringrift.advance("1h")
        assert handle.calls == 2
        assert [letter["state"] for letter in ringrift.dead_letters()] == ["dead"]


def test_times_are_read() -> None:
    assert [seconds_of(text) for text in ("200ms", "30s", "5m", "1h30m", "2d", 7, timedelta(hours=1))] == [
        0.2,
        30.0,
        300.0,
        5400.0,
        172800.0,
        7.0,
        3600.0,
    ]
    for odd in ("", "5", "m", "5 minutes", -1, float("inf"), "-5m"):
        with pytest.raises(ValueError):
            seconds_of(odd)


def test_what_was_not_awaited_fails_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_forgets(ringrift):
            async def program():
                ringrift.assert_delivered("TRAINING_COMPLETED")
            asyncio.run(program())

        def test_shows_the_story_alone(ringrift):
            ringrift.publish_sync("TRAINING_COMPLETED", {"config_key": "x"})
            ringrift.assert_delivered("TRAINING_COMPLETED")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        ["*have to be awaited, and were not: assert_delivered(training_completed) at *.py:5*"]
    )
    result.stdout.no_fnmatch_line("*def assert_delivered*")


def test_in_pytest_asyncios_strict_mode(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.asyncio
        async def test_strict(ringrift):
            async def handle(event): ...
            ringrift.subscribe("TRAINING_COMPLETED", handle)
            ringrift.publish("TRAINING_COMPLETED", {"config_key": "x"})
            await ringrift.assert_delivered("TRAINING_COMPLETED", to=handle)
            with pytest.raises(AssertionError, match="HN_OK"):
                await ringrift.assert_not_delivered("TRAINING_COMPLETED")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "asyncio_mode=strict")
    result.assert_outcomes(passed=1)


def test_a_projects_own_types_are_known(pytester: pytest.Pytester) -> None:
    folder = Path(pytester.path) / "events"
    folder.mkdir()
    (folder / "ringrift.toml").write_text('[[types]]\nname = "BOOK_UPDATED"\n')
    pytester.makeini("[pytest]\nringrift_home = events\n")
    pytester.makepyfile(
        """
        def test_own(ringrift):
            ringrift.subscribe("BOOK_UPDATED", print, name="reads")
            ringrift.publish_sync("BOOK_UPDATED", {})
            ringrift.assert_delivered("BOOK_UPDATED", to="reads")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert [path.name for path in folder.iterdir()] == ["ringrift.toml"]
