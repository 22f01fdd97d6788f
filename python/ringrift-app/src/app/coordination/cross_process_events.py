"""The durable queue between processes, for programs that fetch events instead of being called."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ringrift_events import Event, EventSystem, NotBridged, NotFound, Receipt, Subscription
from ringrift_events._forks import Lock

from . import _process
from .event_router import EVERY_TYPE, EventTypeName, get_router

__all__ = ["CrossProcessEventQueue", "get_event_queue"]

HELD_MAX = 256
"""Events that one consumer may have fetched and not acknowledged; the rest stay in the log."""

ACK_WITHIN_SECONDS = 300.0
"""An event that is not acknowledged by then counts as failed, and comes again."""


ANSWERED_WITHIN_SECONDS = 5.0
"""How long the end of a consumer waits for its acknowledgements to arrive."""


class _Held(NamedTuple):
    event: Event
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class _Consumer:
    """A durable subscription whose events wait here until somebody fetches and acknowledges them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._fetched: set[str] = set()
        self.subscription: Subscription | None = None

    async def hold(self, event: Event) -> None:
        """Ends when the event is acknowledged; its time limit is how long that may take."""
        loop = asyncio.get_running_loop()
        held = _Held(event, loop.create_future(), loop)
        with self._changed:
            self._held[event.id] = held
            self._changed.notify_all()
        try:
            await held.done
        finally:
            with self._changed:
                self._held.pop(event.id, None)
                self._fetched.discard(event.id)

    def fetch(self, limit: int, timeout: float) -> list[Event]:
        """Events that nobody has fetched yet, waiting at most so many seconds for the first."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                new = [one for key, one in self._held.items() if key not in self._fetched]
                # They are brought by threads, not always in the log's order.
                new = sorted(new, key=lambda one: one.event.seq or 0)[:limit]
                left = until - time.monotonic()
                if new or left <= 0:
                    self._fetched.update(one.event.id for one in new)
                    return [one.event for one in new]
                self._changed.wait(left)

    def acknowledge(self, event_id: str) -> bool:
        """Whether the event was held here."""
        with self._changed:
            held = self._held.pop(event_id, None)
            self._fetched.discard(event_id)
        if held is None or held.loop.is_closed():
            return False
        held.loop.call_soon_threadsafe(_finish, held.done)
        return True


    def wait_acknowledged(self, subscription: Subscription) -> None:
        """Waits, for a bounded time, until the library has the answer of all that was acknowledged."""
        until = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while time.monotonic() < until:
            with self._changed:
                held = len(self._held)
            if int(subscription.stats["running"]) <= held:
                return
            time.sleep(0.005)


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


class CrossProcessEventQueue:
    """The log between processes. Calls block; on a loop use ``asyncio.to_thread``.

    A consumer is a durable subscription: its name outlives the process, processes that use the same
    name share its events, and nothing is lost while none of them runs.
    """

    def __init__(self, events: EventSystem) -> None:
        self._events = events
        self._consumers: dict[str, _Consumer] = {}
        self._lock = Lock()

    def publish(
        self, event_type: EventTypeName, payload: object = None, source: str | None = None
    ) -> Receipt:
        """Publishes an event that is to leave this process; returns after its commit.

        Raises:
            NotBridged: the type stays in its process.
        """
        name = self._events.type_of(event_type)
        if not self._events.types()[name]:
            raise NotBridged(
                f"{name} stays in its process: it is not in DATA_TO_CROSS_PROCESS_MAP", value=name
            )
        return self._events.publish_sync(name, payload, source=source, wait=False, stacklevel=2)

    def subscribe(
        self,
        consumer: str,
        event_types: EventTypeName | Iterable[EventTypeName] = EVERY_TYPE,
        *,
        start: Literal["now", "beginning"] | int | None = None,
        held_max: int = HELD_MAX,
        ack_within: float = ACK_WITHIN_SECONDS,
    ) -> None:
        """Begins to hold this consumer's events for ``poll``. Repeating it changes nothing."""
        with self._lock:
            if consumer in self._consumers:
                return
            one = _Consumer()
            one.subscription = self._events.subscribe(
                event_types,
                one.hold,
                durable=consumer,
                start=start,
                concurrency=held_max,
                timeout=ack_within,
                slow=ack_within,
                run="thread",
            )
            self._consumers[consumer] = one

    def unsubscribe(self, consumer: str) -> None:
        """Ends holding in this process; what is not acknowledged comes again, here or elsewhere."""
        with self._lock:
            one = self._consumers.pop(consumer, None)
        if one is not None and one.subscription is not None:
            one.wait_acknowledged(one.subscription)
            # What it still holds runs nothing: there is nothing to wait for.
            one.subscription.unsubscribe(0.0)

    def close(self) -> None:
        """Ends every consumer of this process, as ``unsubscribe`` does."""
        with self._lock:
            names = list(self._consumers)
        for name in names:
            self.unsubscribe(name)

    def poll(self, consumer: str, limit: int = 100, timeout: float = 0.0) -> list[Event]:
        """Events that are here and were not fetched yet, oldest first.

        Waits at most ``timeout`` seconds for one. What was retried comes after later events.
        """
        return self._consumer(consumer).fetch(limit, timeout)

    def ack(self, consumer: str, *events: Event | str) -> int:
        """Says that events (or their ids) are handled; how many of them were held here."""
        one = self._consumer(consumer)
        ids = [event if isinstance(event, str) else event.id for event in events]
        return sum(one.acknowledge(event_id) for event_id in ids)

    def count_pending(self) -> int:
        """How many events somebody is still owed."""
        return self._events.count_pending()

    def read(self, after: int = 0, limit: int = 100) -> tuple[list[Event], int]:
        """Events of the log after a place, whoever they are for, and the place up to which was read."""
        return self._events.operations.read_log(after, limit=limit)

    def _consumer(self, name: str) -> _Consumer:
        with self._lock:
            one = self._consumers.get(name)
        if one is None:
            raise NotFound(f"{name} is no consumer of this process: subscribe it first", value=name)
        return one


_QUEUES: weakref.WeakKeyDictionary[EventSystem, CrossProcessEventQueue] = (
    weakref.WeakKeyDictionary()
)


def get_event_queue() -> CrossProcessEventQueue:
    """The queue of this process's router."""
    with _process.LOCK:
        events = get_router().events
        return _QUEUES.setdefault(events, CrossProcessEventQueue(events))


def _close_queue_of(events: EventSystem) -> None:
    queue = _QUEUES.pop(events, None)
    if queue is not None:
        queue.close()


_process.BEFORE_CLOSE.append(_close_queue_of)
