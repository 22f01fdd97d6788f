"""Enumerations whose members are texts."""

from enum import Enum


class NamedText(str, Enum):
    """A text equal to its value; the constant's name means it too."""

    __str__ = str.__str__

    def __format__(self, format_spec: str) -> str:
        return format(self.value, format_spec)

    @classmethod
    def _missing_(cls, value: object) -> "NamedText | None":
        return cls.__members__.get(value) if isinstance(value, str) else None
