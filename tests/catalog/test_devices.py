"""The catalog of devices holds what the contract names, dense peaks, and a source beside every number."""

import json
import re

import pytest

from launcher.catalog.devices import DEVICES, SHIPPED, devices_with
from launcher.spec.catalog import NUMBERS, Device

CONTRACT = """cpu, p100-sxm-16gb, v100-sxm-16gb, v100-sxm-32gb, t4, a10, a10g, a100-sxm-40gb, a100-sxm-80gb, a100-pcie-40gb,
a100-pcie-80gb, l4, l40s, rtx-3090, rtx-4090, rtx-5090, titan-rtx, rtx-a4000, rtx-a6000, h100-pcie-80gb, h100-sxm-80gb,
h100-sxm-96gb-hbm2e, h100-nvl-94gb, h800-sxm-80gb, h200-sxm-141gb, b200, gb200, mi250x-gcd, mi300x, gaudi2, gaudi3"""
GPUS = [device for device in DEVICES.values() if device.kind != "cpu"]
PUBLIC = r"data sheet|white paper|product page|@[0-9a-f]{7,}|#\d+|arXiv|^as |of 24 ports|recalled|[a-z]+\.(com|net|network|co\.jp)|issue threads"


def named(devices):
    return pytest.mark.parametrize("device", devices, ids=lambda device: device.name)


def test_the_catalog_is_the_contracts_list():
    """Every device name that a recipe may use, and no other."""
    assert list(DEVICES) == CONTRACT.replace("\n", " ").split(", ")


def test_no_row_is_written_twice():
    """JSON takes the second of two equal keys without a word; here there are none."""

    def unique(pairs):
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    json.loads(SHIPPED.read_text(), object_pairs_hook=unique)


@named(DEVICES.values())
def test_every_number_has_a_source(device):
    """A data sheet by name, a repository at a commit, a public page, or the word `recalled`; none names no number."""
    written = [
        number
        for number in NUMBERS
        if getattr(device, number) not in {None, Device(kind="cpu", source="").dense_tflops}
    ]
    assert set(device.sources) <= set(written)
    for number in written:
        assert re.search(PUBLIC, device.source_of(number)), (number, device.source_of(number))
    assert device.source


@named(GPUS)
def test_memory_is_less_than_sold(device):
    """What torch can use is less than what is sold, and a name with a size has that size."""
    assert device.usable_gib is None or 0.88 * device.memory_gib < device.usable_gib < device.memory_gib
    for size in re.findall(r"(\d+)gb", device.name):
        if device.name != "gb200":
            assert device.memory_gib == int(size)


@named(GPUS)
def test_bandwidths_are_in_range(device):
    """Memory outruns the links, and the links outrun PCIe, all of them in the range of what was ever built."""
    assert 250 <= device.memory_gb_per_second <= 8000
    assert device.link_gb_per_second is None or 80 <= device.link_gb_per_second <= 900
    assert device.pcie_gb_per_second in {None, 16, 32, 64}  # versions 3, 4 and 5 with 16 lanes
    assert device.memory_gb_per_second > (device.link_gb_per_second or 0) > (
        device.pcie_gb_per_second or -1
    ) or (device.link_gb_per_second is None)


@named(GPUS)
def test_peaks_are_dense_and_in_proportion(device):
    """fp16 and bf16 run alike, fp8 twice as fast, tf32 at half of bf16 or at fp32's rate: a sparse peak would stand out."""
    peaks = device.dense_tflops
    assert device.has_bf16 or peaks.bf16 is None
    half = peaks.bf16 or peaks.fp16
    assert half is not None
    if peaks.fp16 is not None and peaks.bf16 is not None and device.name != "gaudi3":
        assert peaks.fp16 == peaks.bf16
    if peaks.fp8 is not None and device.name != "gaudi3":  # its matrix units take fp8 at bf16's rate
        assert peaks.fp8 == pytest.approx(2 * half, rel=0.015)
    if peaks.tf32 is not None and device.kind == "cuda":
        at_most_half = peaks.tf32 == pytest.approx(half / 2, rel=0.015)
        assert at_most_half or peaks.tf32 == peaks.fp32
    if peaks.fp32 is not None:
        assert 1.99 <= half / peaks.fp32 < 32
        # operations per byte of memory: from a P100's 29 to an L4's 403 and an RTX A4000's 171
        assert 20 < 1000 * half / device.memory_gb_per_second < 460


@pytest.mark.parametrize(
    ("device", "sheet"),
    [("h100-sxm-80gb", 1979), ("h100-pcie-80gb", 1513), ("h100-nvl-94gb", 1671), ("a100-sxm-80gb", 624), ("l40s", 724),
     ("l4", 242), ("rtx-a6000", 309.7), ("h200-sxm-141gb", 1979), ("b200", 4500), ("gb200", 5000)],
)  # fmt: skip
def test_a_peak_is_half_of_the_sheets_sparse_one(device, sheet):
    """Data sheets print bf16 with 2:4 sparsity, twice the dense peak that training reaches for."""
    assert DEVICES[device].dense_tflops.bf16 == pytest.approx(sheet / 2, rel=0.003)


@pytest.mark.parametrize(
    ("device", "units", "fmas", "megahertz"),
    [("h100-sxm-80gb", 528, 512, 1830), ("a100-sxm-80gb", 432, 256, 1410), ("mi300x", 1216, 256, 2100), ("mi250x-gcd", 440, 128, 1700)],
)  # fmt: skip
def test_a_peak_is_clock_times_units(device, units, fmas, megahertz):
    """Matrix units x multiply-adds per clock x 2 x clock.

    Source: stas00/ml-engineering@744d01e compute/accelerator/README.md, theoretical TFLOPS of NVIDIA and AMD.
    """
    assert DEVICES[device].dense_tflops.bf16 == pytest.approx(units * fmas * 2 * megahertz / 1e6, rel=0.002)


@pytest.mark.parametrize(
    ("device", "links", "each"),
    [("p100-sxm-16gb", 4, 20), ("v100-sxm-16gb", 6, 25), ("a100-sxm-40gb", 12, 25), ("h100-sxm-80gb", 18, 25), ("b200", 18, 50),
     ("mi300x", 7, 64), ("gaudi2", 21, 12.5), ("gaudi3", 21, 25)],
)  # fmt: skip
def test_links_are_one_direction(device, links, each):
    """A device's links together, in one direction: data sheets print both."""
    assert DEVICES[device].link_gb_per_second == links * each


def test_a_users_rows_come_beside_the_shipped_ones():
    """A row is found by its name and by what its driver calls it."""
    own = Device(name="mine", kind="cuda", driver_name="NVIDIA X", source="here")
    known = devices_with([own])
    assert known["mine"] is own
    assert known["NVIDIA X"] is own
    assert set(DEVICES) < set(known)
