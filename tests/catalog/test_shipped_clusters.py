"""The shipped machines: each is named after what it holds, and a recipe can name it."""

from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.catalog.devices import DEVICES

FOLDER = Path(__file__).parents[2] / "recipes" / "clusters"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_machine_is_what_its_file_name_says(path, tmp_path):
    """`<device>-<nodes>x<devices>.yaml` holds that many of that device of the catalog, with a title and a source."""
    (tmp_path / "clusters").symlink_to(FOLDER)
    (tmp_path / "r.yaml").write_text(f"schema: 1\nglobal_batch_size: 1\ncluster: {path.stem}\n")
    cluster = load_recipe(tmp_path / "r.yaml").cluster
    assert path.stem == f"{cluster.device}-{cluster.nodes}x{cluster.devices_per_node}"
    assert cluster.device in DEVICES
    title, blank, *rest = path.read_text().splitlines()
    assert title.startswith("# ")
    assert blank == "#"
    assert cluster.device == "cpu" or rest[0].startswith("# source: ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_links_are_per_device_and_direction(path):
    """Within a node no link is faster than the device's own, and none between nodes is faster than those within."""
    cluster = load_recipe({"global_batch_size": 1, "cluster": str(path)}).cluster
    within, between = cluster.interconnect.within_node, cluster.interconnect.between_nodes
    device = DEVICES[cluster.device]
    fastest = device.link_gb_per_second or device.pcie_gb_per_second
    assert within is None or 0 < within.number <= 1e9 * fastest
    assert between is None or (within is not None and between.number < within.number)


def test_common_machines_are_there():
    """The machines that most recipes name."""
    assert len(FILES) >= 20
    common = {
        "cpu-1x2",
        "a100-sxm-80gb-1x8",
        "h100-sxm-80gb-8x8",
        "rtx-4090-1x1",
        "v100-sxm-32gb-1x8",
        "t4-1x1",
    }
    assert common <= {path.stem for path in FILES}
