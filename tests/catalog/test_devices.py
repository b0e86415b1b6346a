"""The catalog of devices holds what the contract names, with a source beside every row."""

import pytest

from launcher.catalog.devices import DEVICES

CONTRACT = """cpu, p100-sxm-16gb, v100-sxm-16gb, v100-sxm-32gb, t4, a10, a10g, a100-sxm-40gb, a100-sxm-80gb, a100-pcie-40gb,
a100-pcie-80gb, l4, l40s, rtx-3090, rtx-4090, rtx-5090, titan-rtx, rtx-a4000, rtx-a6000, h100-pcie-80gb, h100-sxm-80gb,
h100-sxm-96gb-hbm2e, h100-nvl-94gb, h800-sxm-80gb, h200-sxm-141gb, b200, gb200, mi250x-gcd, mi300x, gaudi2, gaudi3"""


def test_the_catalog_is_the_contracts_list():
    """Every device name that a recipe may use, and no other."""
    assert list(DEVICES) == CONTRACT.replace("\n", " ").split(", ")


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.name)
def test_rows_make_sense(device):
    """What torch can use is less than what is sold; a device without bf16 has no peak in it; each has a source."""
    assert device.source
    if device.kind == "cpu":
        assert device.memory_gib is None
    else:
        assert device.memory_gib is not None
        assert device.usable_gib is None or 0.88 * device.memory_gib < device.usable_gib < device.memory_gib
    assert device.has_bf16 or device.bf16_tflops is None
    for size in ("16gb", "32gb", "40gb", "80gb", "94gb", "96gb", "141gb"):
        if size in device.name:
            assert device.memory_gib == int(size.removesuffix("gb"))
