"""What a failed assertion about deliveries tells: what became of the event instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native
from ._errors import RingriftError
from ._event import Event

if TYPE_CHECKING:
    from ._rehearsal import Rehearsal

_EVENTS_MAX = 5
"""Of so many events the story is told: the newest, and who reads more finds less."""


class Asked(NamedTuple):
    """What an assertion is about: an event or a type, handlers, a filter."""

    event: str | None
    type: str | None
    to: frozenset[str] | None
    where: str | None

    def holds(self, event: Event) -> bool:
        """Whether an event is meant."""
        if self.event is not None and event.id != self.event:
            return False
        if self.type is not None and event.type != self.type:
            return False
        return self.where is None or _native.holds(self.where, event.payload_bytes)

    def __str__(self) -> str:
        words = [self.event or self.type or ""]
        if self.to is not None:
            words.append(f"to {' or '.join(sorted(self.to))}")
        if self.where is not None:
            words.append(f"where {self.where}")
        return " ".join(words)


def delivered(system: Rehearsal, asked: Asked, found: list[tuple[str, Event]]) -> str:
    """What came although it should not have."""
    told = [
        tell(system, event.id, {name}) + _payload(event) for name, event in found[-_EVENTS_MAX:]
    ]
    return _join(f"{asked} was delivered", told, len(found))


def undelivered(system: Rehearsal, asked: Asked, events: list[tuple[str, str]]) -> str:
    """What became of what should have come."""
    if asked.event is None:
        types = sorted({type_ for _, type_ in events})
        events = [one for one in events if one[1] == asked.type]
        if not events:
            said = f"published were: {', '.join(types)}" if types else "nothing was published"
            return f"{asked} was not delivered: no {asked.type} was published; {said}"
    told = [tell(system, event, asked.to) for event, _ in events[-_EVENTS_MAX:]]
    return _join(f"{asked} was not delivered", told, len(events))


def _join(first: str, told: list[str], count: int) -> str:
    more = f"\n(the newest {len(told)} of {count})" if len(told) < count else ""
    return "\n\n".join([first, *told]) + more


def _payload(event: Event) -> str:
    return f"\n  payload {event.payload_bytes.decode(errors='replace')[:500]}"


def tell(system: Rehearsal, event: str, to: Iterable[str] | None) -> str:
    """The explanation of one event, as text: of these handlers, or of all that name its type."""
    try:
        answer = system.explain(event)
    except RingriftError as error:
        return f"event {event}: {error}"
    lines = [_headline(answer["event"])]
    deliveries: list[dict[str, Any]] = answer["deliveries"]
    if to is None:
        if answer["nobody"] is not None:
            lines += _verdict(answer["nobody"])
    else:
        names = set(to)
        deliveries = [one for one in deliveries + answer["others"] if one["subscription"] in names]
        missing = names - {one["subscription"] for one in deliveries}
        lines += [f"  {name}: no record tells of it" for name in sorted(missing)]
    for one in deliveries:
        lines += _verdict(one)
    return "\n".join(lines)


def _headline(event: dict[str, Any]) -> str:
    number = "" if event["seq"] is None else f" (event {event['seq']})"
    at = event["published_at"] or "at an unknown time"
    site = f" from {event['call_site']}" if event["call_site"] else ""
    return f"{event['type'] or 'event'} {event['id']}{number}, published {at}{site}"


def _verdict(verdict: dict[str, Any]) -> list[str]:
    who = f" {verdict['subscription']}" if "subscription" in verdict else ""
    lines = [f"  {verdict['code']}{who}: {verdict['sentence']}"]
    if verdict["actual"]:
        lines += [f"      {line}" for line in str(verdict["actual"]).splitlines()]
    if verdict["expected"]:
        lines.append(f"      expected: {verdict['expected']}")
    lines += [f"      {one['at']} {one['code']}" for one in verdict.get("history", [])]
    return lines
