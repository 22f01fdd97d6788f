"""A publish on its way, and its receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, NamedTuple

from . import _native
from ._errors import ExpectTimeout
from ._loops import side_of


class Receipt(NamedTuple):
    """The answer to a publish, after its commit."""

    id: str
    """The event's id."""
    seq: int | None
    """Its place in the log; ``None`` for a volatile event."""
    bridged: bool
    """Whether it left this process."""
    duplicate_of: str | None
    """The original, if this was a duplicate; nothing was appended then."""
    matched: list[str]
    """The live subscriptions of this process that got it."""
    skipped: list[tuple[str, str]]
    """Those that name its type and did not get it, and why."""
    missing: list[str]
    """Required fields that the payload lacks, where the type's policy is to warn."""
    running: list[str]
    """Handlers that had not ended when the wait for them did."""


class Publishing:
    """A publish that has taken effect. Awaiting it, or ``wait()``, only waits for the receipt.

    Forgetting it loses nothing. It may be awaited any number of times, on any loop.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Publishing) -> None:
        self._native = native

    @property
    def id(self) -> str:
        """The event's id, known before the commit."""
        return self._native.id

    def __await__(self) -> Generator[Any, None, Receipt]:
        return self._receipt().__await__()

    async def _receipt(self) -> Receipt:
        loop = asyncio.get_running_loop()
        side = side_of(loop)
        while True:
            ready = loop.create_future()

            def told(_: object, ready: asyncio.Future[None] = ready) -> None:
                if not ready.done():
                    ready.set_result(None)

            number = side.wait(told)
            try:
                if self._native.ended_or_tell(side.bell, number):
                    return self._result()
                await ready
            finally:
                side.forget(number)

    def wait(self, timeout: float | None = None) -> Receipt:
        """Waits on this thread, at most ``timeout`` seconds.

        Raises:
            ExpectTimeout: it has not ended by then; it goes on.
        """
        if not self._native.wait(timeout):
            raise ExpectTimeout(
                f"event {self.id} has no receipt after {timeout} s; it goes on",
                retryable=True,
                may_have_applied=True,
            )
        return self._result()

    def _result(self) -> Receipt:
        parts = self._native.result()
        assert parts is not None
        return Receipt(*parts)

    def __repr__(self) -> str:
        return f"<Publishing {self.id}>"
