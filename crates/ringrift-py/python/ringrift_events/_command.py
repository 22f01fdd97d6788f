"""The command ``ringrift``, as the wheel brings it: the same as the Rust program, in this process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import NoReturn

from . import _native


def main() -> NoReturn:
    """Runs ``sys.argv`` and exits with the command's code."""
    # The command answers the signals itself; Python's own handler would wait for Python code to run.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.run_command(_program(sys.argv[0]), sys.argv[1:]))


def _program(called: str) -> str:
    """What starts this command again."""
    if os.path.isfile(called) and os.access(called, os.X_OK):
        return os.path.abspath(called)
    return shutil.which("ringrift") or "ringrift"
