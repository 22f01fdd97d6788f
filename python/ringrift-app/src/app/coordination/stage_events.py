"""Pipeline stages: completing one publishes its event once, with the stage's name in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ringrift_events import Publishing

from app.distributed.event_types import StageEvent

from .event_router import Handler, Unsubscribe, get_router

__all__ = ["StageCompletionResult", "StageEvent", "StageEventBus", "get_stage_event_bus"]


@dataclass
class StageCompletionResult:
    """What a completed stage says of itself; it becomes its event's payload."""

    stage: StageEvent
    config_key: str
    success: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    """Anything else, flat beside the fields above."""

    def payload(self) -> dict[str, Any]:
        """The payload of the stage's event."""
        named = {"stage": str(self.stage), "config_key": self.config_key, "success": self.success}
        return {**self.fields, **named}


class StageEventBus:
    """Which pipeline stage completed for whom."""

    def subscribe(
        self,
        stage: StageEvent | str,
        handler: Handler,
        *,
        timeout: float | timedelta | None = None,
        name: str | None = None,
    ) -> Unsubscribe:
        """Calls a function with the event of each completion of one stage, in whatever process."""
        events = get_router().events
        return events.subscribe((), handler, stage=stage, timeout=timeout, name=name).unsubscribe

    def complete(self, result: StageCompletionResult, source: str | None = None) -> Publishing:
        """Publishes that a stage is complete. It takes effect at the call."""
        events = get_router().events
        by_name = {stage.value: stage.data_event for stage in events.operations.stages()}
        return events.publish(
            by_name[StageEvent(result.stage).value],
            result.payload(),
            source=source,
            key=result.config_key,
            stacklevel=2,
        )

    def completions(self) -> list[dict[str, Any]]:
        """The last completion of each stage for each key that this process has seen, newest first."""
        return get_router().events.operations.completions()

    def last(self, stage: StageEvent | str, config_key: str) -> dict[str, Any] | None:
        """The last completion of a stage for a key, as far as this process has seen."""
        name = StageEvent(stage).value
        found = (one for one in self.completions() if (one["stage"], one["key"]) == (name, config_key))
        return next(found, None)


_BUS = StageEventBus()


def get_stage_event_bus() -> StageEventBus:
    """This process's stages."""
    return _BUS
