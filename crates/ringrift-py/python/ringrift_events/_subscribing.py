"""Subscribing functions, and waiting for single events."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Literal, NamedTuple, TypeVar

from . import _handlers, _loops, _native
from ._errors import HandlerRefused, LoopEnded, NameTaken, SubscriptionRefused
from ._filters import Where, to_text
from ._forks import Lock
from ._names import Seconds, TypeName, name_of, seconds
from ._subscription import Expectation, Subscription

Run = Literal["auto", "loop", "thread"]
Function = TypeVar("Function", bound=Callable[..., object])


class _Standing(NamedTuple):
    """A handler that was subscribed, under its subscription's name."""

    subscription: Subscription
    number: int
    types: frozenset[str]


class Subscribing:
    """The subscriptions of a system in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_name: dict[str, _Standing] = {}
        self._expectations = itertools.count(1)

    def _core(self) -> _native.Core:
        raise NotImplementedError

    def _refuse_fork(self, attempted: str) -> None:
        raise NotImplementedError

    def _forget_all(self) -> None:
        for standing in self._by_name.values():
            _handlers.remove(standing.number)
        self._by_name.clear()

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
            "types": [name_of(one) for one in names],
            "stage": None if stage is None else name_of(stage),
            "durable": durable is not None,
            "filter": to_text(where),
            "start": f"after:{start}" if isinstance(start, int) else start,
            "ordered_by_key": ordered_by == "key",
            "replace": replace,
            "timeout": seconds(timeout),
            "slow": seconds(slow),
            "concurrency": concurrency,
            "rate": None if rate is None else (rate[0], seconds(rate[1]) or 0.0),
            "dedup": [dedup] if isinstance(dedup, str) else (None if dedup is None else list(dedup)),
            "dedup_ttl": seconds(dedup_ttl),
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
        names = [name_of(one) for one in types]
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
            seconds(timeout) or 0.0,
            lambda side, number: core.tell(side.bell, number, asked),
        )
