"""The one door: publish, subscribe, and how the whole home stands."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ringrift_events import Event, EventSystem, Publishing, Receipt

from app.distributed.event_types import DataEventType

from . import _process
from .health import HealthCheckResult

__all__ = [
    "DataEventType",
    "Subscriber",
    "UnifiedEventRouter",
    "get_router",
    "publish",
    "publish_sync",
    "subscribe",
]

_LOG = _process.ROUTER_LOG
_BUS_LOG = _process.BUS_LOG

EventTypeName = str | DataEventType
Handler = Callable[[Event], object]
Unsubscribe = Callable[[], None]

EVERY_TYPE = "*"
"""Under this name stand those who subscribe to every type."""


_NEEDED = ("CROSS_PROCESS_POLLER", "DLQ_RETRY")


class Subscriber(NamedTuple):
    """Who has subscribed to a type, in one process of the home."""

    name: str
    kind: str
    """``live`` or ``durable``."""
    pid: int
    here: bool
    """Whether it is this process's."""


class Subscriptions(dict[str, list[Subscriber]]):
    """Canonical type to its subscribers, in every live process of the home."""

    def get(self, key: str, default: Any = None) -> Any:
        """A type's subscribers, those to every type among them."""
        standing = super().get(str(key))
        return standing if standing is not None else super().get(EVERY_TYPE, default)

    def __getitem__(self, key: str) -> list[Subscriber]:
        return super().__getitem__(str(key))


class UnifiedEventRouter:
    """The event system of a home, as operators know it. Get this process's by ``get_router()``.

    Opening joins the home as a process: ``data/coordination/coordination.db`` and
    ``logs/coordination.log`` below the home's folder, which without a name is ``$RINGRIFT_HOME``, else
    the nearest folder upwards with ``ringrift.toml``, else the current folder.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.events = EventSystem.open(home, settings=settings)
        _process.opened(self.events)
        _LOG.debug("router opened home=%s", self.events.home)

    def subscribe(
        self,
        event_type: EventTypeName,
        handler: Handler,
        *,
        timeout: float | timedelta | None = None,
        name: str | None = None,
        durable: str | None = None,
        where: Mapping[str, Any] | str | None = None,
        concurrency: int | None = None,
    ) -> Unsubscribe:
        """Subscribes a function of one event, and returns what ends that.

        Async functions run on the loop that runs here, plain ones on threads. ``timeout`` (seconds)
        limits one run of this handler alone. Subscribing the same function to the same type again
        changes nothing.
        """
        subscription = self.events.subscribe(
            event_type,
            handler,
            timeout=timeout,
            name=name,
            durable=durable,
            where=where,
            concurrency=concurrency,
        )
        _LOG.info("subscribed to %s name=%s", event_type, subscription.name)

        def unsubscribe() -> None:
            subscription.unsubscribe()
            _LOG.info("unsubscribed %s", subscription.name)

        return unsubscribe

    def publish(
        self,
        event_type: EventTypeName,
        payload: object = None,
        source: str | None = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Publishing:
        """Publishes one event. It takes effect at the call, from any thread, with or without a loop.

        Awaiting what it returns waits for the receipt, with this process's live handlers; forgetting
        it loses nothing.
        """
        publishing = self.events.publish(
            event_type,
            payload,
            source=source,
            key=key,
            idempotency_key=idempotency_key,
            wait=wait,
            stacklevel=stacklevel + 1,
        )
        _BUS_LOG.debug("emit %s id=%s source=%s", event_type, publishing.id, source)
        return publishing

    def publish_sync(
        self,
        event_type: EventTypeName,
        payload: object = None,
        source: str | None = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Receipt:
        """The same, blocking this thread for the receipt."""
        receipt = self.events.publish_sync(
            event_type,
            payload,
            source=source,
            key=key,
            idempotency_key=idempotency_key,
            wait=wait,
            stacklevel=stacklevel + 1,
        )
        _BUS_LOG.debug("emit %s id=%s source=%s", event_type, receipt.id, source)
        return receipt

    def health_check(self) -> HealthCheckResult:
        """How well the home is, over every live process of it."""
        if not self.events.is_open:
            return HealthCheckResult(False, "stopped", "the router was shut down")
        health = self.events.health()
        down = _daemons_down(self.events.operations.processes()[1:])
        healthy = health["healthy"] and not down
        status = "failed" if down else health["status"]
        message = "; ".join(filter(None, [health["message"], *down]))
        return HealthCheckResult(healthy, status, message, health["details"])

    def get_stats(self) -> dict[str, Any]:
        """What every live process of the home has counted, and ``this_process`` alone."""
        processes = self.events.operations.processes()
        sums: dict[str, int] = {}
        for process in processes:
            for name, count in process["counters"].items():
                sums[name] = sums.get(name, 0) + count
        here = processes[0]["counters"]
        subscribers = self._subscribers()
        return {
            "subscription_count": len(subscribers),
            **_named(sums),
            "processes": len(processes),
            "pending": self.events.count_pending(),
            "this_process": {
                "pid": os.getpid(),
                "subscription_count": sum(one.here for one, _ in subscribers),
                **_named(here),
            },
        }

    def _subscribers(self) -> list[tuple[Subscriber, list[str]]]:
        """Each standing subscription once for each live process that runs its handler."""
        processes = {one["id"]: one for one in self.events.operations.processes()}
        found = []
        for standing in self.events.subscriptions():
            only = standing["types"]
            types = [EVERY_TYPE] if only == "all" else only["only"]
            hosts = [standing["process"]] if standing["process"] else standing["hosts"]
            for process in (processes[host] for host in hosts if host in processes):
                one = Subscriber(standing["name"], standing["kind"], process["pid"], process["this"])
                found.append((one, types))
        return found

    @property
    def _subscriptions(self) -> Subscriptions:
        """Canonical type to its subscribers, in every live process of the home."""
        table = Subscriptions()
        subscribers = self._subscribers()
        for one, types in subscribers:
            for name in types:
                table.setdefault(name, []).append(one)
        for one, types in subscribers:
            if types == [EVERY_TYPE]:
                for name in table:
                    if name != EVERY_TYPE:
                        table[name].append(one)
        return table

    @property
    def _audit_enabled(self) -> bool:
        """Whether this process keeps the hops of its events."""
        return self.events.operations.audits

    @_audit_enabled.setter
    def _audit_enabled(self, enabled: bool) -> None:
        self.events.operations.audits = enabled

    @property
    def _audit_log(self) -> list[dict[str, Any]]:
        """The last hops of this process's events, oldest first."""
        return [
            {
                "timestamp": _moment(hop["at"]),
                "event_type": hop["event_type"],
                "event_id": hop["event"],
                "result": hop["result"],
                "place": hop["place"],
            }
            for hop in self.events.operations.audit()
        ]

    async def shutdown(self) -> None:
        """Ends the system in this process: what runs may finish, the rest is handed back."""
        if self.events.is_open:
            await asyncio.to_thread(_process.closing, self.events)
        await self.events.aclose()
        _LOG.debug("router shut down")

    def close(self) -> None:
        """The same from a thread without a loop; on one, its handlers are cancelled."""
        if self.events.is_open:
            _process.closing(self.events)
        self.events.close()
        _LOG.debug("router closed")


def _daemons_down(processes: list[dict[str, Any]]) -> list[str]:
    """What other processes miss of the daemons that bring and retry events."""
    return [
        f"daemon {name} of process {process['pid']} {_why(daemon)}"
        for process in processes
        for name, daemon in process["daemons"].items()
        if name in _NEEDED
        and (daemon["state"] == "failed" or (daemon["state"] == "stopped" and daemon["stopped_by"]))
    ]


def _why(daemon: Mapping[str, Any]) -> str:
    if daemon["state"] == "failed":
        return f"failed: {daemon['error'] or 'no error recorded'}"
    return f"was stopped by {daemon['stopped_by']}"


def _named(counters: Mapping[str, int]) -> dict[str, int]:
    """Counters under the names that operators know."""
    return {
        "events_published": counters["published"],
        "events_received": counters["received"],
        "events_delivered": counters["delivered"],
        "events_processed": counters["done"],
        "events_skipped": counters["skipped"],
        "events_deduplicated": counters["deduplicated"],
        "events_failed": counters["failed"],
        "publishes_failed": counters["publish_failed"],
    }


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, tz=timezone.utc).astimezone()


def get_router() -> UnifiedEventRouter:
    """This process's router, opened when it is first asked for."""
    with _process.LOCK:
        if _process.CURRENT.router is None:
            _process.CURRENT.router = UnifiedEventRouter()
        return _process.CURRENT.router


def publish(
    event_type: EventTypeName, payload: object = None, source: str | None = None
) -> Publishing:
    """``get_router().publish(…)``."""
    return get_router().publish(event_type, payload, source, stacklevel=2)


def publish_sync(
    event_type: EventTypeName, payload: object = None, source: str | None = None
) -> Receipt:
    """``get_router().publish_sync(…)``."""
    return get_router().publish_sync(event_type, payload, source, stacklevel=2)


def subscribe(
    event_type: EventTypeName, handler: Handler, *, timeout: float | timedelta | None = None
) -> Unsubscribe:
    """``get_router().subscribe(…)``."""
    return get_router().subscribe(event_type, handler, timeout=timeout)


if TYPE_CHECKING:
    _router_instance: UnifiedEventRouter | None


class _Module(ModuleType):
    """This module, whose ``_router_instance`` may be set to ``None`` for a fresh router."""

    @property
    def _router_instance(self) -> UnifiedEventRouter | None:
        return _process.CURRENT.router

    @_router_instance.setter
    def _router_instance(self, router: UnifiedEventRouter | None) -> None:
        with _process.LOCK:
            old, _process.CURRENT.router = _process.CURRENT.router, router
        if old is not None and old is not router and old.events.is_open:
            old.close()


sys.modules[__name__].__class__ = _Module
