"""Devices by catalog name, read from devices.json: memory, dense peaks, bandwidths, each number with its source.

Peaks are dense, without 2:4 sparsity: makers' sheets often print twice as much. A number without a source is None.
The file has the form of a user's own `catalog/devices.yaml`, see launcher.spec.catalog.Device.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from launcher.spec.catalog import Device, Peaks

__all__ = ["DEVICES", "SHIPPED", "devices_with"]

SHIPPED = Path(__file__).parent / "devices.json"
"""The file itself."""


def _row(name: str, written: Mapping[str, Any]) -> Device:
    return Device(**{**written, "name": name, "dense_tflops": Peaks(**written.get("dense_tflops", {}))})


_FILE = json.loads(SHIPPED.read_text(encoding="utf-8"))

DEVICES: Mapping[str, Device] = {name: _row(name, written) for name, written in _FILE["devices"].items()}
"""Every device that any recipe may name."""


def devices_with(own: Iterable[Device]) -> Mapping[str, Device]:
    """Devices that a recipe may name: shipped ones, and a user's own by their names and by their drivers' names."""
    rows = tuple(own)
    return {
        **DEVICES,
        **{row.driver_name: row for row in rows if row.driver_name is not None},
        **{row.name: row for row in rows},
    }
