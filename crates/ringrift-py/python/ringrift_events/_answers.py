"""What a handler may answer beside returning (done) and raising (failed, the retry policy decides).

Each may be returned or raised.
"""

from __future__ import annotations

from datetime import datetime, timedelta


class Answer(Exception):
    """The base of a handler's answers."""


class Skip(Answer):
    """The event does not concern this handler; operators read the reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Duplicate(Answer):
    """By keys that the handler keeps itself, it has handled the same before, for ``original``.

    With ``dedup=`` at the subscription the library keeps the keys, and a handler needs none of this.
    """

    def __init__(self, original: str, key: str, *, until: datetime) -> None:
        super().__init__(f"{key} was handled for event {original}")
        self.original = original
        self.key = key
        self.until = until


class Retry(Answer):
    """The event is to be tried again after this long. Counts as a failed attempt."""

    def __init__(self, reason: str = "", *, after: float | timedelta = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after.total_seconds() if isinstance(after, timedelta) else float(after)


class Dead(Answer):
    """The event can never succeed here: its dead letter is dead at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
