"""The functions that the library calls by number, and how each call is answered."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import itertools
import os
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType
from typing import Any

from . import _native
from ._answers import Answer, Dead, Duplicate, Retry, Skip
from ._context import CURRENT, Handling
from ._errors import HandlerRefused
from ._event import Event

HandlerFunction = Callable[[Event], object] | Callable[[Event], Awaitable[object]]

_HERE = os.path.dirname(__file__)
TRACEBACK_CHARS_MAX = 16_000
"""Of a longer traceback the end is kept, where it happened; the library cuts at 64 KiB."""


class Handler:
    """One subscribed function."""

    __slots__ = ("context", "function", "is_async")

    def __init__(self, function: HandlerFunction) -> None:
        self.function: Callable[[Event], Any] = function
        self.is_async = is_async(function)
        # What was in force where it was subscribed, such as a request's id, is in force in its runs.
        self.context = contextvars.copy_context()


_HANDLERS: dict[int, Handler] = {}
_THREADS: dict[int, int] = {}
"""The threads of plain functions that run, by the number of their run."""
_NUMBERS = itertools.count(1)


def add(handler: Handler) -> int:
    """Numbers a handler; the native module knows it by nothing else."""
    number = next(_NUMBERS)
    _HANDLERS[number] = handler
    return number


def remove(number: int) -> None:
    """Forgets a handler; a run that still comes is answered with a failure."""
    _HANDLERS.pop(number, None)


def find(number: int) -> Handler | None:
    """The handler of a number."""
    return _HANDLERS.get(number)


def thread_of(run: int) -> int | None:
    """The thread that does a run of a plain function."""
    return _THREADS.get(run)


def is_entry(frame: FrameType) -> bool:
    """Whether this frame calls a handler's function."""
    return frame.f_code in ENTRIES


def innermost(function: object) -> object:
    """The function inside partials and objects with ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        call = getattr(type(function), "__call__", None)
        if call is not None and inspect.isfunction(call):
            return call
    return function


def is_async(function: object) -> bool:
    """Whether calling it makes a coroutine."""
    return inspect.iscoroutinefunction(innermost(function)) or inspect.iscoroutinefunction(function)


def check(function: object) -> None:
    """Refuses what cannot be called with one event.

    Raises:
        HandlerRefused: with what is wrong.
    """
    if not callable(function):
        raise HandlerRefused(f"{function!r} cannot be called")
    inside = innermost(function)
    if inspect.isasyncgenfunction(inside) or inspect.isgeneratorfunction(inside):
        raise HandlerRefused(f"{describe(function)} is a generator: a handler returns, it does not yield")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Some built-in functions do not tell.
    try:
        signature.bind(None)
    except TypeError as error:
        raise HandlerRefused(
            f"{describe(function)}{signature} cannot be called with one event: {error}"
        ) from None


def describe(function: object) -> str:
    """The name that a function has without one of its own: its module and path."""
    inside = function.func if isinstance(function, functools.partial) else function
    name = getattr(inside, "__qualname__", None) or type(inside).__qualname__
    module = getattr(inside, "__module__", None) or type(inside).__module__
    return f"{module}.{name}"


def failure(error: BaseException) -> str:
    """An exception as a dead letter keeps it: what it is, then where it came from."""
    first = "".join(traceback.format_exception_only(type(error), error)).strip()
    # The first frames are this package's own.
    trace = error.__traceback__
    while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == _HERE:
        trace = trace.tb_next
    lines = "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))
    return f"{first}\n{bounded(lines)}"


def bounded(lines: str) -> str:
    """A traceback or stack, cut at its begin where it is too long."""
    if len(lines) > TRACEBACK_CHARS_MAX:
        lines = "[…]\n" + lines[-TRACEBACK_CHARS_MAX:]
    return lines.rstrip()


def _answer(run: _native.Run, answer: object) -> None:
    if answer is None:
        run.done()
    elif isinstance(answer, Skip):
        run.skip(answer.reason)
    elif isinstance(answer, Duplicate):
        run.duplicate(answer.original, answer.key, int(answer.until.timestamp() * 1_000_000))
    elif isinstance(answer, Retry):
        run.retry(answer.after, answer.reason or "the handler asked for another try")
    elif isinstance(answer, Dead):
        run.dead(answer.reason)
    else:
        run.done()


def _fail(run: _native.Run, error: BaseException) -> None:
    if isinstance(error, Answer):
        _answer(run, error)
        return
    errno = error.errno if isinstance(error, OSError) else None
    run.fail(failure(error), errno if isinstance(errno, int) else None)


async def attend(
    handler: Handler, run: _native.Run, event: Event, waits: Callable[[], object]
) -> None:
    """One run of an async function; calls ``waits`` once it waits for something for the first time."""
    try:
        context = handler.context.copy()
        awaited = context.run(_begin, handler, run, event)
        # Measured step by step: a loop without an end that yields is told by what it uses.
        answer = await _native.Steps(run, awaited, context, waits)
    except asyncio.CancelledError as error:
        # Cancelled by the library it is answered already, and this changes nothing.
        run.fail(f"CancelledError: its task was cancelled, or its loop ended\n{failure(error)}", None)
        raise
    except KeyboardInterrupt as error:
        _fail(run, error)
        raise
    except BaseException as error:  # SystemExit too: a handler does not end the program.
        _fail(run, error)
    else:
        _answer(run, answer)


def _begin(handler: Handler, run: _native.Run, event: Event) -> Coroutine[Any, Any, object]:
    CURRENT.set(Handling(event, run))
    awaited = handler.function(event)
    return awaited if inspect.iscoroutine(awaited) else _awaiting(awaited)


async def _awaiting(awaited: Awaitable[object]) -> object:
    return await awaited


def _call(handler: Handler, run: _native.Run) -> None:
    event = Event(run.event, attempt=run.attempt, handler=run.handler)
    CURRENT.set(Handling(event, run))
    try:
        answer = handler.function(event)
        if inspect.iscoroutine(answer):
            _refuse_coroutine(answer)
    except BaseException as error:
        _fail(run, error)
    else:
        _answer(run, answer)


def _refuse_coroutine(answer: Coroutine[Any, Any, Any]) -> None:
    answer.close()
    raise TypeError("a plain function returned a coroutine; make the handler an async function")


def dispatch(number: int, run: _native.Run) -> None:
    """Calls a plain function, on the thread that the library gave it."""
    handler = find(number)
    if handler is None:
        run.fail("its subscription ended before it began", None)
        return
    thread = threading.current_thread()
    thread.name = f"ringrift:{run.handler}"
    _THREADS[run.number] = threading.get_ident()
    try:
        handler.context.copy().run(_call, handler, run)
    finally:
        del _THREADS[run.number]


ENTRIES = {attend.__code__, _begin.__code__, _awaiting.__code__, _call.__code__}
"""The code that stands between a loop or a thread and a handler's function."""

_native.set_dispatch(dispatch)
