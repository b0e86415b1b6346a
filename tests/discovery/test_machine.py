"""What this machine has, read from the driver's folder."""

from pathlib import Path

import pytest

from launcher.discovery.machine import this_machine


def driver(folder: Path, *models: str) -> Path:
    for number, model in enumerate(models):
        entry = folder / f"0000:{number:02d}:00.0"
        entry.mkdir(parents=True)
        (entry / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 42\n")
    return folder


def test_no_driver_is_one_process_on_the_cpu(tmp_path):
    """A machine without a GPU trains one process on its CPU."""
    found = this_machine(environ={}, gpus=tmp_path / "absent")
    assert (found.nodes, found.devices_per_node, found.device) == (1, 1, "cpu")


def test_every_gpu_of_the_driver_counts(tmp_path):
    """Eight entries of the driver are eight devices of the catalog."""
    found = this_machine(environ={}, gpus=driver(tmp_path, *["NVIDIA H100 80GB HBM3"] * 8))
    assert (found.devices_per_node, found.device) == (8, "h100-sxm-80gb")


@pytest.mark.parametrize(
    ("visible", "devices", "device"),
    [
        ("0,1", (0, 1), "a100-sxm-80gb"),
        ("2,3", (2, 3), "a100-sxm-80gb"),
        ("3", (3,), "a100-sxm-80gb"),
        ("0,-1,2", (0,), "a100-sxm-80gb"),
        ("0,0,1", (0,), "a100-sxm-80gb"),
        ("GPU-1a2b, GPU-3c4d", (0, 1), "a100-sxm-80gb"),
        ("", None, "cpu"),
        ("-1", None, "cpu"),
        ("nonsense", None, "cpu"),
    ],
)
def test_visible_devices_narrow_the_machine(tmp_path, visible, devices, device):
    """CUDA_VISIBLE_DEVICES names the devices, up to the first entry that is none."""
    found = this_machine(
        environ={"CUDA_VISIBLE_DEVICES": visible}, gpus=driver(tmp_path, *["NVIDIA A100-SXM4-80GB"] * 4)
    )
    assert (found.devices, found.device) == (devices, device)


def test_all_devices_visible_is_a_count(tmp_path):
    """Naming every device in order is the same machine as naming none."""
    folder = driver(tmp_path, *["NVIDIA A100-SXM4-80GB"] * 2)
    assert this_machine(environ={"CUDA_VISIBLE_DEVICES": "0,1"}, gpus=folder) == this_machine(
        environ={}, gpus=folder
    )


def test_an_unlisted_model_keeps_its_own_name(tmp_path):
    """A device the catalog does not know is refused by planning under the driver's own name, never guessed."""
    assert this_machine(environ={}, gpus=driver(tmp_path, "NVIDIA Foo")).device == "NVIDIA Foo"
