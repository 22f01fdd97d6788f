"""The words that programs use for types and lengths of time, and what the library reads of them."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

TypeName = str | Enum
Seconds = float | timedelta


def seconds(length: Seconds | None) -> float | None:
    """A length of time in seconds."""
    return length.total_seconds() if isinstance(length, timedelta) else length


def name_of(event_type: TypeName) -> str:
    """A type's name as text."""
    return str(event_type.value) if isinstance(event_type, Enum) else event_type
