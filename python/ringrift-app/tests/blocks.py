"""The fenced blocks of the operators' runbook: found, and run as they are written.

The runbook belongs to others and lies beside the repository; nothing of it is kept here. Run as a
program, this file runs blocks in an interpreter of their own: ``python blocks.py NUMBER [THEN]``,
where ``THEN`` is Python that is run after the block, with its names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_BESIDE = Path(__file__).parents[3].parent / "shared" / "runbook" / "EVENT_DEBUGGING.md"
RUNBOOK = Path(os.environ.get("RINGRIFT_RUNBOOK") or _BESIDE)


class Block(NamedTuple):
    """One fenced block."""

    number: int
    """From 1, in the order of the text."""
    language: str
    """Empty for plain text."""
    line: int
    text: str


def blocks() -> list[Block]:
    """Every fenced block of the runbook; none if there is no runbook."""
    if not RUNBOOK.is_file():
        return []
    found: list[Block] = []
    begun: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(RUNBOOK.read_text().splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif begun is None:
            begun, lines = (line[3:].strip(), number), []
        else:
            found.append(Block(len(found) + 1, *begun, "\n".join(lines)))
            begun = None
    assert begun is None, f"the fence of line {begun[1] if begun else 0} is not closed"
    return found


async def run_python(text: str, names: dict[str, Any], *, file: str = "runbook") -> None:
    """Runs a text as an interactive session does: ``await`` may stand outside of functions."""
    code = compile(text, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    ended = eval(code, names)
    if inspect.isawaitable(ended):
        await ended


def functions(block: Block, names: Mapping[str, Any]) -> list[Any]:
    """Each function that a block defines, also those that a later one of the same name hides."""
    found = []
    for node in ast.parse(block.text).body:
        own = dict(names)
        assert isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)), ast.dump(node)
        exec(compile(ast.Module([node], []), "runbook", "exec"), own)
        found.append(own[node.name])
    return found


async def _main(number: str, then: str = "") -> None:
    block = blocks()[int(number) - 1]
    names: dict[str, Any] = {"__name__": "__main__"}
    await run_python(block.text, names)
    await run_python(then, names)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
