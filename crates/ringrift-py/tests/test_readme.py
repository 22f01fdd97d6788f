"""The Python of the repository's first page and of the package's own page runs as it is written."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path

import pytest

from ringrift_events import Event, EventSystem
from ringrift_events.pytest_plugin import Rehearsal

ROOT = Path(__file__).parents[3]


def blocks_of(page: str) -> tuple[list[str], list[str]]:
    """Its programs, and its tests."""
    text = (ROOT / page).read_text()
    blocks = [part.split("\n```")[0] for part in text.split("```python\n")[1:]]
    tests = [block for block in blocks if block.startswith("def test_")]
    return [block for block in blocks if block not in tests], tests


def run(block: str, page: str) -> None:
    """As in ``python -m asyncio``, and as a program where it starts its own loop."""
    code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"__name__": "__main__"}
    ran = eval(code, names)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(ran)


@pytest.mark.parametrize(
    "page, said", [("README.md", ""), ("crates/ringrift-py/README.md", "evaluation_started")]
)
def test_its_block_runs(
    page: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RINGRIFT_HOME", raising=False)
    [block], _ = blocks_of(page)
    run(block, page)
    assert said in capsys.readouterr().out
    # What a durable handler had no time for is the next process's: the event itself is there.
    with EventSystem.open(tmp_path / "my-home") as events:
        log, _ = events.operations.read_log()
        [subscription] = events.subscriptions()
    assert log[0].type == "training_completed"
    assert (subscription["name"], subscription["kind"]) == ("evaluator", "durable")


def test_the_test_it_shows_is_one(ringrift: Rehearsal) -> None:
    async def evaluate(event: Event) -> None: ...

    _, [block] = blocks_of("crates/ringrift-py/README.md")
    names: dict[str, object] = {"evaluate": evaluate}
    exec(block, names)
    [test] = [made for name, made in names.items() if name.startswith("test_")]
    assert callable(test)
    test(ringrift)
