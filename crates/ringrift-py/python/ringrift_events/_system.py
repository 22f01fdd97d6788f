"""The event system of this process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, Literal, NamedTuple, TypeVar

from . import _handlers, _loops, _native, _watch  # noqa: F401  (registers the sampler)
from ._context import CURRENT
from ._errors import Closed, Forked, HandlerRefused, LoopEnded, NameTaken, SubscriptionRefused
from ._event import Event
from ._filters import Where, to_text
from ._forks import Lock
from ._handlers import HandlerFunction
from ._operations import Operations
from ._payload import to_bytes
from ._publishing import Publishing, Receipt
from ._subscription import Expectation, Subscription

TypeName = str | Enum
Seconds = float | timedelta
Run = Literal["auto", "loop", "thread"]
By = Literal["all", "code", "type", "subscription", "process"]
Function = TypeVar("Function", bound=Callable[..., object])

LOOP_HELD_SECONDS = 0.5
"""How long a loop may be held: half of what people notice, so that a report comes within a second."""

_OPEN: set[EventSystem] = set()
_EXIT_LOOP_SECONDS = 1.0
"""How long the interpreter's exit waits for the package's own loop."""


def _seconds(length: Seconds | None) -> float | None:
    return length.total_seconds() if isinstance(length, timedelta) else length


def _name_of(event_type: TypeName) -> str:
    return str(event_type.value) if isinstance(event_type, Enum) else event_type


class _Standing(NamedTuple):
    """A handler that was subscribed, under its subscription's name."""

    subscription: Subscription
    number: int
    types: frozenset[str]


class EventSystem:
    """Publishes, subscribes and answers questions, for this process.

    Open it with ``EventSystem.open(home)``, as a context manager of either kind.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None,
        settings: Mapping[str, object],
        loop_held: Seconds = LOOP_HELD_SECONDS,
    ) -> None:
        """Use ``EventSystem.open``."""
        self._loop_held = _seconds(loop_held) or 0.0
        self._home = None if home is None else os.fspath(home)
        self._settings = [f"{name}={value}" for name, value in settings.items()]
        self._opened: _native.Core | None = None
        self._closed = False
        self._lock = Lock()
        self._by_name: dict[str, _Standing] = {}
        self._expectations = itertools.count(1)
        self._pid: int | None = None

    @classmethod
    def open(
        cls,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        loop_held: Seconds = LOOP_HELD_SECONDS,
    ) -> EventSystem:
        """Opens the system of a home, which is made if there is none.

        Without ``home``: ``$RINGRIFT_HOME``, else the nearest folder upwards that holds
        ``ringrift.toml``, else the current folder. ``settings`` are those of ``ringrift config show``.

        A loop with handlers that does not turn for ``loop_held`` is reported with the handler, the
        event and the line that hold it; 0 switches that off.

        Where a loop runs, opening waits for ``async with`` or for the first use, so that it need
        not hold the loop; elsewhere it is done when this returns.
        """
        system = cls(home, settings or {}, loop_held)
        if not _loops.is_running():
            system._core()
        return system

    def _core(self) -> _native.Core:
        core = self._opened
        if core is not None and not self._closed:
            return core
        with self._lock:
            if self._closed:
                raise Closed("this system was closed; open another one")
            if self._opened is None:
                self._opened = self._open()
                self._pid = os.getpid()
                _OPEN.add(self)
            return self._opened

    def _open(self) -> _native.Core:
        return _native.Core.open(self._home, self._settings, self._loop_held)

    def _refuse_fork(self, attempted: str) -> None:
        # Before anything of the parent's is looked at: what stands there does not stand here.
        if self._pid is not None and self._pid != os.getpid():
            raise Forked(f"this system was opened before fork(); {attempted} was refused")

    def __enter__(self) -> EventSystem:
        self._core()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> EventSystem:
        await asyncio.get_running_loop().run_in_executor(None, self._core)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def close(self, grace: Seconds | None = None) -> None:
        """Ends the system in this process. May be repeated.

        What runs has ``grace`` to finish (``process.shutdown_grace``), the rest is handed back. On a
        thread that runs a loop use ``aclose()``: here the loop's own handlers could not finish and are
        cancelled at once.
        """
        if grace is None and _loops.is_running():
            grace = 0.0
        self._close(_seconds(grace))

    async def aclose(self, grace: Seconds | None = None) -> None:
        """The same without blocking the loop, whose handlers may finish meanwhile."""
        await asyncio.get_running_loop().run_in_executor(None, self._close, _seconds(grace))

    def _close(self, grace: float | None) -> None:
        with self._lock:
            self._closed = True
            core = self._opened
        if core is None or self not in _OPEN:
            return
        try:
            core.close(grace)
        finally:
            _OPEN.discard(self)
            for standing in self._by_name.values():
                _handlers.remove(standing.number)
            self._by_name.clear()

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed. To a forked child its parent's is not open."""
        return self._opened is not None and not self._closed and self._pid == os.getpid()

    @property
    def home(self) -> str:
        """The home's folder, by its real path."""
        return self._core().home

    @property
    def process(self) -> str:
        """The id of this process in the store."""
        return self._core().process

    @property
    def operations(self) -> Operations:
        """What a program does to its own process: daemons, audit, log levels, bridge rules."""
        return Operations(self._core)

    # Publishing.

    def publish(
        self,
        type: TypeName,
        payload: object = None,
        *,
        source: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Publishing:
        """Publishes one event. It takes effect at the call, from any thread, with or without a loop.

        What it returns may be awaited for the receipt, or forgotten. The receipt waits for this
        process's live handlers of the event, at most ``publish.wait`` (5 s) or as many seconds as
        ``wait`` says; ``wait=False``, and any publish inside a handler, has it at the commit.

        Raises:
            RingriftError: what is refused, before anything happened.
        """
        given = self._given(
            (_name_of(type), payload, source, key, idempotency_key, id), wait, sys._getframe(stacklevel)
        )
        return Publishing(self._core().publish(given))

    def publish_sync(
        self,
        type: TypeName,
        payload: object = None,
        *,
        source: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
        id: str | None = None,
        wait: bool | float = True,
        stacklevel: int = 1,
    ) -> Receipt:
        """The same, blocking this thread for room and for the receipt.

        On a thread that runs a loop it returns at the commit: the loop's handlers could not run.
        """
        if _loops.is_running():
            wait = False
        given = self._given(
            (_name_of(type), payload, source, key, idempotency_key, id), wait, sys._getframe(stacklevel)
        )
        return Publishing(self._core().publish_blocking(given)).wait()

    @staticmethod
    def _given(
        words: tuple[str, object, str | None, str | None, str | None, str | None],
        wait: bool | float,
        frame: FrameType,
    ) -> _native.Given:
        name, payload, source, key, idempotency_key, id = words
        place = CURRENT.get()
        context = None if place is None else (place.trace_id, place.parent, place.depth)
        if wait is False or (place is not None and place.parent is not None):
            seconds = None
        else:
            seconds = -1.0 if wait is True else float(wait)
        return (
            name,
            to_bytes(payload),
            source,
            key,
            idempotency_key,
            id,
            context,
            seconds,
            frame.f_code.co_filename,
            frame.f_lineno,
        )

    # Subscribing.

    def on(
        self,
        *types: TypeName,
        durable: str | None = None,
        name: str | None = None,
        where: Where | None = None,
        timeout: Seconds | None = None,
        slow: Seconds | None = None,
        dedup: str | Iterable[str] | None = None,
        dedup_ttl: Seconds | None = None,
        concurrency: int | None = None,
        rate: tuple[int, Seconds] | None = None,
        attempts: int | None = None,
        start: Literal["now", "beginning"] | int | None = None,
        ordered_by: Literal["key"] | None = None,
        replace: bool = False,
        stage: TypeName | None = None,
        run: Run = "auto",
    ) -> Callable[[Function], Function]:
        """Subscribes the function below it: see ``subscribe``."""

        def subscribed(function: Function) -> Function:
            self.subscribe(
                types,
                function,
                durable=durable,
                name=name,
                where=where,
                timeout=timeout,
                slow=slow,
                dedup=dedup,
                dedup_ttl=dedup_ttl,
                concurrency=concurrency,
                rate=rate,
                attempts=attempts,
                start=start,
                ordered_by=ordered_by,
                replace=replace,
                stage=stage,
                run=run,
            )
            return function

        return subscribed

    def subscribe(
        self,
        types: TypeName | Iterable[TypeName],
        function: Callable[..., object],
        *,
        durable: str | None = None,
        name: str | None = None,
        where: Where | None = None,
        timeout: Seconds | None = None,
        slow: Seconds | None = None,
        dedup: str | Iterable[str] | None = None,
        dedup_ttl: Seconds | None = None,
        concurrency: int | None = None,
        rate: tuple[int, Seconds] | None = None,
        attempts: int | None = None,
        start: Literal["now", "beginning"] | int | None = None,
        ordered_by: Literal["key"] | None = None,
        replace: bool = False,
        stage: TypeName | None = None,
        run: Run = "auto",
    ) -> Subscription:
        """Subscribes a function of one event, async or plain. Blocks for one transaction.

        ``durable`` names a subscription that outlives this process and is shared by all that
        subscribe under the name; without it the subscription lives in this process alone.
        ``where`` filters, ``timeout`` limits a run, ``dedup`` names the payload fields that make
        the same again.

        With ``run="auto"`` an async function runs on the loop that runs here, or on the package's own
        if none does; a plain one always on a thread. ``"loop"`` insists on this thread's loop;
        ``"thread"`` keeps an async function off it.

        Subscribing the same function to the same types again returns what stands.

        Raises:
            HandlerRefused: the function cannot be called with one event.
            RingriftError: what the library refuses; nothing was subscribed.
        """
        self._refuse_fork("subscribe")
        _handlers.check(function)
        side = self._side_for(function, run)
        names = [types] if isinstance(types, (str, Enum)) else list(types)
        asked: _native.Asked = {
            "name": "",
            "types": [_name_of(one) for one in names],
            "stage": None if stage is None else _name_of(stage),
            "durable": durable is not None,
            "filter": to_text(where),
            "start": f"after:{start}" if isinstance(start, int) else start,
            "ordered_by_key": ordered_by == "key",
            "replace": replace,
            "timeout": _seconds(timeout),
            "slow": _seconds(slow),
            "concurrency": concurrency,
            "rate": None if rate is None else (rate[0], _seconds(rate[1]) or 0.0),
            "dedup": [dedup] if isinstance(dedup, str) else (None if dedup is None else list(dedup)),
            "dedup_ttl": _seconds(dedup_ttl),
            "attempts": attempts,
        }
        core = self._core()
        with self._lock:
            stands = self._name(asked, function, durable or name)
            return stands if stands is not None else self._subscribe(core, asked, function, side)

    @staticmethod
    def _side_for(function: Callable[..., object], run: Run) -> _loops.LoopSide | None:
        if not _handlers.is_async(function):
            if run == "loop":
                raise HandlerRefused(
                    f"{_handlers.describe(function)} is a plain function, which never runs on a loop; "
                    'make it async, or leave run="loop" out'
                )
            return None
        here = None if run == "thread" else _loops.running()
        if here is None and run == "loop":
            raise LoopEnded(
                f'{_handlers.describe(function)} is to run on this thread\'s loop (run="loop"), but none runs'
            )
        return here if here is not None else _loops.own()

    def _name(
        self, asked: _native.Asked, function: Callable[..., object], given: str | None
    ) -> Subscription | None:
        """Finds the subscription's name, or the subscription that stands under it."""
        # Of one function, the first subscription has its plain name, others that of their types too.
        plain = given if given is not None else _handlers.describe(function)
        types = frozenset(asked["types"])
        longer = f"{plain}:{'/'.join(sorted(types))}"
        for name in [plain] if given is not None else [plain, longer]:
            standing = self._by_name.get(name)
            if standing is not None and not standing.subscription.is_active:
                # Its loop has ended, and with it the subscription: what remains is taken away.
                standing.subscription.unsubscribe(0.0)
                standing = None
            if standing is None:
                asked["name"] = name
                return None
            if standing.subscription.function != function:
                raise NameTaken(
                    f"the name {name} belongs to another handler of this process; give this one a name "
                    "of its own (name=…)",
                    value=name,
                )
            if standing.types == types:
                return standing.subscription
        raise SubscriptionRefused(
            f"{plain} is subscribed to other types already; unsubscribe it first, or give a name",
            value=plain,
        )

    def _subscribe(
        self,
        core: _native.Core,
        asked: _native.Asked,
        function: Callable[..., object],
        side: _loops.LoopSide | None,
    ) -> Subscription:
        number = _handlers.add(_handlers.Handler(self._runs(asked["name"], function)))
        try:
            native = core.subscribe(None if side is None else side.bell, number, asked)
        except BaseException:
            _handlers.remove(number)
            raise
        subscription = Subscription(native, function, side, self._ended)
        self._by_name[asked["name"]] = _Standing(subscription, number, frozenset(asked["types"]))
        return subscription

    def _runs(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """What is called for the events of a subscription: the function itself."""
        return function

    def _ended(self, subscription: Subscription) -> None:
        with self._lock:
            standing = self._by_name.get(subscription.name)
            if standing is not None and standing.subscription is subscription:
                del self._by_name[subscription.name]
                _handlers.remove(standing.number)

    def subscriptions_here(self) -> list[Subscription]:
        """The handlers that this program has subscribed and not unsubscribed."""
        with self._lock:
            all_here = [standing.subscription for standing in self._by_name.values()]
        return [one for one in all_here if one.is_active]

    def expect(
        self, *types: TypeName, where: Where | None = None, timeout: Seconds = 60.0
    ) -> Expectation:
        """Waits for the next event of these types; it and ``timeout`` count from this call.

        Await what it returns; on a thread without a loop, ``wait()`` on it.

        Raises:
            ExpectTimeout: none came in time.
        """
        self._refuse_fork("expect")
        core = self._core()
        names = [_name_of(one) for one in types]
        asked: _native.Asked = {
            "name": f"expect:{os.getpid()}:{next(self._expectations)}",
            "types": names,
            "stage": None,
            "durable": False,
            "filter": to_text(where),
            "start": None,
            "ordered_by_key": False,
            "replace": False,
            "timeout": None,
            "slow": None,
            "concurrency": None,
            "rate": None,
            "dedup": None,
            "dedup_ttl": None,
            "attempts": None,
        }
        return Expectation(
            " or ".join(names),
            _seconds(timeout) or 0.0,
            lambda side, number: core.tell(side.bell, number, asked),
        )

    # Questions. Each blocks for a few reads; on a loop, ask by `asyncio.to_thread`.

    def explain(self, event: str) -> dict[str, Any]:
        """What became of one event: its id or the first digits, its number, or its idempotency key."""
        return _object(self._core().explain(event))

    def why_not(
        self,
        subscription: str,
        type: TypeName | None = None,
        *,
        key: str | None = None,
        since: Seconds = 3600.0,
    ) -> dict[str, Any]:
        """Why a handler is silent, looking ``since`` back."""
        name = None if type is None else _name_of(type)
        return _object(self._core().why_not(subscription, name, key, _seconds(since) or 0.0))

    def route(self, type: TypeName, payload: object = None, *, key: str | None = None) -> dict[str, Any]:
        """Who would get an event, and why others would not. Publishes nothing."""
        return _object(self._core().route(_name_of(type), to_bytes(payload), key))

    def tree(self, event: str) -> dict[str, Any]:
        """What led to an event and what it led to, across processes."""
        return _object(self._core().tree(event))

    def doctor(self, since: Seconds = 3600.0) -> dict[str, Any]:
        """What is wrong with the whole home, worst first."""
        return _object(self._core().doctor(_seconds(since) or 0.0))

    def health(self) -> dict[str, Any]:
        """How well the system is, over every live process of the home."""
        return _object(self._core().health())

    def stats(self, since: Seconds = 3600.0, *, slots: int = 1, by: By = "all") -> dict[str, Any]:
        """Throughput, failures, depth and lag of the home, and this process's counters."""
        return _object(self._core().stats(_seconds(since) or 0.0, slots, by))

    def subscriptions(self) -> list[dict[str, Any]]:
        """Every subscription of the home that stands, of any process."""
        return _objects(self._core().subscriptions())

    def count_pending(self) -> int:
        """How many events of the log are owed to somebody."""
        return int(self._core().count_pending())

    def dead_letters(
        self,
        *,
        handler: str | None = None,
        event: str | None = None,
        states: Iterable[str] = (),
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """What failed and has not recovered, newest first."""
        return _objects(self._core().dead_letters(handler, event, list(states), limit))

    def retry_dead_letters(self, ids: Iterable[int], *, by: str = "python") -> int:
        """Makes dead letters due at once with a fresh budget; says how many changed."""
        return int(self._core().act_on_letters("retry", list(ids), by))

    def discard_dead_letters(self, ids: Iterable[int], *, by: str = "python") -> int:
        """Gives dead letters up; says how many changed."""
        return int(self._core().act_on_letters("discard", list(ids), by))

    def type_of(self, name: TypeName) -> str:
        """The canonical value of a type's name.

        Raises:
            TypeRefused: it is unknown; the message names the nearest.
        """
        return self._core().type_of(_name_of(name))

    def types(self) -> dict[str, bool]:
        """Every known type, and whether it leaves its process."""
        return dict(self._core().types())

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._opened else "not opened yet"
        return f"<EventSystem {self._home or 'of the default home'}, {state}>"


def _object(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    return answer


def _objects(text: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(text)
    return answer


def _at_exit() -> None:
    """Whoever forgot to close: before the interpreter goes, while threads may still have its lock."""
    if not _OPEN:
        return
    _loops.abandon_stopped()
    for system in list(_OPEN):
        with contextlib.suppress(Exception):
            system._close(None)
    _loops.end_own(_EXIT_LOOP_SECONDS)


def _in_child() -> None:
    """A forked child: its parent's systems refuse it by themselves; it has nothing to end."""
    _OPEN.clear()
    _loops.forget_all()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
