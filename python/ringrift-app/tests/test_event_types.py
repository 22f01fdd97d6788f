"""The types that programs name are those of the library's catalog.

``RINGRIFT_WRITE=1 pytest …/test_event_types.py`` writes them anew; read the difference before you
commit it.
"""

import os
from pathlib import Path

import app.distributed.event_types as written
from app.distributed.event_types import DataEventType, StageEvent
from ringrift_events import EventSystem

_FILE = Path(written.__file__)
_HEAD = '''"""Every type and stage that ships with the library. Written by ``tests/test_event_types.py``."""

from app.core.named import NamedText


'''


def _class(name: str, summary: str, members: list[tuple[str, str]]) -> str:
    lines = [f"class {name}(NamedText):", f'    """{summary}"""', ""]
    lines += [f'    {constant} = "{value}"' for constant, value in members]
    return "\n".join(lines) + "\n"


def _expected(events: EventSystem) -> str:
    types = [(value.upper(), value) for value in events.types()]
    stages = [(stage.constant, stage.value) for stage in events.operations.stages()]
    return (
        _HEAD
        + _class("DataEventType", "The types of events; each is equal to its canonical value.", types)
        + "\n\n"
        + _class("StageEvent", "The stages of the pipeline.", stages)
    )


def test_the_types_are_those_of_the_catalog(tmp_path: Path) -> None:
    with EventSystem.open(tmp_path) as events:
        expected = _expected(events)
    if os.environ.get("RINGRIFT_WRITE"):
        _FILE.write_text(expected)
    assert _FILE.read_text() == expected, "stale: run this test with RINGRIFT_WRITE=1"


def test_a_type_is_a_text_equal_to_its_value() -> None:
    one = DataEventType.TRAINING_COMPLETED
    assert one == "training_completed" == one.value == str(one) == f"{one}"
    by_text: dict[str, int] = {one: 1}
    assert by_text["training_completed"] == 1
    assert DataEventType("TRAINING_COMPLETED") is one
    assert StageEvent("training_complete") is StageEvent.TRAINING_COMPLETE
