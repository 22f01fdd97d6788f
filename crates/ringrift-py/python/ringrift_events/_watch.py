"""What a loop that does not turn is at. Called by the watchdog, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import traceback
from types import FrameType
from typing import Any, NamedTuple

from . import _handlers, _loops, _native

LOG = logging.getLogger("ringrift_events")

_STDLIB = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("/site-packages/", "/dist-packages/")
"""Below these lies what was installed."""

_DEPTH_MAX = 1_000
"""Most coroutines that are followed from one to what it awaits."""

_WAITS = ("selectors.py", "select.py")


class Sample(NamedTuple):
    """What the native module reads of a sample, in its order."""

    state: str
    run: int | None
    task: str
    at: str
    stack: str


def sample(number: int) -> Sample:
    """What the loop with this bell is at: closed, stopped (nobody turns it), idle or held."""
    side = _loops.by_number(number)
    if side is None or side.is_closed():
        return Sample("closed", None, "", "", "")
    loop = side.loop
    if loop is None or not loop.is_running():
        return Sample("stopped", None, "", "", "")
    frame = sys._current_frames().get(side.ident)
    if frame is None:
        return Sample("stopped", None, "", "", "")
    task = asyncio.current_task(loop)
    if task is None and frame.f_code.co_filename.endswith(_WAITS):
        # It waits for the interpreter's lock, or for a processor, after its own wait.
        return Sample("idle", None, "", "", "")
    name = task.get_name() if task is not None else "a callback of the loop"
    run = side.run_of(task) if task is not None else None
    stack = "".join(traceback.format_stack(frame))
    return Sample("held", run, name, _place(_frames(frame), run is not None), stack)


def _frames(frame: FrameType) -> list[FrameType]:
    """A thread's frames, outermost first; those of a handler alone if it is in one."""
    frames: list[FrameType] = []
    at: FrameType | None = frame
    while at is not None and not _handlers.is_entry(at):
        frames.append(at)
        at = at.f_back
    return frames[::-1]


def _place(frames: list[FrameType], is_handler: bool) -> str:
    """The innermost line that is no library's, as far as the handler's own package is none.

    If each is a library's: the handler's own line, or the innermost of what is no handler.
    """
    own = next((one for one in frames if not _is_wrapper(one)), frames[-1])
    home = _package(own.f_code.co_filename) if is_handler else None
    told = own if is_handler else frames[-1]
    for one in frames:
        if not _is_library(one.f_code.co_filename, home) and not _is_wrapper(one):
            told = one
    return f"{told.f_code.co_filename}:{told.f_lineno} in {told.f_code.co_name}"


def _is_wrapper(frame: FrameType) -> bool:
    """Whether a frame is ours, around the function that the program gave."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith(("ringrift_events.", "app.coordination."))


def _package(file: str) -> str | None:
    """The folder of an installed package that a file belongs to, or the file if it has none."""
    for installed in _INSTALLED:
        before, found, inside = file.partition(installed)
        if found:
            return before + found + inside.split("/", 1)[0]
    return None


def _is_library(file: str, home: str | None) -> bool:
    package = _package(file)
    if package is not None:
        return package != home
    return file.startswith((*_STDLIB, "<frozen"))


def stuck(bell: int | None, run: int) -> str | None:
    """Where a run is that is beyond its time: on the loop with this bell, or on its thread.

    Its place, then its stack; called by the native module, on a thread of its own.
    """
    frames = _frames_of_thread(run) if bell is None else _frames_of_task(bell, run)
    if not frames:
        return None
    stack = traceback.StackSummary.extract((one, one.f_lineno) for one in frames)
    lines = _handlers.bounded("".join(stack.format()))
    return f"stuck at {_place(frames, is_handler=True)}\nStack (most recent call last):\n{lines}"


def _frames_of_thread(run: int) -> list[FrameType]:
    ident = _handlers.thread_of(run)
    frame = None if ident is None else sys._current_frames().get(ident)
    return [] if frame is None else _frames(frame)


def _frames_of_task(bell: int, run: int) -> list[FrameType]:
    side = _loops.by_number(bell)
    loop = None if side is None else side.loop
    task = None if side is None else side.task_of(run)
    if side is None or loop is None or task is None:
        return []
    if asyncio.current_task(loop) is task:
        frame = sys._current_frames().get(side.ident)
        return [] if frame is None else _frames(frame)
    # It waits: each coroutine knows what it awaits.
    frames: list[FrameType] = []
    at: Any = task.get_coro()
    while at is not None and len(frames) < _DEPTH_MAX:
        if isinstance(at, _native.Steps):
            at = at.coroutine
            continue
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is None:
            break
        if not _handlers.is_entry(frame):
            frames.append(frame)
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
    return frames


def tell_lock(waited_ms: int) -> None:
    """Logs that a loop waits for the interpreter's lock."""
    LOG.warning(
        "an event loop has not turned for %d ms: the interpreter's lock could not be had in time, "
        "other threads keep it",
        waited_ms,
    )


def tell(
    handler: str, event: str, at: str | None, held_ms: int, cpu_ms: int | None, stack: str
) -> None:
    """Logs what holds a loop."""
    LOG.warning(
        "handler %s blocks the event loop for %d ms (%s ms of processor time) at %s, event %s\n%s",
        handler,
        held_ms,
        "unknown" if cpu_ms is None else cpu_ms,
        at,
        event,
        stack,
    )


_native.set_sampler(sample)
