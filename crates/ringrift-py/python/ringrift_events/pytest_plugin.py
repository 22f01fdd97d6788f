"""The pytest plugin: the fixture ``ringrift``, an event system in memory with time of its own.

    def test_a_model_is_evaluated_again(ringrift):
        ringrift.subscribe("TRAINING_COMPLETED", evaluate, durable="evaluator")
        receipt = ringrift.publish_sync("TRAINING_COMPLETED", {"config_key": "hex8_2p"})
        ringrift.advance("5m")
        ringrift.assert_delivered(receipt, to="evaluator")

In an async test, ``await`` what moves time and what asserts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ._rehearsal import Rehearsal, Turn

__all__ = ["Rehearsal", "Turn", "ringrift", "ringrift_home", "ringrift_settings"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of pytest's configuration."""
    parser.addini(
        "ringrift_home",
        "folder, seen from the configuration, whose ringrift.toml has the types, rules and settings "
        "that the fixture ringrift knows; nothing is written there",
    )


@pytest.fixture
def ringrift_home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder whose ``ringrift.toml`` is read: the option's, else an empty one. Override it."""
    set_to = str(request.config.getini("ringrift_home") or "")
    return request.config.rootpath / set_to if set_to else tmp_path


@pytest.fixture
def ringrift_settings() -> Mapping[str, object]:
    """Settings of the fixture ``ringrift``, as ``EventSystem.open`` takes them. Override it."""
    return {}


@pytest.fixture
def ringrift(ringrift_home: Path, ringrift_settings: Mapping[str, object]) -> Iterator[Rehearsal]:
    """An event system in memory whose time is moved by hand."""
    system = Rehearsal(ringrift_home, ringrift_settings)
    with system:
        yield system
        system.close(grace=0.0)
    system.check_awaited()
