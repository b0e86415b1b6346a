"""The page of the catalog is printed from the code, and one device can be shown alone."""

import io
import json
from pathlib import Path

import pytest

from launcher.catalog.devices import DEVICES
from launcher.catalog.models import PRESETS
from launcher.cli.main import main
from launcher.reporting.catalog_reference import catalog_reference, device_lines, model_lines

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
    """Each number with its source, within 100 characters."""
    lines = device_lines(DEVICES[name])
    assert lines[0].startswith(f"{name}: a device")
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("memory_gib ") for line in lines) == (name != "cpu")


@pytest.mark.parametrize("name", PRESETS)
def test_one_model(name):
    """What its name stands for, within 100 characters."""
    lines = model_lines(name, PRESETS[name])
    assert PRESETS[name].source.split(",")[0] in " ".join(lines)
    assert max(map(len, lines)) <= 100
    assert len(lines) > 3


@pytest.mark.parametrize(("name", "kind"), [("h100-nvl-94gb", "device"), ("qwen2.5-7b", "model")])
def test_a_row_can_be_asked_for(name, kind):
    """`batchwright explain` knows the names of the catalog."""
    out = io.StringIO()
    assert main(["explain", name], environ={}, stdout=out, stderr=out) == 0
    assert out.getvalue().startswith(f"{name}: a {kind} of the catalog")
    out = io.StringIO()
    assert main(["explain", name, "--json"], environ={}, stdout=out, stderr=out) == 0
    assert json.loads(out.getvalue())["kind"] == kind
