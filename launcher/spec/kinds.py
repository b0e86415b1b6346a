"""The kinds of value a recipe key may take, as annotations that the reader, the JSON Schema and the reference share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from launcher.units import Amount

__all__ = [
    "Below1",
    "Count",
    "CountAmount",
    "Duration",
    "Factor",
    "FreeMapping",
    "HasUnit",
    "LengthAmount",
    "NonNegative",
    "NonNegativeInteger",
    "OrWritten",
    "Positive",
    "RampAmount",
    "Range",
    "Rate",
    "Share",
    "ShareAmount",
    "Size",
    "Text",
    "TextMapping",
    "VariableName",
]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number; `low_open` excludes the lower bound, `high_open` the upper one."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class HasUnit:
    """An Amount of one kind of launcher.units.amounts.KINDS; `bare` allows a plain number, `zero` nothing at all."""

    kind: str
    bare: bool = False
    zero: bool = False


@dataclass(frozen=True, slots=True)
class OrWritten:
    """Other annotations of what may be written for a value, which loading turns into it."""

    annotations: tuple[Any, ...]


# The word behind `str` names a form of launcher.spec.forms.
Text = Annotated[str, "not empty"]
VariableName = Annotated[str, "variable name"]  # WANDB_API_KEY
Count = Annotated[int, Range(low=1)]
NonNegativeInteger = Annotated[int, Range(low=0)]
Positive = Annotated[float, Range(low=0, low_open=True)]
NonNegative = Annotated[float, Range(low=0)]
Share = Annotated[float, Range(low=0, high=1)]
Factor = Annotated[float, Range(low=0, high=1, low_open=True)]
Below1 = Annotated[float, Range(low=0, high=1, high_open=True)]

CountAmount = Annotated[Amount, HasUnit("count", bare=True)]  # 300B, 8Mi, 1000
LengthAmount = Annotated[Amount, HasUnit("length")]  # 2000 steps
ShareAmount = Annotated[Amount, HasUnit("length or share", zero=True)]  # 3 %
RampAmount = Annotated[Amount, HasUnit("ramp")]
Duration = Annotated[Amount, HasUnit("duration", zero=True)]  # 60 s
Size = Annotated[Amount, HasUnit("size", zero=True)]  # 80 GiB
Rate = Annotated[Amount, HasUnit("rate")]  # 450 GB/s

FreeMapping = dict[str, Any]  # handed to another tool as it is: any YAML below
TextMapping = dict[VariableName, str]
