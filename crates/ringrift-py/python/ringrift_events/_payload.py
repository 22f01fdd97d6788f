"""From what programs publish to the bytes of one JSON object.

The native module writes what nearly every payload is made of; what it leaves alone Python's own writer
writes, or refuses with the path of the value.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from os import PathLike, fspath
from typing import Any
from uuid import UUID

from . import _native
from ._errors import PayloadRefused

_PATH_DEPTH_MAX = 200
"""How deep the search for the value at fault goes: deeper payloads are refused by the library."""


def to_bytes(payload: object) -> bytes:
    """The bytes of ``payload``: a mapping, a dataclass, a Pydantic model, or JSON text as it is."""
    if payload is None:
        return b"{}"
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return bytes(payload)
    if isinstance(payload, str):
        return payload.encode()
    value = payload if type(payload) is dict else _plain(payload)
    if not isinstance(value, dict):
        raise PayloadRefused(
            f"a payload is an object; this is {_shown(payload)}", code="PAYLOAD_NOT_OBJECT"
        )
    text = _native.to_json(value, _default)
    return _plainly(value) if text is None else text


def _plainly(value: dict[Any, Any]) -> bytes:
    twin = _twin(value, "payload", 0) if _may_have_twins(value) else None
    if twin is not None:
        where, what = twin
        raise PayloadRefused(
            f"{where} cannot be written as JSON: {what}", code="PAYLOAD_NOT_JSON", value=where
        )
    try:
        text = json.dumps(
            value, default=_default, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        odd = find_odd(value)
        where, what = odd if odd is not None else ("payload", str(error))
        raise PayloadRefused(
            f"{where} cannot be written as JSON: {what}", code="PAYLOAD_NOT_JSON", value=where
        ) from None


def _default(value: object) -> object:
    plain = _plain(value)
    if plain is value:
        raise TypeError(_shown(value))
    return plain


def _plain(value: Any) -> Any:
    """A value that JSON knows for one that it does not; the value itself if there is none."""
    dump = getattr(value, "model_dump", None)  # Pydantic 2
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return list(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, int) and type(value) is not int and type(value) is not bool:
        return int(value)
    if isinstance(value, float) and type(value) is not float:
        return float(value)
    item = getattr(value, "item", None)  # a scalar of numpy or torch
    if item is not None and getattr(value, "shape", None) == ():
        return item()
    return value


def _may_have_twins(value: object, depth: int = 0) -> bool:
    """Whether two keys of one object might be one in JSON: some key is no text, or cannot be seen yet."""
    if value is None or isinstance(value, (str, int, float)):
        return False
    if depth > _PATH_DEPTH_MAX:
        return False  # The writer refuses it.
    if type(value) is dict:
        return any(
            type(name) is not str or _may_have_twins(inner, depth + 1)
            for name, inner in value.items()
        )
    if type(value) in (list, tuple):
        assert isinstance(value, (list, tuple))
        return any(_may_have_twins(inner, depth + 1) for inner in value)
    return True


def _twin(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    """The path of the first object with two keys that JSON writes alike, and which."""
    if value is None or isinstance(value, (str, int, float)) or depth > _PATH_DEPTH_MAX:
        return None
    if isinstance(value, (list, tuple)):
        inside = ((f"{path}[{index}]", inner) for index, inner in enumerate(value))
    elif isinstance(value, dict):
        written: dict[str, object] = {}
        for name in value:
            if not isinstance(name, (str, int, float)) and name is not None:
                return None  # The writer refuses it, with its path.
            text = str.__str__(name) if isinstance(name, str) else json.dumps(name)
            if text in written:
                return path, f"its keys {written[text]!r} and {name!r} are both written {text!r}"
            written[text] = name
        inside = ((_step(path, name), inner) for name, inner in value.items())
    else:
        try:
            plain = _plain(value)
        except Exception:  # a model's own refusal, which the writer tells
            return None
        return None if plain is value else _twin(plain, path, depth + 1)
    found = (_twin(inner, at, depth + 1) for at, inner in inside)
    return next((twin for twin in found if twin is not None), None)


def find_odd(payload: object) -> tuple[str, str] | None:
    """The path of the first value that JSON has no word for, and what it is."""
    return _find(payload, "payload", 0)


def _find(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    if value is None or isinstance(value, (bool, int)):
        return None
    if isinstance(value, str):
        try:
            str.__str__(value).encode()
        except UnicodeEncodeError:
            return path, "text with a lone surrogate"
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, f"the number {value!r}")
    if depth > _PATH_DEPTH_MAX:
        return path, "it is nested too deeply, or holds itself"
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, (str, int, float, bool)) and name is not None:
                return path, f"its key {name!r} is {_shown(name)}"
            odd = _find(inner, _step(path, name), depth + 1)
            if odd is not None:
                return odd
        return None
    if isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            odd = _find(inner, f"{path}[{index}]", depth + 1)
            if odd is not None:
                return odd
        return None
    try:
        plain = _plain(value)
    except Exception as error:  # a model's own refusal
        return path, str(error)
    return (path, _shown(value)) if plain is value else _find(plain, path, depth + 1)


def _step(path: str, name: object) -> str:
    if isinstance(name, str) and name.isidentifier():
        return f"{path}.{name}"
    return f"{path}[{name!r}]"


def _shown(value: object) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    article = "an" if name[:1].lower() in "aeio" else "a"
    return f"{article} {name}"
