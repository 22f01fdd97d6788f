"""Errors: every code that the library raises has a class of its kind."""

from __future__ import annotations

import re
from pathlib import Path

import ringrift_events
from ringrift_events import RingriftError, _errors

PAGES = Path(__file__).parents[3] / "docs" / "errors"

OF_THE_COMMAND = {
    "BUG",
    "COMMAND_REFUSED",
    "COMMAND_UNANSWERED",
    "INPUT_REFUSED",
    "LINE_REFUSED",
    "LINT_BASELINE_INVALID",
    "LINT_SOURCE_UNREADABLE",
    "LISTEN_FAILED",
    "NOT_A_DURATION",
    "NOT_A_TIME",
    "NOT_CONFIRMED",
    "NO_LIVE_PROCESS",
    "SQL_REFUSED",
    "USAGE",
}
"""What only `ringrift` answers: no call from Python does."""


def test_every_code_of_the_library_has_a_class() -> None:
    pages = {page.stem for page in PAGES.glob("*.md") if re.fullmatch("[A-Z0-9_]+", page.stem)} - {"README"}
    assert len(pages) > 50, "the pages were not found"
    assert set(_errors._CLASSES) == pages - OF_THE_COMMAND


def test_every_class_is_public_and_raised_for_its_own_code() -> None:
    for code, kind in _errors._CLASSES.items():
        assert getattr(ringrift_events, kind.__name__) is kind
        made = _errors.make(code, "a message")
        assert type(made) is kind and made.code == code
    kinds = {kind for kind in vars(_errors).values() if isinstance(kind, type)}
    for kind in kinds - {RingriftError}:
        assert issubclass(kind, RingriftError)
        assert _errors._CLASSES[kind.default_code] is kind
