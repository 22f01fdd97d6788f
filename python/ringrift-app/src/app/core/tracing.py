"""Traces: what a handler publishes belongs to the trace of its event, across processes."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from ringrift_events import current_trace_id, trace

_LOG = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def get_trace_id() -> str:
    """The trace that runs here; empty where none does."""
    return current_trace_id() or ""


def traced(name: str) -> Callable[[_Function], _Function]:
    """Names what a function does in its trace, and says at DEBUG how long it took.

    Inside a handler the trace is its event's; elsewhere a new one begins and ends with the call.
    """

    def decorate(function: _Function) -> _Function:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with _span(name):
                    return await function(*args, **kwargs)

            return cast(_Function, awaited)

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with _span(name):
                return function(*args, **kwargs)

        return cast(_Function, called)

    return decorate


@contextmanager
def _span(name: str) -> Iterator[None]:
    if not get_trace_id():
        with trace(), _span(name):
            yield
        return
    began = time.perf_counter()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        took_ms = (time.perf_counter() - began) * 1_000
        _LOG.debug("[%s] %s %s in %.3f ms", get_trace_id(), name, outcome, took_ms)
