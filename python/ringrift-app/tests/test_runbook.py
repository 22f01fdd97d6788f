"""Every fenced block of the operators' runbook runs as it is written, and does what it says.

Each test belongs to one block, by its place in the text: what the block says is read, never repeated.
Without a runbook (``RINGRIFT_RUNBOOK``, else beside the repository) this file is skipped, and the run
says so.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app.coordination import event_router
from app.coordination.cross_process_events import get_event_queue
from app.coordination.daemon_manager import get_daemon_manager
from app.coordination.event_mappings import DATA_TO_CROSS_PROCESS_MAP
from app.coordination.event_router import DataEventType, get_router
from app.coordination.handler_base import HandlerBase
from blocks import RUNBOOK, Block, blocks, functions, run_python
from conftest import KEY, PIPELINE, MyHandler, Site, elsewhere, shell, until
from ringrift_events import trace

BLOCKS = blocks()

if not BLOCKS:
    pytest.skip(
        f"no runbook at {RUNBOOK}: set RINGRIFT_RUNBOOK to run its blocks", allow_module_level=True
    )

COUNT = 28
_TESTED: dict[int, str] = {}


def block(number: int, language: str) -> Callable[[Any], Any]:
    """Gives a test the runbook's block of this number, which is in this language."""

    def marked(test: Any) -> Any:
        assert _TESTED.setdefault(number, language) == language
        found = [BLOCKS[number - 1]] if number <= len(BLOCKS) else []
        return pytest.mark.parametrize("written", found, ids=[f"{number}-{language or 'plain'}"])(test)

    return marked


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


async def run(
    written: Block, capsys: pytest.CaptureFixture[str], **names: Any
) -> tuple[str, dict[str, Any]]:
    """What a Python block prints here, and the names it leaves."""
    capsys.readouterr()
    space = {"__name__": "__main__", **names}
    await run_python(written.text, space)
    return printed(capsys), space


def number(text: str, label: str) -> int:
    found = re.search(rf"^{re.escape(label)}: (\d+)$", text, re.MULTILINE)
    assert found, f"no {label!r} in {text!r}"
    return int(found[1])


def rows(text: str) -> list[list[str]]:
    return [line.split("|") for line in text.splitlines()]


def test_the_runbook_has_as_many_blocks_as_are_tested() -> None:
    assert len(BLOCKS) == COUNT
    assert sorted(_TESTED) == list(range(1, COUNT + 1))
    assert [_TESTED[one.number] for one in BLOCKS] == [one.language for one in BLOCKS]


@block(1, "python")
async def test_the_routers_status(written: Block, site: Site, capsys: Any) -> None:
    here, names = await run(written, capsys)
    for text in (here, await elsewhere(written, site.home)):
        assert "Healthy: True\n" in text
        assert "Status: running\n" in text
        assert "Details: {" in text and "'subscription_count': 4" in text
    assert names["health"].details["processes_alive"] >= 1


@block(2, "python")
async def test_the_counts(written: Block, site: Site, capsys: Any) -> None:
    here, names = await run(written, capsys)
    assert number(here, "Events published") == site.published
    assert names["stats"]["this_process"]["events_published"] == site.published

    async def there() -> bool:
        text = await elsewhere(written, site.home)
        assert number(text, "Subscriptions") == 4
        # What another process has counted is as old as its last heartbeat.
        return number(text, "Events published") == site.published and number(text, "Events failed") >= 2

    assert number(here, "Subscriptions") == 4
    assert number(here, "Events failed") >= 2
    while not await there():
        await asyncio.sleep(0.1)


@block(3, "python")
async def test_the_list_of_subscribers(written: Block, site: Site, capsys: Any) -> None:
    here, _ = await run(written, capsys)
    for text in (here, await elsewhere(written, site.home)):
        # The archivist takes every type.
        assert "training_completed: 2 handlers" in text
        assert "training_failed: 2 handlers" in text


@block(4, "bash")
async def test_the_log_says_what_was_published_and_subscribed(written: Block, site: Site) -> None:
    text = await shell(written.text, site.home)
    assert text.count("emit TRAINING_COMPLETED ") == 2
    assert re.search(r"subscribed to TRAINING_COMPLETED name=MyHandler", text)


@block(5, "python")
async def test_a_subscribe_and_a_publish_to_see(written: Block, site: Site, capsys: Any) -> None:
    here, _ = await run(written, capsys)
    for text in (here, await elsewhere(written, site.home)):
        assert number(text, "Subscribers for training_completed") >= 1
        assert re.search(r"^Received: <Event training_completed \S+ #\d+>$", text, re.MULTILINE)
    after = get_router()._subscriptions["training_completed"]
    assert not [one for one in after if one.name.endswith("test_handler")]


@block(6, "bash")
async def test_the_log_says_who_is_too_slow(written: Block, site: Site) -> None:
    text = await shell(written.text, site.home)
    assert "Handler timeout: hangs exceeded 0.1 s" in text
    assert re.search(r"handler took \d+ ms name=hangs", text)


@block(7, "python")
async def test_a_thread_keeps_the_loop_free(written: Block, site: Site) -> None:
    ran_on: list[int] = []

    def sync_database_query() -> str:
        ran_on.append(threading.get_ident())
        time.sleep(0.05)
        return "rows"

    bad, good = functions(written, {"asyncio": asyncio, "sync_database_query": sync_database_query})

    class Queries(HandlerBase):
        def _get_event_subscriptions(self) -> dict[Any, Any]:
            return {
                DataEventType.DATA_SYNC_COMPLETED: self._blocking,
                DataEventType.NPZ_EXPORT_COMPLETE: self._on_a_thread,
            }

        _blocking = bad
        _on_a_thread = good

    handler = Queries()
    await handler.start()
    here = threading.get_ident()
    await site.publish(DataEventType.DATA_SYNC_COMPLETED)
    assert ran_on == [here]
    await site.publish(DataEventType.NPZ_EXPORT_COMPLETE)
    assert len(ran_on) == 2 and ran_on[1] != here
    assert handler.stats.success_count == 2


@block(8, "bash")
async def test_the_queue_between_processes(written: Block, site: Site) -> None:
    text = await shell(written.text, site.home)
    assert int(text.splitlines()[0]) == get_event_queue().count_pending() > 0
    assert "CrossProcessPoller started" in text


@block(9, "python")
async def test_the_bridge(written: Block, site: Site, capsys: Any) -> None:
    here, _ = await run(written, capsys)
    for text in (here, await elsewhere(written, site.home)):
        assert "training_completed is bridged: True" in text
        assert number(text, "Total bridged events") == len(DATA_TO_CROSS_PROCESS_MAP)
    del DATA_TO_CROSS_PROCESS_MAP["training_completed"]
    try:
        text, _ = await run(written, capsys)
        assert "training_completed is bridged: False" in text
        assert not (await site.publish(DataEventType.TRAINING_COMPLETED)).bridged
    finally:
        DATA_TO_CROSS_PROCESS_MAP["training_completed"] = "training_completed"


@block(10, "bash")
async def test_the_newest_events(written: Block, site: Site) -> None:
    shown = rows(await shell(written.text, site.home))
    assert len(shown) == 10
    assert {"training_completed", "sync_stalled"} <= {row[1] for row in shown}
    assert [row[2] for row in shown] == sorted((row[2] for row in shown), reverse=True)


@block(11, "python")
async def test_a_handlers_duplicates(written: Block, site: Site, capsys: Any) -> None:
    text, _ = await run(written, capsys, MyHandler=MyHandler)
    assert text == "Events deduplicated: 1\n"
    assert MyHandler.get_instance() is site.handler
    assert len(site.handler.handled) == 1


@block(12, "python")
async def test_a_duplicate_is_left_out(written: Block, site: Site) -> None:
    [on_event] = functions(written, {})
    processed: list[str] = []

    class Once(HandlerBase):
        def _get_event_subscriptions(self) -> dict[Any, Any]:
            return {DataEventType.EVALUATION_COMPLETED: self._handle}

        async def _handle(self, event: Any) -> None:
            await on_event(self, event)
            processed.append(event.id)

    handler = Once()
    await handler.start()
    await site.publish(DataEventType.EVALUATION_COMPLETED, model_path="a.pt")
    second = await site.publish(DataEventType.EVALUATION_COMPLETED, model_path="a.pt")
    await site.publish(DataEventType.EVALUATION_COMPLETED, model_path="b.pt")
    assert handler.stats.events_deduplicated == 1
    assert handler.stats.success_count == 2
    assert "HN_DUPLICATE" in str(site.router.events.explain(second.id))


@block(13, "bash")
async def test_the_dead_letters(written: Block, site: Site) -> None:
    text = await shell(written.text, site.home)
    assert int(text.splitlines()[0]) == len(site.router.events.dead_letters()) == 2
    assert "no route to the evaluator" in text


@block(14, "bash")
async def test_old_dead_letters_go_and_new_ones_stay(written: Block, site: Site) -> None:
    old, new = site.router.events.dead_letters()
    await shell(
        "sqlite3 data/coordination/coordination.db "
        "\"UPDATE redeliveries SET created_at = strftime('%Y-%m-%d %H:%M:%f', created_at, '-8 days') "
        f'WHERE id = {old["id"]}"',
        site.home,
    )
    await shell(written.text, site.home)
    assert [one["id"] for one in site.router.events.dead_letters()] == [new["id"]]


@block(15, "python")
async def test_the_tasks_say_what_runs(written: Block, site: Site, capsys: Any) -> None:
    running = asyncio.Event()
    go_on = asyncio.Event()

    async def evaluate(event: Any) -> None:
        running.set()
        await go_on.wait()

    site.router.subscribe(DataEventType.EVALUATION_COMPLETED, evaluate, name="evaluate")
    publishing = site.router.publish(DataEventType.EVALUATION_COMPLETED, {"config_key": KEY})
    await running.wait()
    text, _ = await run(written, capsys)
    assert number(text, "Pending tasks") >= 2
    assert f"Running: ringrift:evaluate:evaluation_completed:{publishing.id}\n" in text
    go_on.set()
    await publishing
    assert number(await elsewhere(written, site.home), "Pending tasks") >= 1


@block(16, "python")
async def test_debug_shows_each_run(written: Block, site: Site, capsys: Any, caplog: Any) -> None:
    log = site.home / "logs" / "coordination.log"
    fast = re.compile(r"DEBUG \[\d+\] handler took \d+ ms name=MyHandler")
    assert not fast.search(log.read_text())
    try:
        await run(written, capsys)
        receipt = await site.publish(DataEventType.TRAINING_COMPLETED, model_path="new.pt")
        assert fast.search(log.read_text())
        said = [one for one in caplog.records if one.name == "app.distributed.data_events"]
        assert any(receipt.id in one.getMessage() for one in said)
    finally:
        for name in ("app.coordination.event_router", "app.distributed.data_events"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    lines = len(fast.findall(log.read_text()))
    await site.publish(DataEventType.TRAINING_COMPLETED, model_path="newer.pt")
    assert len(fast.findall(log.read_text())) == lines


@block(17, "python")
async def test_the_audit_shows_the_flow(written: Block, site: Site, capsys: Any) -> None:
    text, _ = await run(written, capsys)
    assert text == "", "it was off until now"
    await site.publish(DataEventType.TRAINING_COMPLETED, model_path="audited.pt")
    text, _ = await run(written, capsys)
    assert re.search(r"^\d{4}-\d\d-\d\d \S+: training_completed -> HN_OK$", text, re.MULTILINE)
    assert await elsewhere(written, site.home) == "", "each process has its own"


@block(18, "python")
async def test_a_handler_knows_its_trace(
    written: Block, site: Site, capsys: Any, caplog: Any
) -> None:
    logger = logging.getLogger("a.program")
    caplog.set_level(logging.INFO, logger.name)
    _, names = await run(written, capsys, HandlerBase=HandlerBase, logger=logger)

    traced_handler: Any = names["MyHandler"]

    class Subscribed(traced_handler):  # type: ignore[misc]
        def _get_event_subscriptions(self) -> dict[Any, Any]:
            return {DataEventType.MODEL_PROMOTED: self._on_event}

    await Subscribed().start()
    with trace() as trace_id:
        await site.publish(DataEventType.MODEL_PROMOTED)
    assert f"[{trace_id}] Processing event: model_promoted" in caplog.text


@block(19, "python")
async def test_the_whole_check(written: Block, site: Site, capsys: Any) -> None:
    here, _ = await run(written, capsys)
    assert here == await elsewhere(written, site.home) == "Event system healthy\n"


async def handled_once(site: Site, model: str) -> None:
    """An event that is published now reaches the handler once."""
    before = len(site.handler.handled)
    await get_router().publish(
        DataEventType.TRAINING_COMPLETED, {"config_key": KEY, "model_path": model}
    )
    await asyncio.sleep(0.3)
    assert len(site.handler.handled) == before + 1


@block(20, "python")
async def test_the_router_is_restarted(written: Block, site: Site, capsys: Any) -> None:
    _, names = await run(written, capsys)
    fresh = names["router"]
    assert fresh is event_router._router_instance is not site.router
    assert not site.router.events.is_open
    assert not site.handler.is_running, "handlers return by start or start_all only"
    await get_daemon_manager().start_all()
    await handled_once(site, "after-restart.pt")


@block(21, "bash")
async def test_the_queue_is_cleared(written: Block, site: Site) -> None:
    database = site.home / "data" / "coordination" / "coordination.db"
    wal = Path(f"{database}-wal")
    await until(lambda: not wal.exists() or wal.stat().st_size == 0, "a quiet file is a whole one")
    held = get_event_queue().poll("archivist", limit=100)
    assert len(held) == site.published
    await shell(written.text, site.home)
    assert get_event_queue().count_pending() == 0
    pending = "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0"
    assert (await shell(f'sqlite3 {database} "{pending}"', site.home)).strip() == "0"
    with sqlite3.connect(f"{database}.bak") as backup:
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [kept] = backup.execute("SELECT COUNT(*) FROM cross_process_events").fetchone()
    backup.close()
    assert kept == site.published
    await handled_once(site, "after-clear.pt")


@block(22, "python")
async def test_every_handler_is_resubscribed(written: Block, site: Site, capsys: Any) -> None:
    before = [one.id for one in site.handler._subscribed]
    await run(written, capsys)
    after = [one.id for one in site.handler._subscribed]
    assert len(after) == len(before) == 1 and after != before
    await handled_once(site, "after-resubscribe.pt")
    states = get_daemon_manager().get_status()
    assert states["CROSS_PROCESS_POLLER"]["state"] == "running"
    assert states["MyHandler"]["state"] == "running"


@block(23, "python")
async def test_a_handler_forgets_what_it_has_seen(written: Block, site: Site, capsys: Any) -> None:
    assert site.handler.stats.events_deduplicated == 1
    await run(written, capsys, MyHandler=MyHandler)
    assert site.handler.stats.events_deduplicated == 0
    await handled_once(site, "m.pt")
    await site.publish(DataEventType.TRAINING_COMPLETED, model_path="m.pt")
    assert site.handler.stats.events_deduplicated == 1


async def queried(written: Block, folder: Path) -> list[list[str]]:
    """What a query answers: the same by the ``sqlite3`` shell and by Python's own."""
    (folder / "query.sql").write_text(written.text)
    shown = rows(await shell("sqlite3 data/coordination/coordination.db < query.sql", folder))
    connection = sqlite3.connect(folder / "data" / "coordination" / "coordination.db")
    try:
        by_python = connection.execute(written.text).fetchall()
    finally:
        connection.close()
    assert [[str(value) for value in row] for row in by_python] == shown
    return shown


@block(24, "sql")
async def test_the_throughput(written: Block, site: Site) -> None:
    shown = await queried(written, site.home)
    assert sum(int(row[1]) for row in shown) == site.published
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row[0]) for row in shown)


@block(25, "sql")
async def test_the_failures_by_type(written: Block, site: Site) -> None:
    assert sorted(await queried(written, site.home)) == [["sync_stalled", "1"], ["training_failed", "1"]]


@block(26, "sql")
async def test_the_depth(written: Block, site: Site) -> None:
    shown = await queried(written, site.home)
    assert sum(int(row[1]) for row in shown) == get_event_queue().count_pending() > 0


@block(27, "")
async def test_the_pipeline_of_the_catalog_is_the_one_drawn(written: Block, site: Site) -> None:
    drawn = re.findall(r"\w+", written.text)
    assert len(drawn) == 7
    assert [DataEventType(name).value for name in drawn] == site.router.events.operations.pipeline()
    assert [DataEventType(name) for name in drawn] == PIPELINE


@block(28, "python")
async def test_the_pipelines_flow(written: Block, site: Site, capsys: Any) -> None:
    _, names = await run(written, capsys)
    await names["verify_pipeline_flow"](KEY)
    here = printed(capsys)
    then = f"await verify_pipeline_flow({KEY!r})"
    for text in (here, await elsewhere(written, site.home, then)):
        steps = text.splitlines()
        assert len(steps) == 5 and all(step.startswith("✓ ") for step in steps), text
    await names["verify_pipeline_flow"]("square19_4p")
    assert [step[0] for step in printed(capsys).splitlines()] == ["✗"] * 5
