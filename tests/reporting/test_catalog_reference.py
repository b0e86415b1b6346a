"""The page of the catalog is printed from the code, and one device can be shown alone."""

from pathlib import Path

import pytest

from launcher.catalog.devices import DEVICES
from launcher.catalog.models import PRESETS
from launcher.reporting.catalog_reference import catalog_reference, device_lines

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "catalog.md"


def test_the_page_is_current():
    """docs/reference/catalog.md is what the catalog prints."""
    assert PAGE.read_text() == catalog_reference(), "write catalog_reference() into docs/reference/catalog.md"


def test_every_row_is_there():
    """Each device and model has a line of its own."""
    lines = catalog_reference().splitlines()
    for name in (*DEVICES, *PRESETS):
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1


@pytest.mark.parametrize("name", DEVICES)
def test_one_device(name):
    """A line for each number, with its source."""
    device = DEVICES[name]
    lines = device_lines(device)
    assert all("Source: " in line for line in lines)
    assert len(lines) == (0 if name == "cpu" else len({line.split(":")[0] for line in lines}))
    assert any(line.startswith("memory_gib: ") for line in lines) == (name != "cpu")
