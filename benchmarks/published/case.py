"""One published row as the memory model sees it: what every source's mapping module returns.

A source is `<name>.csv` (figures as published, each with its citation) and `<name>.py` beside it with

    def map_row(row: Mapping[str, str]) -> Case | str

which returns a Case, or the name of a reason in accuracy.py: REASONS for leaving the row out; any other name counts as
an error of 100 %. A module may set `TUNED = True` (batches were chosen to fill the card: outside the targets).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Literal

from launcher.catalog.devices import DEVICES
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Layout, Setting

__all__ = ["GB", "GIB", "MIB", "Case", "Outcome", "Quantity", "number", "usable_bytes", "whole"]

GIB = 2**30
MIB = 2**20
GB = 10**9

Quantity = Literal["allocated", "reserved", "device"]
Outcome = Literal["ran", "oom"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was trained, what was measured and whether it ran."""

    network: Network
    setting: Setting
    quantity: Quantity | None = None
    """What `measured` is: torch's max_memory_allocated, what its allocator held, or the whole device."""
    measured: float | None = None
    """Bytes on one device."""
    outcome: Outcome | None = None
    """None: the row says nothing about it."""
    device: str | None = None
    """Name in the catalog; None with usable_bytes for devices it has not."""
    usable_bytes: int | None = None
    """What the driver leaves, where it is not the catalog's."""
    known: bool = False
    """Whether the implementation is known (its ledger is in the catalog): allocated figures count for the target."""
    stage: int | None = None
    """Pipeline stage that was measured (-1: the last); None: the rank that needs most."""
    calibration: bool = False
    """Whether a constant of the model was set with this row: printed apart, never counted."""


def in_calibration_half(case: Case) -> bool:
    """Whether a row of a source that calibrates a constant is in the half that does: by a hash of its layout.

    Fields at their defaults are left out, so that a field more does not deal the rows again.
    """
    how = case.setting
    key = (
        _said(case.network),
        _said(how.layout),
        how.micro_batch_size,
        how.sequence_length,
        how.checkpointing,
        how.attention,
    )
    return hashlib.sha256(repr(key).encode()).digest()[0] % 2 == 0


def _said(record: Network | Layout) -> list[tuple[str, object]]:
    given = ((field.name, getattr(record, field.name), field.default) for field in fields(record))
    return sorted((name, value) for name, value, default in given if value != default)


def number(text: str | None) -> float | None:
    """A cell as a number; None where it is empty or prose."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def whole(text: str | None, default: int = 0) -> int:
    """A cell as a whole number."""
    found = number(text)
    return default if found is None else int(found)


def usable_bytes(case: Case) -> int | None:
    """Bytes that a job finds on the device of a case."""
    if case.usable_bytes is not None:
        return case.usable_bytes
    if case.device is None:
        return None
    device = DEVICES[case.device]
    gib = device.usable_gib or device.memory_gib
    return None if gib is None else int(gib * GIB)
