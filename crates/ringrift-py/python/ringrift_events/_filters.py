"""Filters as Python writes them: a dict of Django's shape, or the filter language itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._errors import FilterRefused
from ._payload import _default, find_odd

Where = Mapping[str, Any] | str
"""``{"elo__gte": 1900, "model.kind": "nnue"}``: all must hold; or the text of a filter."""


def to_text(where: Where | None) -> str | None:
    """The filter's text; ``None`` when there is none."""
    if where is None:
        return None
    if isinstance(where, str):
        return where
    parts = []
    for field, value in where.items():
        odd = find_odd(value)
        if odd is not None:
            raise FilterRefused(
                f"the filter's {field} compares with {odd[1]}, which JSON cannot say", value=field
            )
        parts.append(f"{field} = {json.dumps(value, default=_default, ensure_ascii=False)}")
    return " and ".join(parts) or None
