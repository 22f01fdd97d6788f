"""Payloads: what goes in, what comes out, what is refused."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import uuid
from collections import OrderedDict
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydantic
import pytest

from ringrift_events import Event, EventSystem, PayloadRefused, _native, _payload

from conftest import eventually


@dataclasses.dataclass
class Metrics:
    elo: float
    games: list[int]


class Kind(enum.Enum):
    NNUE = "nnue"


class Model(pydantic.BaseModel):
    config_key: str
    metrics: dict[str, float]
    made: datetime


MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
RICH: dict[Any, Any] = {
    "dataclass": Metrics(1900.5, [1, 2]),
    "enum": Kind.NNUE,
    "time": MADE,
    "uuid": uuid.UUID(int=7),
    "path": Path("models") / "hex8.pt",
    "tuple": (1, "two", None),
    "ordered": OrderedDict(b=1, a=2),
    "text": "prüfer ✓",
    "large": 2**70,
    3: "a key that is no text",
    "null": None,
}


def leave_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "to_json", lambda payload, plain: None)


@pytest.fixture(params=["native", "python"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "python":
        leave_to_python(monkeypatch)
    return str(request.param)


def test_both_writers_say_the_same(writer: str) -> None:
    assert json.loads(_payload.to_bytes(RICH)) == {
        "dataclass": {"elo": 1900.5, "games": [1, 2]},
        "enum": "nnue",
        "time": "2026-01-02T03:04:05+00:00",
        "uuid": "00000000-0000-0000-0000-000000000007",
        "path": "models/hex8.pt",
        "tuple": [1, "two", None],
        "ordered": {"b": 1, "a": 2},
        "text": "prüfer ✓",
        "large": 2**70,
        "3": "a key that is no text",
        "null": None,
    }
    assert _payload.to_bytes({"a": 1}) == b'{"a":1}'
    assert _payload.to_bytes(None) == b"{}"
    assert _payload.to_bytes(Metrics(1.0, [])) == b'{"elo":1.0,"games":[]}'
    model = Model(config_key="hex8", metrics={"elo": 1.5}, made=MADE)
    assert json.loads(_payload.to_bytes(model))["made"] == "2026-01-02T03:04:05Z"
    assert json.loads(_payload.to_bytes({"model": model}))["model"]["config_key"] == "hex8"


def test_the_native_writer_writes_what_payloads_are_made_of() -> None:
    plain: dict[str, Any] = {
        "text": 'quotes ", \\, a line\n, \x01, ✓',
        "numbers": [0, -1, 2**63 - 1, 0.1, 1e300, -2.5],
        "others": (True, False, None, {}, []),
        "model": Metrics(1.0, [1]),
    }
    text = _native.to_json(plain, _payload._plain)
    assert text is not None
    assert json.loads(text) == json.loads(_payload._plainly(plain))
    for left in ({1: 2}, {"large": 2**64}, {"nan": math.nan}, {"set": {1}}, {"text": "\ud800"}):
        assert _native.to_json(left, _payload._default) is None


def circle() -> dict[str, Any]:
    payload: dict[str, Any] = {}
    payload["itself"] = payload
    return payload


@pytest.mark.parametrize(
    ("payload", "path", "what"),
    [
        ({"metrics": {"games": [1, {2}]}}, "payload.metrics.games[1]", "a set"),
        ({"model": object()}, "payload.model", "an object"),
        ({"a b": {"c": lambda: 0}}, "payload['a b'].c", "a function"),
        ({"elo": math.nan}, "payload.elo", "nan"),
        ({"elo": [None, math.inf]}, "payload.elo[1]", "inf"),
        ({(1, 2): 3}, "payload", "(1, 2)"),
        ({"text": "\ud800"}, "payload.text", "surrogate"),
        (circle(), "payload.itself", "holds itself"),
        ({"inside": Metrics(math.nan, [])}, "payload.inside.elo", "nan"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_path(
    writer: str, payload: dict[Any, Any], path: str, what: str
) -> None:
    with pytest.raises(PayloadRefused) as refused:
        _payload.to_bytes(payload)
    error = refused.value
    assert error.code == "PAYLOAD_NOT_JSON"
    assert (error.value or "").startswith(path)
    assert what in error.message


def test_a_payload_is_an_object(events: EventSystem) -> None:
    for payload in ([1], 3, Kind.NNUE):
        with pytest.raises(PayloadRefused) as refused:
            events.publish("TRAINING_COMPLETED", payload)
        assert refused.value.code == "PAYLOAD_NOT_OBJECT"
    with pytest.raises(PayloadRefused) as refused:
        events.publish("TRAINING_COMPLETED", b"[1]")
    assert refused.value.code == "PAYLOAD_NOT_OBJECT"
    with pytest.raises(PayloadRefused):
        events.publish("TRAINING_COMPLETED", b"{")


def test_bytes_go_through_as_they_are_and_an_event_is_read_in_three_ways(
    events: EventSystem,
) -> None:
    got: list[Event] = []
    events.subscribe("TRAINING_COMPLETED", got.append, name="keeps")
    text = b'{ "config_key": "hex8_2p",  "elo": 1.50, "type": "mine" }'
    receipt = events.publish_sync(
        "TRAINING_COMPLETED", text, source="trainer-3", key="k", idempotency_key="once"
    )
    eventually(lambda: got, "the event")
    event = got[0]
    assert event.payload_bytes == text
    assert (event.id, event.seq, event.source, event.key) == (receipt.id, 1, "trainer-3", "k")
    assert event["elo"] == event.payload["elo"] == 1.5
    # Its own fields come first.
    assert (event["type"], event.payload["type"]) == ("training_completed", "mine")
    assert event.get("no such field", 7) == 7
    assert "elo" in event and "source" in event and "other" not in event
    with pytest.raises(KeyError):
        event["other"]
    assert dict(event)["config_key"] == "hex8_2p"
    assert len(event) == len(list(event))
    assert event.time.tzinfo is timezone.utc
    assert abs(event.time.timestamp() - event.timestamp) < 0.001
    assert (event.depth, event.parent_id, event.attempt) == (0, None, 1)


def test_what_one_handler_changes_reaches_no_other(events: EventSystem) -> None:
    got: list[Any] = []

    def spoils(event: Event) -> None:
        event.payload.clear()

    def reads(event: Event) -> None:
        got.append(event.payload)

    events.subscribe("TRAINING_COMPLETED", spoils)
    events.subscribe("TRAINING_COMPLETED", reads)
    events.publish_sync("TRAINING_COMPLETED", {"config_key": "a"})
    assert got == [{"config_key": "a"}]


def test_keys_that_json_writes_alike_are_refused_with_their_path(
    events: EventSystem, writer: str
) -> None:
    for payload, path in (
        ({3: "int", "3": "text"}, "payload"),
        ({"models": [{}, {None: 1, "null": 2}]}, "payload.models[1]"),
        ({"flags": MappingProxyType({True: 1, "true": 2})}, "payload.flags"),
        ({"scores": {0.5: 1, "0.5": 2}}, "payload.scores"),
    ):
        with pytest.raises(PayloadRefused) as refused:
            events.publish("TRAINING_COMPLETED", payload)
        assert refused.value.code == "PAYLOAD_NOT_JSON"
        assert refused.value.value == path, str(refused.value)
    assert _payload.to_bytes({3: "int", "4": {True: 1}}) == b'{"3":"int","4":{"true":1}}'
