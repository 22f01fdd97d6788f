"""Which types go to the queue between processes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from ringrift_events import EventSystem, TypeRefused

from . import _process
from .event_router import get_router

__all__ = ["DATA_TO_CROSS_PROCESS_MAP", "get_cross_process_event_type"]


class _BridgeMap(MutableMapping[str, str]):
    """The types that leave their process, each under its canonical value.

    Setting an entry bridges a type for this process from now on, deleting one ends that. An event has
    the same name everywhere, so key and value must mean the same type.
    """

    @staticmethod
    def _events() -> EventSystem:
        return get_router().events

    def _bridged(self) -> list[str]:
        return [name for name, bridged in self._events().types().items() if bridged]

    def _change(self, name: str, bridged: bool) -> None:
        self._events().operations.set_bridged(name, bridged)
        _process.BRIDGED[name] = bridged

    def __getitem__(self, key: str) -> str:
        try:
            name = self._events().type_of(key)
        except TypeRefused:
            raise KeyError(key) from None
        if not self._events().types()[name]:
            raise KeyError(key)
        return name

    def __setitem__(self, key: str, value: str) -> None:
        name = self._events().type_of(key)
        if self._events().type_of(value) != name:
            raise ValueError(
                f"{key} cannot be called {value} between processes: an event keeps its name everywhere"
            )
        self._change(name, True)

    def __delitem__(self, key: str) -> None:
        self._change(self[key], False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bridged())

    def __len__(self) -> int:
        return len(self._bridged())

    def __repr__(self) -> str:
        return f"DATA_TO_CROSS_PROCESS_MAP({len(self)} types)"


DATA_TO_CROSS_PROCESS_MAP: MutableMapping[str, str] = _BridgeMap()


def get_cross_process_event_type(event_type: str) -> str | None:
    """The name of a type between processes, if it leaves its process."""
    return DATA_TO_CROSS_PROCESS_MAP.get(event_type)
