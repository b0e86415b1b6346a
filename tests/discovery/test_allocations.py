"""An allocation, read from the variables that Slurm sets in it."""

from pathlib import Path

import pytest

from launcher import api
from launcher.discovery.slurm import allocated_cluster, read_allocation
from launcher.errors import RecipeError
from launcher.spec.cluster import Cluster, Group
from launcher.spec.place import AllocationPlan

INSIDE = {
    "SLURM_JOB_ID": "812",
    "SLURM_JOB_NODELIST": "n[01-03]",
    "SLURM_JOB_CPUS_PER_NODE": "64(x2),32",
    "SLURM_TASKS_PER_NODE": "1(x3)",
}
MESSAGES = Path(__file__).parent / "messages"
CPU = Cluster(device="cpu", devices_per_node=1)
GPU = Cluster(device="h100-sxm-80gb", devices_per_node=8)
RECIPE = {
    "global_batch_size": 24,
    "sequence_length": 16,
    "hidden_size": 64,
    "launch": {"executor": "slurm", "script": "train.py"},
}


def test_outside_of_an_allocation_there_is_none():
    """Without a job number, or without hosts, nothing is inside Slurm."""
    assert read_allocation({}) is None
    assert read_allocation({"SLURM_CONF": "/etc/slurm.conf"}) is None
    assert read_allocation({"SLURM_JOB_ID": "3"}) is None


def test_an_allocation_says_what_each_host_has():
    """Hosts in Slurm's order, and numbers for each of them."""
    assert read_allocation(INSIDE) == AllocationPlan(
        job="812", hosts=("n01", "n02", "n03"), cpus=(64, 64, 32), tasks=(1, 1, 1)
    )


@pytest.mark.parametrize(
    ("variables", "devices"),
    [
        ({"SLURM_GPUS_PER_NODE": "8"}, (8, 8, 8)),
        ({"SLURM_GPUS_PER_NODE": "h100:4"}, (4, 4, 4)),
        ({"SLURM_GPUS_PER_NODE": "a100:2,l4:1"}, (3, 3, 3)),
        ({"SLURM_GPUS_ON_NODE": "2"}, (2, 2, 2)),
        ({"SLURM_JOB_GPUS": "0,3"}, (2, 2, 2)),
        ({}, ()),
    ],
)
def test_accelerators_are_what_was_asked_for(variables, devices):
    """A type before the number is passed over; nothing is known where nobody says."""
    allocation = read_allocation({**INSIDE, **variables})
    assert allocation is not None
    assert allocation.devices == devices


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 4096 * 2**20),
        ({"SLURM_MEM_PER_CPU": "100"}, 100 * 32 * 2**20),
        ({"SLURM_MEM_PER_NODE": "0"}, None),
    ],
)
def test_slurms_megabytes_are_mebibytes(variables, expected):
    """Memory of a node is that of the smallest one; 0 stands for all of it."""
    allocation = read_allocation({**INSIDE, **variables})
    assert allocation is not None
    assert allocation.memory_bytes == expected


def test_variables_that_are_none_of_slurms_are_refused():
    """The message names the job and what cannot be read."""
    with pytest.raises(RecipeError) as caught:
        read_allocation({**INSIDE, "SLURM_JOB_NODELIST": "n[01-"})
    assert f"{caught.value}\n" == (MESSAGES / "allocation-unreadable.txt").read_text()
    with pytest.raises(RecipeError, match="SLURM_TASKS_PER_NODE has 2 numbers for 3 hosts"):
        read_allocation({**INSIDE, "SLURM_TASKS_PER_NODE": "1(x2)"})


def test_a_recipe_without_a_cluster_gets_the_allocation():
    """Nodes, processes and processors are those of the job, and the plan says so."""
    environ = {**INSIDE, "SLURM_JOB_CPUS_PER_NODE": "4(x3)", "SLURM_TASKS_PER_NODE": "2(x3)"}
    plan = api.plan(api.load_recipe(RECIPE), environ=environ)
    assert (plan.layout.num_nodes, plan.layout.devices_per_node) == (3, 2)
    assert plan.launch.threads_per_process == 2
    assert plan.origins["layout.num_nodes"].formula == "Slurm job 812"
    assert plan.launch.allocation is not None
    assert plan.launch.allocation.hosts == ("n01", "n02", "n03")


def test_another_executor_does_not_look():
    """Inside an allocation a local job is a local job."""
    recipe = api.load_recipe({**RECIPE, "launch": {"script": "train.py"}})
    plan = api.plan(recipe, environ=INSIDE)
    assert plan.layout.num_nodes == 1
    assert plan.launch.allocation is None


def test_the_allocation_is_in_no_hash():
    """The same job planned on a login node and in an allocation is one job."""
    recipe = api.load_recipe({**RECIPE, "cluster": {"nodes": 2, "devices_per_node": 1, "device": "cpu"}})
    outside, inside = api.plan(recipe, environ={}), api.plan(recipe, environ=INSIDE)
    assert outside.launch.allocation is None
    assert inside.launch.allocation is not None
    assert (outside.plan_hash, outside.semantics_hash) == (inside.plan_hash, inside.semantics_hash)


def test_the_kind_of_accelerator_is_that_of_this_machine():
    """Slurm counts devices and the machine says which; where it has none a name has to be written."""
    allocation = AllocationPlan(job="1", hosts=("a", "b"), devices=(4, 4))
    assert allocated_cluster(allocation, here=GPU) == Cluster(
        nodes=2, devices_per_node=4, device="h100-sxm-80gb"
    )
    assert allocated_cluster(allocation, here=CPU).device == "gpu"


def test_a_node_of_the_job_counts_its_own_accelerators():
    """`salloc --gres=gpu:8` sets no number; on a node of the job, what this machine may use is it."""
    allocation = AllocationPlan(job="1", hosts=("a", "b"), tasks=(1, 1))
    assert allocated_cluster(allocation, here=GPU).devices_per_node == 8
    some = Cluster(device="h100-sxm-80gb", devices=(2, 3))
    assert allocated_cluster(allocation, here=some).devices_per_node == 2
    assert allocated_cluster(allocation, here=CPU).device == "cpu"


def test_nodes_that_differ_are_groups():
    """Numbers per node, of which planning takes the smallest."""
    allocation = AllocationPlan(job="1", hosts=("a", "b", "c"), devices=(8, 4, 8))
    groups = allocated_cluster(allocation, here=GPU).groups
    assert groups == (
        Group(nodes=2, devices_per_node=8, device="h100-sxm-80gb"),
        Group(nodes=1, devices_per_node=4, device="h100-sxm-80gb"),
    )
