"""Where a value comes from."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Mark", "Origin", "OriginName"]

OriginName = Literal["default", "recipe", "cluster", "command-line", "derived", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Place of one written value; line and column are 1-based, of the value (of the key in `key_*`)."""

    origin: OriginName
    file: str = ""
    line: int = 0
    column: int = 0
    key_line: int = 0
    key_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a number of the plan comes from; `formula` when it was derived, with its numbers."""

    origin: OriginName
    formula: str = ""
    file: str = ""
