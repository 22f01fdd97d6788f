"""The one shape of every health check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HealthCheckResult:
    """How well something is."""

    healthy: bool
    status: str
    """``starting``, ``running``, ``degraded``, ``draining``, ``stopped`` or ``failed``."""
    message: str = ""
    """What needs attention; empty when nothing does."""
    details: dict[str, Any] = field(default_factory=dict)
