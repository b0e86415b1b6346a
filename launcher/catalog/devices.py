"""Devices by catalog name: kind, memory and dense peaks, a source beside every row.

Peaks are dense, without 2:4 sparsity: vendors' sheets often print twice as much. A number without a source is None.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["DEVICES", "Device", "DeviceKind"]

DeviceKind = Literal["cpu", "cuda", "rocm", "hpu"]

_TITAN = "torchtitan@b5bcd76c6 torchtitan/tools/utils.py:get_peak_flops"
_LIGHTNING = "pytorch-lightning@7f0c3436 src/lightning/fabric/utilities/throughput.py:_CUDA_FLOPS"
_ANALYSIS = "cli99/llm-analysis llm_analysis/gpu_configs"
_MAKER = "maker's product page, memory only"
# multiprocessors: V100 by NVIDIA's WP-08608-001 table 1; A100, H100 SXM and H200 SXM by stas00/ml-engineering@744d01e
# compute/accelerator/README.md, section on caches; B200 by its training/performance/README.md ("a B200 reads 148")


class Device(NamedTuple):
    """One device, or one die of a device that appears as several."""

    name: str
    kind: DeviceKind
    memory_gib: float | None
    """As sold."""
    usable_gib: float | None
    """Total that torch reports in out-of-memory messages, GiB = 2**30 bytes; None where nobody printed one."""
    bf16_tflops: float | None
    """Dense peak, bf16; None where the device has no bf16 or the peak has no source."""
    fp16_tflops: float | None
    """Dense peak, fp16."""
    has_bf16: bool
    source: str
    multiprocessors: int | None = None
    """Streaming multiprocessors that work off the blocks of a kernel; None where no source says so."""


_ROWS = (
    Device("cpu", "cpu", None, None, None, None, True, "no device memory of its own"),
    Device("p100-sxm-16gb", "cuda", 16, None, None, None, False, _MAKER, 56),
    Device("v100-sxm-16gb", "cuda", 16, None, None, 125, False, _LIGHTNING, 80),
    Device("v100-sxm-32gb", "cuda", 32, 31.73, None, 125, False, _LIGHTNING, 80),
    Device("t4", "cuda", 16, 14.56, None, 65, False, _LIGHTNING),
    Device("a10", "cuda", 24, 21.99, 125, 125, True, _LIGHTNING),
    # Lightning gives the A10G the A10's 125; a cloud's A10G runs at 70
    Device("a10g", "cuda", 24, 22.03, 70, 70, True, _ANALYSIS),
    Device("a100-sxm-40gb", "cuda", 40, 39.39, 312, 312, True, _TITAN, 108),
    Device("a100-sxm-80gb", "cuda", 80, 79.14, 312, 312, True, _TITAN, 108),
    Device("a100-pcie-40gb", "cuda", 40, 39.39, 312, 312, True, _TITAN, 108),
    Device("a100-pcie-80gb", "cuda", 80, 79.14, 312, 312, True, _TITAN, 108),
    Device("l4", "cuda", 24, 22.03, 121, 121, True, _ANALYSIS),
    Device("l40s", "cuda", 48, 44.39, 362, 362, True, _TITAN),
    Device("rtx-3090", "cuda", 24, 23.5, None, None, True, _MAKER),
    Device("rtx-4090", "cuda", 24, 23.5, None, None, True, _MAKER),
    Device("rtx-5090", "cuda", 32, 31.36, None, None, True, _MAKER),
    Device("titan-rtx", "cuda", 24, None, None, None, False, _MAKER),
    Device("rtx-a4000", "cuda", 16, None, None, None, True, _MAKER),
    Device("rtx-a6000", "cuda", 48, 44.67, None, None, True, _MAKER),
    Device("h100-pcie-80gb", "cuda", 80, 79.14, 756, 756, True, _TITAN),
    Device("h100-sxm-80gb", "cuda", 80, 79.14, 989, 989, True, _TITAN, 132),
    Device("h100-sxm-96gb-hbm2e", "cuda", 96, None, 989, 989, True, _TITAN),
    Device("h100-nvl-94gb", "cuda", 94, None, None, None, True, _MAKER),
    Device("h800-sxm-80gb", "cuda", 80, 79.14, None, None, True, _MAKER, 132),
    Device("h200-sxm-141gb", "cuda", 141, 139.72, 989, 989, True, _TITAN, 132),
    Device("b200", "cuda", 180, 178.35, 2250, 2250, True, _TITAN, 148),
    Device("gb200", "cuda", 186, None, None, None, True, _MAKER),
    Device("mi250x-gcd", "rocm", 64, None, 191.5, 191.5, True, _TITAN),
    Device("mi300x", "rocm", 192, 191.69, 1300, 1300, True, _TITAN),
    Device("gaudi2", "hpu", 96, None, None, None, True, _MAKER),
    Device("gaudi3", "hpu", 128, None, None, None, True, _MAKER),
)

DEVICES: dict[str, Device] = {row.name: row for row in _ROWS}
"""Every device a recipe may name."""
