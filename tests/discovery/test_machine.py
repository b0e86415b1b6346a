"""What this machine has, read from the drivers' folders, and how it differs from a recipe's cluster."""

from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.discovery.accelerators import Places, accelerators, catalog_name
from launcher.discovery.machine import machine_differs, this_machine
from launcher.loading import locate
from launcher.spec.catalog import Device
from launcher.spec.cluster import Cluster

MESSAGES = Path(__file__).parent / "messages"


def places(folder: Path) -> Places:
    """Drivers of a machine of our own making."""
    return Places(*(folder / name for name in Places._fields))


def driver(folder: Path, *models: str) -> Places:
    for number, model in enumerate(models):
        entry = folder / "nvidia" / f"0000:{number:02d}:00.0"
        entry.mkdir(parents=True)
        (entry / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 42\n")
    return places(folder)


def amd(folder: Path, *numbers: int, opened: int | None = None) -> Places:
    """Two processors, then devices; opened: how many of them a container was given."""
    (folder / "render").mkdir()
    (folder / "render" / "renderD0").touch()  # what a processor's number would lead to
    for node, number in enumerate((0, 0, *numbers)):
        entry = folder / "amd" / str(node)
        entry.mkdir(parents=True)
        simds, minor = (0, 0) if node < 2 else (1216, 126 + node)
        text = f"cpu_cores_count 0\nsimd_count {simds}\ndevice_id {number}\ndrm_render_minor {minor}\n"
        (entry / "properties").write_text(text)
        if node >= 2 and (opened is None or node < 2 + opened):
            (folder / "render" / f"renderD{minor}").touch()
    return places(folder)


def test_no_driver_is_one_process_on_the_cpu(tmp_path):
    """A machine without a GPU trains one process on its CPU."""
    found = this_machine(environ={}, places=places(tmp_path / "absent"))
    assert (found.nodes, found.devices_per_node, found.device) == (1, 1, "cpu")


def test_every_gpu_of_the_driver_counts(tmp_path):
    """Eight entries of the driver are eight devices of the catalog."""
    found = this_machine(environ={}, places=driver(tmp_path, *["NVIDIA H100 80GB HBM3"] * 8))
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
        environ={"CUDA_VISIBLE_DEVICES": visible}, places=driver(tmp_path, *["NVIDIA A100-SXM4-80GB"] * 4)
    )
    assert (found.devices, found.device) == (devices, device)


def test_all_devices_visible_is_a_count(tmp_path):
    """Naming every device in order is the same machine as naming none."""
    folder = driver(tmp_path, *["NVIDIA A100-SXM4-80GB"] * 2)
    assert this_machine(environ={"CUDA_VISIBLE_DEVICES": "0,1"}, places=folder) == this_machine(
        environ={}, places=folder
    )


def test_an_unlisted_model_keeps_its_own_name(tmp_path):
    """A device the catalog does not know is refused by planning under the driver's own name, never guessed."""
    assert this_machine(environ={}, places=driver(tmp_path, "NVIDIA Foo")).device == "NVIDIA Foo"


@pytest.mark.parametrize(
    ("number", "name"), [(0x74A1, "mi300x"), (0x74B5, "mi300x"), (0x740C, "mi250x-gcd"), (0x75A3, "AMD 75a3")]
)
def test_amd_devices_are_those_that_can_be_opened(tmp_path, number, name):
    """ROCm shows the whole machine to every container: processors and what others were given do not count."""
    found = this_machine(environ={}, places=amd(tmp_path, *[number] * 12, opened=4))
    assert (found.devices_per_node, found.device) == (4, name)


@pytest.mark.parametrize("variable", ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_amd_devices_are_narrowed_by_their_own_variables(tmp_path, variable):
    """HIP reads three of them."""
    assert this_machine(environ={variable: "2,3"}, places=amd(tmp_path, *[0x74A1] * 8)).devices == (2, 3)


def test_gaudi_devices_are_named_by_their_driver(tmp_path):
    """`GAUDI2` in sysfs."""
    for number in range(8):
        entry = tmp_path / "gaudi" / f"accel{number}" / "device"
        entry.mkdir(parents=True)
        (entry / "device_type").write_text("GAUDI2\n")
    found = this_machine(environ={}, places=places(tmp_path))
    assert (found.devices_per_node, found.device) == (8, "gaudi2")
    assert this_machine(environ={"HABANA_VISIBLE_MODULES": "1"}, places=places(tmp_path)).devices == (1,)


def test_under_windows_the_vendor_s_tool_is_asked(tmp_path):
    """WSL has the device and no folder of the driver; without the device nobody is asked."""
    asked = []

    def run(words):
        asked.append(words)
        return "NVIDIA GeForce RTX 4090\n"

    assert accelerators(places=places(tmp_path), run=run) is None
    assert asked == []
    (tmp_path / "windows").touch()
    found = accelerators(places=places(tmp_path), run=run)
    assert found is not None
    assert found.names == ("rtx-4090",)
    assert asked[0][0] == "nvidia-smi"


@pytest.mark.parametrize(
    "limits", [("max\n", "MemTotal: 16777216 kB\n"), ("17179869184\n", "MemTotal: 99999999 kB\n")]
)
def test_memory_is_what_the_container_may_take(tmp_path, limits):
    """The smallest limit counts: a pod's own where it has one, else the machine's."""
    files = [tmp_path / "a", tmp_path / "b"]
    for file, text in zip(files, limits, strict=True):
        file.write_text(text)
    found = this_machine(environ={}, places=places(tmp_path), memory=files)
    assert found.host_memory is not None
    assert found.host_memory.number == 16 * 2**30


@pytest.mark.parametrize(
    ("device", "devices_per_node"), [("h100-sxm-80gb", 8), ("h100-sxm-80gb", 2), ("h100-sxm-80gb", 1)]
)
def test_a_machine_that_has_what_is_planned(tmp_path, device, devices_per_node):
    """Fewer devices than there are is no difference."""
    here = driver(tmp_path, *["NVIDIA H100 80GB HBM3"] * 8)
    wanted = Cluster(device=device, devices_per_node=devices_per_node)
    assert machine_differs(cluster=wanted, environ={}, places=here) is None


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            Cluster(device="h100-sxm-80gb", devices_per_node=4),
            "4 x h100-sxm-80gb; this machine has 2 x h100-sxm-80gb",
        ),
        (Cluster(device="a100-sxm-80gb"), "1 x a100-sxm-80gb; this machine has 2 x h100-sxm-80gb"),
        (Cluster(device="cpu"), "1 x cpu; this machine has 2 x h100-sxm-80gb"),
    ],
)
def test_a_machine_that_differs(tmp_path, wanted, words):
    """Both are named, in one line."""
    here = driver(tmp_path, *["NVIDIA H100 80GB HBM3"] * 2)
    note = machine_differs(cluster=wanted, environ={}, places=here)
    assert note is not None
    assert (note.severity, note.message) == ("note", f"planned for {words}")


def test_processes_on_cpu_are_as_many_as_one_likes(tmp_path):
    """A count on CPU is a count of processes."""
    assert (
        machine_differs(
            cluster=Cluster(device="cpu", devices_per_node=8), environ={}, places=places(tmp_path)
        )
        is None
    )


def test_the_whole_message(tmp_path):
    """The note as it stands under a plan, and the memory of a host."""
    text = "global_batch_size: 8\nhidden_size: 64\ncluster: {device: v100-sxm-16gb, host_memory: 64 GiB}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    (tmp_path / "memory").write_text(f"{16 * 2**30}\n")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    bare, other = tmp_path / "bare", driver(tmp_path / "other", "Tesla V100-SXM2-16GB")
    notes = [
        machine_differs(cluster=recipe.cluster, environ={}, places=here, memory=[tmp_path / "memory"])
        for here in (places(bare), other)
    ]
    shown = "".join(f"note: {each}\n".replace(f"{tmp_path}/", "") for each in locate(notes, recipe))
    assert shown == (MESSAGES / "machine-differs.txt").read_text()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA A10", "a10"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"),
        ("NVIDIA A100X", "NVIDIA A100X"),
        ("NVIDIA H100 NVL", "h100-nvl-94gb"),
        ("NVIDIA H100 PCIe", "h100-pcie-80gb"),
        ("NVIDIA H800", "h800-sxm-80gb"),
        ("NVIDIA H800 PCIe", "NVIDIA H800 PCIe"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40", "NVIDIA L40"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", "gb200"),
        ("Tesla P100-SXM2-16GB", "p100-sxm-16gb"),
        ("Tesla V100-SXM2-32GB", "v100-sxm-32gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 Laptop GPU"),
    ],
)
def test_a_driver_name_is_one_row_or_none(model, name):
    """A model that the catalog lacks is not taken for one with a similar name."""
    assert catalog_name(model) == name


def test_a_users_row_names_the_device_of_this_machine(tmp_path):
    """A machine with a device that only the user's own catalog knows is the recipe's machine."""
    here = driver(tmp_path, *["NVIDIA H20"] * 2)
    own = Device(name="h20", kind="cuda", driver_name="NVIDIA H20", source="ours")
    cluster = Cluster(devices_per_node=2, device="h20")
    assert machine_differs(cluster=cluster, environ={}, places=here, own=[own]) is None
    assert machine_differs(cluster=cluster, environ={}, places=here).message.endswith("2 x NVIDIA H20")
