"""docs/reference/catalog.md, printed from the catalog: every device and model with its numbers and their sources."""

from __future__ import annotations

from dataclasses import fields

from launcher.catalog.devices import DEVICES
from launcher.catalog.models import PRESETS, Preset
from launcher.reporting.columns import WIDTH, table, wrapped
from launcher.spec.catalog import NUMBERS, Device, Peaks

__all__ = ["catalog_reference", "device_lines", "model_lines"]

_HEAD = """# Catalog

Names that `cluster.device` and `model.preset` take. Rows of your own come beside these:
[add a device](../how-to/add-a-device.md). Both lists are printed from the code.

Peaks are dense, without the 2:4 sparsity that data sheets often count with, and with fp32 accumulation; bandwidths are
10**9 bytes per second, links and PCIe in one direction. What torch can use is less than what is sold: the driver, ECC
and the card's own firmware take their part. A number that has no source is not there; `recalled` marks what was written
from memory of a document and not looked up in it again.
"""
_DEVICE_HEADER = (
    "device",
    "memory GiB",
    "usable",
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    "fp8",
    "memory GB/s",
    "links",
    "PCIe",
    "SMs",
)
_MODEL_HEADER = ("model", "kind", "parameters", "hidden", "layers", "heads", "source")
_NAMES = {
    "memory_gib": "memory",
    "usable_gib": "usable memory",
    "dense_tflops": "peaks",
    "memory_gb_per_second": "memory bandwidth",
    "link_gb_per_second": "links",
    "pcie_gb_per_second": "PCIe",
    "multiprocessors": "multiprocessors",
}


def catalog_reference() -> str:
    """The page as Markdown."""
    devices = [_row(_device_cells(device)) for device in DEVICES.values()]
    sources = [line for device in DEVICES.values() for line in _sources(device)]
    models = [_row(_model_cells(name, preset)) for name, preset in PRESETS.items()]
    return "\n".join(
        [
            _HEAD,
            "## Devices\n",
            *_header(_DEVICE_HEADER),
            *devices,
            "\nPeaks in TFLOPS.\n",
            "## Sources of the devices' numbers\n",
            *sources,
            "\n## Models\n",
            "Parameters are those of the published weights; the planner's formulas give each of them.\n",
            *_header(_MODEL_HEADER),
            *models,
            "",
        ]
    )


def device_lines(device: Device) -> list[str]:
    """One device for people: each number with where it comes from, in lines of at most 100 characters."""
    rows = [
        (number, _peaks(value) if isinstance(value, Peaks) else f"{value:g}", device.source_of(number))
        for number in NUMBERS
        if (value := getattr(device, number)) not in {None, Peaks()}
    ]
    head = (
        f"{device.name}: a device of the catalog ({device.kind}{'' if device.has_bf16 else ', without bf16'})"
    )
    return [head, "", *(table(("number", "value", "source"), rows) if rows else [device.source])]


def model_lines(name: str, preset: Preset) -> list[str]:
    """One model for people: what its name stands for in a recipe."""
    count = "" if preset.num_parameters is None else f", {preset.num_parameters:,} parameters"
    keys = {
        "hidden_size": preset.hidden_size,
        **{f"model.{key}": value for key, value in preset.model.items()},
    }
    rows = [
        (key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in keys.items()
    ]
    return [
        *wrapped(f"{name}: a model of the catalog{count}; {preset.source}", width=WIDTH),
        "",
        *table(("key", "value"), [row for row in rows if row[1] != "None"]),
    ]


def _peaks(peaks: Peaks) -> str:
    values = {item.name: getattr(peaks, item.name) for item in fields(peaks)}
    return ", ".join(f"{name} {value:g}" for name, value in values.items() if value is not None)


def _device_cells(device: Device) -> list[str]:
    peaks = device.dense_tflops
    return [
        f"`{device.name}`",
        *map(_number, (device.memory_gib, device.usable_gib)),
        *map(_number, (peaks.fp32, peaks.tf32, peaks.fp16, peaks.bf16, peaks.fp8)),
        *map(_number, (device.memory_gb_per_second, device.link_gb_per_second, device.pcie_gb_per_second)),
        _number(device.multiprocessors),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _sources(device: Device) -> list[str]:
    """The document of a device, then what of its numbers comes from elsewhere."""
    others = [f"{_NAMES[number]}: {source}" for number, source in device.sources.items()]
    return [f"- `{device.name}`: {device.source}", *(f"  - {line}" for line in others)]


def _model_cells(name: str, preset: Preset) -> list[str]:
    model = preset.model
    return [
        f"`{name}`",
        str(model.get("kind", "decoder")),
        "" if preset.num_parameters is None else f"{preset.num_parameters:,}",
        "" if preset.hidden_size is None else f"{preset.hidden_size:,}",
        str(model.get("num_layers", model.get("depth", ""))),
        str(model.get("num_attention_heads", "")),
        preset.source,
    ]


def _header(names: tuple[str, ...]) -> list[str]:
    return [_row(list(names)), _row(["---"] * len(names))]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
