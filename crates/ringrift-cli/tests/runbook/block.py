"""Runs one Python block: in the home it stands in, whose system it has as `events`.

One that awaits runs on a loop, as in `python -m asyncio`.
"""

import ast
import asyncio
import inspect
import sys
from pathlib import Path

from ringrift_events import EventSystem

PATH = sys.argv[1]
CODE = compile(Path(PATH).read_text(), PATH, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def on_a_loop():
    async with EventSystem.open() as events:
        await eval(CODE, {"__name__": "__main__", "events": events})


if CODE.co_flags & inspect.CO_COROUTINE:
    asyncio.run(on_a_loop())
else:
    with EventSystem.open() as events:
        exec(CODE, {"__name__": "__main__", "events": events})
