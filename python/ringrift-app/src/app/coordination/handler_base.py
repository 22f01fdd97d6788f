"""``HandlerBase``: a class whose methods handle events, with a life cycle, dedup and statistics."""

from __future__ import annotations

import inspect
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, ClassVar, TypeVar

from ringrift_events import Answer, Event, EventSystem, Subscription
from ringrift_events._context import CURRENT
from ringrift_events._forks import Lock
from ringrift_events._handlers import is_async

from . import _process
from ._seen import MISSING, Call, Seen, SeenEvents
from ._stats import HandlerStats
from .daemon_manager import get_daemon_manager
from .event_router import get_router
from .health import HealthCheckResult

__all__ = ["HandlerBase", "HandlerStats", "Seen"]

_LOG = logging.getLogger(__name__)
_ERRORS_MAX = 100

Method = Callable[[Any], object]
_Self = TypeVar("_Self", bound="HandlerBase")

_CALL: ContextVar[Call | None] = ContextVar("ringrift_app_call", default=None)


class HandlerBase:
    """Handles events by the methods that ``_get_event_subscriptions`` names.

    ``start`` subscribes them and makes the handler a daemon of this process, ``stop`` ends that;
    both may be repeated. Each method is a subscription of its own: a slow one keeps no other waiting.
    """

    DEDUP_TTL_SECONDS: float = 300
    """How long ``_is_duplicate_event`` remembers what was handled."""

    TIMEOUT_SECONDS: float | None = None
    """How long one run may last; the configured time limit if there is none."""

    CONCURRENCY: int | None = None
    """How many runs of one method at once; the configured number (1) if there is none."""

    _instances: ClassVar[dict[type[HandlerBase], HandlerBase]] = {}

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__
        self._seen_events = SeenEvents()
        self._subscribed: list[Subscription] = []
        self._subscribed_at: EventSystem | None = None
        self._past_errors: deque[dict[str, Any]] = deque(maxlen=_ERRORS_MAX)
        self._key_fields: dict[str, tuple[str, ...] | None] = {}
        self._lock = Lock()
        self.stats = HandlerStats(lambda: [one.stats for one in self._subscribed])

    # What a subclass says.

    def _get_event_subscriptions(self) -> Mapping[Any, Method]:
        """Type to the method that handles it. A method may be async or plain."""
        return {}

    # Its life.

    @classmethod
    def get_instance(cls: type[_Self]) -> _Self:
        """The one instance of this class in this process, made if there is none."""
        with _process.LOCK:
            instance = HandlerBase._instances.get(cls)
            if instance is None:
                instance = HandlerBase._instances[cls] = cls()
            assert isinstance(instance, cls)
            return instance

    @classmethod
    def reset_instance(cls) -> None:
        """Forgets the instance; one that runs is stopped. Blocks for that."""
        with _process.LOCK:
            instance = HandlerBase._instances.pop(cls, None)
        if instance is not None:
            get_daemon_manager().forget(instance)
            for subscription in instance._leave():
                subscription.unsubscribe()

    @property
    def is_running(self) -> bool:
        """Whether it is subscribed at the router that stands."""
        events = self._subscribed_at
        if events is None or not events.is_open:
            return False
        return all(subscription.is_active for subscription in self._subscribed)

    async def start(self) -> None:
        """Subscribes its methods; async ones run on the loop that runs here."""
        with _process.LOCK:
            HandlerBase._instances.setdefault(type(self), self)
        get_daemon_manager().register(self)
        events = get_router().events
        with self._lock:
            if self.is_running and self._subscribed_at is events:
                return
            stands = self._subscribed_at is events
            for subscription in self._leave():
                if stands:
                    # Some ended with their loop: the others begin again with them.
                    subscription.unsubscribe(0.0)
            # From here on a failure undoes what was done: half a handler would look started.
            try:
                for name, method, types in self._methods():
                    self._subscribed.append(self._subscribe(events, name, method, types))
            except BaseException:
                for subscription in self._leave():
                    subscription.unsubscribe()
                raise
            self._subscribed_at = events
            self.stats.subscribed = True
            self.stats.started_at = datetime.now(timezone.utc)
        _LOG.debug("handler %s started", self.name)

    async def stop(self) -> None:
        """Ends its subscriptions: no call starts after this returns."""
        for subscription in self._leave():
            await subscription.unsubscribe_async()
        _LOG.debug("handler %s stopped", self.name)

    def _leave(self) -> list[Subscription]:
        """Takes the subscriptions away from the handler; its counts and errors stay with it."""
        with self._lock:
            ended, self._subscribed = self._subscribed, []
            self._subscribed_at = None
            self.stats.subscribed = False
            for subscription in ended:
                self.stats.keep(subscription.stats)
                self._past_errors.extend(reversed(_errors(subscription, _ERRORS_MAX)))
            return ended

    def _methods(self) -> list[tuple[str, Method, list[str]]]:
        """Each method once, under its subscription's name, with its types."""
        by_method: dict[Method, list[str]] = {}
        for event_type, method in self._get_event_subscriptions().items():
            by_method.setdefault(method, []).append(str(event_type))
        labels = Counter(_label(method) for method in by_method)
        named = []
        for method, types in by_method.items():
            label = _label(method)
            longer = label if labels[label] == 1 else f"{label}:{'/'.join(types)}"
            name = self.name if len(by_method) == 1 else f"{self.name}.{longer}"
            named.append((name, method, types))
        return named

    def _subscribe(
        self, events: EventSystem, name: str, method: Method, types: list[str]
    ) -> Subscription:
        return events.subscribe(
            types,
            self._attended(method),
            name=name,
            timeout=self.TIMEOUT_SECONDS,
            concurrency=self.CONCURRENCY,
        )

    # One run.

    def _attended(self, method: Method) -> Method:
        """The method, with what its dedup decided told to the library."""
        if is_async(method):

            async def handle(event: Event) -> object:
                call = Call(self._seen_events, event.id)
                token = _CALL.set(call)
                try:
                    answer: object = await method(event)  # type: ignore[misc]
                    return call.ended(answer, self.DEDUP_TTL_SECONDS)
                except Answer as answer:
                    call.answered(answer)
                    raise
                finally:
                    call.release()
                    _CALL.reset(token)

            return handle

        def handle_plainly(event: Event) -> object:
            call = Call(self._seen_events, event.id)
            token = _CALL.set(call)
            try:
                answer = method(event)
                # A coroutine has not run: nothing was handled, and the library refuses it.
                is_refused = inspect.iscoroutine(answer)
                return answer if is_refused else call.ended(answer, self.DEDUP_TTL_SECONDS)
            except Answer as answer:
                call.answered(answer)
                raise
            finally:
                call.release()
                _CALL.reset(token)

        return handle_plainly

    def _is_duplicate_event(
        self, event: Mapping[str, Any], key_fields: Iterable[str] | None = None
    ) -> bool:
        """Whether an event of the same type with these fields was handled within the TTL.

        The key is confirmed when the run succeeds and given back when it fails, so that a retry is no
        duplicate of itself. A field that the event lacks is named in the log, and the event is then
        no duplicate. Without ``key_fields`` it is the event itself that is known again.

        A run that was told so and ends well counts as a duplicate (``HN_DUPLICATE``).
        """
        event_type = str(event.get("event_type") or event.get("type") or "")
        fields = None if key_fields is None else tuple(key_fields)
        self._note_fields(event_type, fields)
        key = _key(event, event_type, fields)
        place = CURRENT.get()
        run = None if place is None else place.run
        if run is not None:
            # The library records what its own dedup would: `ringrift doctor` compares handlers by it.
            run.dedups_by(list(fields or ()), self.DEDUP_TTL_SECONDS)
        if isinstance(key, _Missing):
            if run is not None:
                run.lacks_field(key.field)
            _LOG.warning(
                "dedup field missing, the event is handled handler=%s type=%s field=%s",
                self.name,
                event_type,
                key.field,
            )
            return False
        call = _CALL.get()
        if call is None:
            return self._seen_events.look_and_confirm(
                key, str(event.get("id", "")), self.DEDUP_TTL_SECONDS
            )
        return call.is_duplicate(key, self.DEDUP_TTL_SECONDS)

    def _note_fields(self, event_type: str, fields: tuple[str, ...] | None) -> None:
        """Keeps the fields of each call, and says when two calls of one type disagree."""
        known = self._key_fields.setdefault(event_type, fields)
        if known != fields:
            self._key_fields[event_type] = fields
            _LOG.warning(
                "dedup fields differ between calls handler=%s type=%s before=%s now=%s",
                self.name,
                event_type,
                known,
                fields,
            )

    # What it says of itself.

    def get_recent_errors(self, limit: int = 10) -> list[dict[str, Any]]:
        """Its last errors, newest first: when, which event, what, and in which attempt."""
        with self._lock:
            now = [error for one in self._subscribed for error in _errors(one, _ERRORS_MAX)]
            errors = [*now, *self._past_errors]
        return sorted(errors, key=lambda error: error["at_us"], reverse=True)[:limit]

    def health_check(self) -> HealthCheckResult:
        """How well it is; one that fails now and then is degraded, and healthy."""
        running = self.is_running
        failed = self.stats.errors_count
        done = self.stats.success_count
        details = {**self.stats.as_dict(), "name": self.name}
        if not running:
            return HealthCheckResult(False, "stopped", f"{self.name} is not started", details)
        if failed > 0:
            message = f"{failed} of {failed + done} runs failed; last: {self.stats.last_error}"
            return HealthCheckResult(True, "degraded", message, details)
        return HealthCheckResult(True, "running", "", details)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {'running' if self.is_running else 'stopped'}>"


class _Missing:
    def __init__(self, field: str) -> None:
        self.field = field


def _key(
    event: Mapping[str, Any], event_type: str, fields: tuple[str, ...] | None
) -> str | _Missing:
    """The key of an event for a handler: its type, and the fields with their values."""
    if fields is None:
        return f"{event_type} id={event.get('id')!r}"
    payload = event.get("payload")
    parts = []
    for field in fields:
        value = _at(payload, field) if isinstance(payload, Mapping) else MISSING
        if value is MISSING:
            value = event.get(field, MISSING)
        if value is MISSING:
            return _Missing(field)
        parts.append(f"{field}={value!r}")
    return " ".join((event_type, *sorted(parts)))


def _at(payload: Mapping[str, Any], path: str) -> object:
    """A payload's value under a dotted path."""
    value: object = payload
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value


def _label(method: Method) -> str:
    return str(getattr(method, "__name__", type(method).__name__))


def _errors(subscription: Subscription, limit: int) -> list[dict[str, Any]]:
    """A subscription's errors under the names that operators know, newest first."""
    return [
        {
            **error,
            "timestamp": datetime.fromtimestamp(error["at_us"] / 1_000_000, tz=timezone.utc),
            "error": error["message"],
            "event_id": error["event"],
        }
        for error in subscription.recent_errors(limit)
    ]
