"""The daemons of this process: the library's own, and the handlers that were started."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from app.core.named import NamedText

from . import _process
from .event_router import get_router

__all__ = ["DaemonManager", "DaemonType", "HandlerDaemon", "get_daemon_manager"]


class DaemonType(NamedText):
    """The library's daemons that may be started and stopped by hand."""

    CROSS_PROCESS_POLLER = "CROSS_PROCESS_POLLER"
    """Brings what other processes publish."""
    DLQ_RETRY = "DLQ_RETRY"
    """Retries dead letters of handlers of this process."""
    SWEEPER = "SWEEPER"
    """Takes over from dead processes; one process of the home does."""
    ALERTS = "ALERTS"
    """Raises alerts; one process of the home does."""
    PIPELINE_WATCH = "PIPELINE_WATCH"
    """Finds pipelines that stand still; one process of the home does."""


class HandlerDaemon(Protocol):
    """A handler as the daemon manager knows it."""

    name: str

    @property
    def is_running(self) -> bool:
        """Whether it is subscribed."""

    async def start(self) -> None:
        """Subscribes it."""

    async def stop(self) -> None:
        """Unsubscribes it."""


class DaemonManager:
    """Starts and stops. Handlers are daemons from their first ``start`` on."""

    def __init__(self) -> None:
        self._handlers: list[HandlerDaemon] = []

    def register(self, handler: HandlerDaemon) -> None:
        """Makes a handler a daemon; ``start_all`` starts it. ``HandlerBase.start`` calls this."""
        with _process.LOCK:
            if not any(known is handler for known in self._handlers):
                self._handlers.append(handler)

    def forget(self, handler: HandlerDaemon) -> None:
        """A handler is no daemon any more."""
        with _process.LOCK:
            self._handlers = [known for known in self._handlers if known is not handler]

    def handlers(self) -> list[HandlerDaemon]:
        """The handlers that are daemons, in the order of their first start."""
        with _process.LOCK:
            return list(self._handlers)

    async def start(self, daemon: DaemonType | str) -> None:
        """Starts one: a ``DaemonType``, or a handler by its name. It runs when this returns."""
        handler = self._handler(daemon)
        if handler is not None:
            await handler.start()
            return
        await asyncio.to_thread(get_router().events.operations.start_daemon, str(daemon))

    async def stop(self, daemon: DaemonType | str) -> None:
        """Stops one. It has stopped when this returns."""
        handler = self._handler(daemon)
        if handler is not None:
            await handler.stop()
            return
        await asyncio.to_thread(get_router().events.operations.stop_daemon, str(daemon))

    async def stop_all(self) -> None:
        """Unsubscribes every handler and stops every daemon that may be stopped by hand."""
        for handler in self.handlers():
            await handler.stop()
        await asyncio.to_thread(get_router().events.operations.stop_daemon)

    async def start_all(self) -> None:
        """Starts every daemon and subscribes every handler, at the router that stands now."""
        await asyncio.to_thread(get_router().events.operations.start_daemon)
        for handler in self.handlers():
            await handler.start()

    def get_status(self) -> dict[str, dict[str, Any]]:
        """How each daemon and each handler stands in this process."""
        status = {one["name"]: one for one in get_router().events.operations.daemons()}
        for handler in self.handlers():
            state = "running" if handler.is_running else "stopped"
            status[handler.name] = {"name": handler.name, "state": state}
        return status

    def _handler(self, daemon: DaemonType | str) -> HandlerDaemon | None:
        if isinstance(daemon, DaemonType):
            return None
        return next((one for one in self.handlers() if one.name == daemon), None)


_MANAGER = DaemonManager()


def get_daemon_manager() -> DaemonManager:
    """This process's daemons."""
    return _MANAGER
