"""What all tests share: a home of their own, a system in it, and waiting for what must come."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringrift_events import EventSystem

PATIENCE = 60.0
"""Far longer than anything takes: a test waits for what must come, never for time."""

QUICK = {"dlq.backoff_first": "20ms"}

# A machine whose disk is nearly full may still run the tests; children too.
os.environ["RINGRIFT_STORE_DISK_FREE_MIN_PERCENT"] = "0"
os.environ["RINGRIFT_DOCTOR_DISK_FREE_PERCENT"] = "0"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def events(home: Path) -> Iterator[EventSystem]:
    with EventSystem.open(home, settings=QUICK) as system:
        yield system


def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Waits until it holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.005)


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Starts a program and waits for its first line, which says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-u", "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip() == "ready", line
    return process
