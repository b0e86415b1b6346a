"""The environment of a node's command, and the interfaces that it is told to use."""

import pytest

from launcher.discovery.network_facts import addresses, network
from launcher.handoff.node.interfaces import interface_variables
from launcher.handoff.node.surroundings import node_environment


def made(own, caller=(), secrets=(), rendered=(), pass_env=()):
    return node_environment(
        own=dict(own),
        caller=dict(caller),
        secrets=dict(secrets),
        rendered=dict(rendered),
        pass_env=tuple(pass_env),
        node=3,
        first_on_path=("/env/bin",),
    )


def test_folders_come_in_order():
    """The interpreter's folder, then this node's, then the caller's, each once."""
    found = made(
        {"PATH": "/module/bin:/usr/bin", "LD_LIBRARY_PATH": "/module/lib"},
        {"PATH": "/mine:/usr/bin", "LD_LIBRARY_PATH": "/mine/lib", "CPATH": "/mine/include"},
    )
    assert found["PATH"] == "/env/bin:/module/bin:/usr/bin:/mine"
    assert found["LD_LIBRARY_PATH"] == "/module/lib:/mine/lib"
    assert found["CPATH"] == "/mine/include"


def test_what_setup_brought_is_handed_on():
    """Variables of a module load arrive by whatever name, before the caller's; what marks other launches does not."""
    own = {
        "BATCHWRIGHT_SETUP": "SITE\nRANK\nNCCL_DEBUG",
        "SITE": "a",
        "RANK": "3",
        "NCCL_DEBUG": "INFO",
        "LOGIN": "b",
    }
    found = made(own, {"NCCL_DEBUG": "WARN"})
    assert (found["SITE"], found["NCCL_DEBUG"]) == ("a", "INFO")
    assert not {"RANK", "LOGIN", "BATCHWRIGHT_SETUP"} & set(found)


def test_who_wins():
    """The plan before all, the caller before the node, except about the machine itself."""
    own = {
        "PATH": "/bin",
        "HOME": "/home/b",
        "CUDA_VISIBLE_DEVICES": "4",
        "NCCL_DEBUG": "WARN",
        "OMP_NUM_THREADS": "9",
    }
    caller = {"HOME": "/home/a", "CUDA_VISIBLE_DEVICES": "0", "NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "8"}
    found = made(own, caller, rendered={"OMP_NUM_THREADS": "1"})
    assert {name: found[name] for name in own if name != "PATH"} == {
        "HOME": "/home/b",
        "CUDA_VISIBLE_DEVICES": "4",
        "NCCL_DEBUG": "INFO",
        "OMP_NUM_THREADS": "1",
    }
    assert found["BATCHWRIGHT_NODE"] == "3"


def test_only_what_a_script_may_know_of_slurm():
    """Job, name and number of the start; another launcher's counts of tasks would mislead libraries."""
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "x", "SLURM_RESTART_COUNT": "1"}
    found = made({**slurm, "SLURM_NTASKS": "2", "SLURM_NODEID": "1", "SLURM_PROCID": "1", "RANK": "5"})
    assert {name: text for name, text in found.items() if name.startswith("SLURM_")} == slurm
    assert "RANK" not in found


def test_secrets_come_by_file_or_by_name():
    """What launch.pass_env names is handed on, from the file or from this program's own variables; nothing else."""
    own = {"HF_TOKEN": "by name", "WANDB_API_KEY": "left out"}
    found = made(own, secrets={"OTHER": "by file"}, pass_env=("HF_TOKEN", "OTHER"))
    assert (found["HF_TOKEN"], found["OTHER"]) == ("by name", "by file")
    assert "WANDB_API_KEY" not in found


@pytest.fixture
def outside():
    """(interface, address) that is no loopback."""
    found = [each for each in addresses() if each[0] != "lo" and ":" not in each[1]]
    if not found:
        pytest.skip("this machine has no interface but lo")
    return found[0]


def test_the_interface_between_the_nodes(outside):
    """It is set where a library would take another one by itself, and only there."""
    interface, address = outside
    defaults = network({})["default"]
    expected = {}
    if defaults["gloo"] != interface:
        expected["GLOO_SOCKET_IFNAME"] = interface
    if defaults["nccl"] != interface:
        expected["NCCL_SOCKET_IFNAME"] = f"={interface}"
    assert interface_variables(address=address, written="auto", environment={}) == expected


def test_nodes_that_are_one_machine():
    """Over loopback, NCCL must be told, and gloo unless the host's name stands for it."""
    found = interface_variables(address="127.0.0.1", written="auto", environment={})
    assert found["NCCL_SOCKET_IFNAME"] == "=lo"


def test_what_a_person_wrote_stays(outside):
    """launch.network.interface holds on every node; a variable of the job's own is never replaced."""
    found = interface_variables(address=outside[1], written="ib0", environment={"NCCL_SOCKET_IFNAME": "eth9"})
    assert found == {"GLOO_SOCKET_IFNAME": "ib0"}


def test_an_address_that_is_on_no_interface():
    """Behind an address translation nobody knows better than the library."""
    assert interface_variables(address="203.0.113.7", written="auto", environment={}) == {}
