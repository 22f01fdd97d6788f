"""The bus inside this process, and the types it carries.

The bus is the router: an event published here is the same event everywhere, once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ringrift_events import Event, Publishing, Receipt

from app.distributed.event_types import DataEventType

if TYPE_CHECKING:
    from app.coordination.event_router import EventTypeName, Handler, Unsubscribe

__all__ = ["DataEvent", "DataEventType", "EventBus", "get_event_bus"]

DataEvent = Event
"""One shape of an event everywhere."""


class EventBus:
    """Publishing and subscribing, as the router does it."""

    def subscribe(
        self,
        event_type: EventTypeName,
        handler: Handler,
        *,
        timeout: float | timedelta | None = None,
        name: str | None = None,
    ) -> Unsubscribe:
        """As ``UnifiedEventRouter.subscribe``."""
        from app.coordination.event_router import get_router

        return get_router().subscribe(event_type, handler, timeout=timeout, name=name)

    def publish(
        self, event_type: EventTypeName, payload: object = None, source: str | None = None
    ) -> Publishing:
        """As ``UnifiedEventRouter.publish``."""
        from app.coordination.event_router import get_router

        return get_router().publish(event_type, payload, source, stacklevel=2)

    def publish_sync(
        self, event_type: EventTypeName, payload: object = None, source: str | None = None
    ) -> Receipt:
        """As ``UnifiedEventRouter.publish_sync``."""
        from app.coordination.event_router import get_router

        return get_router().publish_sync(event_type, payload, source, stacklevel=2)


_BUS = EventBus()


def get_event_bus() -> EventBus:
    """This process's bus."""
    return _BUS
