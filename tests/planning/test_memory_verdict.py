"""Whether it fits, the largest micro-batch, and how both decide a plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, plan_of, recipe_of

from launcher.catalog.devices import DEVICES
from launcher.planning.divisors import divisors
from launcher.planning.layout import solve_layout
from launcher.planning.memory.budget import budget_of
from launcher.planning.memory.estimate import Band, estimate_memory
from launcher.planning.memory.verdict import SMALLEST_USABLE_SHARE, usable_bytes, verdict_of
from launcher.planning.model import solve_model
from launcher.spec.cluster import Cluster
from launcher.spec.launch import Launch
from launcher.spec.marks import Origin
from launcher.spec.model import Model
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.training import Data
from launcher.units import parse_amount

GIB = 2**30
A100 = {"devices": 8, "device": "a100-sxm-80gb"}


def size(text):
    return parse_amount(text, kind="size")


def layout_of(recipe):
    return solve_layout(recipe=recipe, cluster=recipe.cluster, cluster_origin=Origin(origin="recipe")).value


def budget(**keys):
    recipe = recipe_of(**keys)
    return budget_of(
        recipe=recipe,
        layout=layout_of(recipe),
        cluster=recipe.cluster,
        model=solve_model(recipe).value,
    )


def usable(**cluster):
    recipe = recipe_of(cluster=Cluster(**cluster))
    return usable_bytes(layout=layout_of(recipe), cluster=recipe.cluster)


def test_what_a_driver_leaves():
    """The catalog's measured total, less the cluster's reserve; a share of the memory as sold where nobody measured."""
    assert usable(device="a100-sxm-80gb") == round(79.14 * GIB)
    assert usable(device="a100-sxm-80gb", reserve=size("2 GiB")) == round(79.14 * GIB) - 2 * GIB
    assert DEVICES["gb200"].usable_gib is None
    assert usable(device="gb200") == round(186 * GIB * SMALLEST_USABLE_SHARE)


def test_host_memory_is_shared_by_the_processes_of_a_node():
    """On the CPU a process has its share of the node's memory, where that is known."""
    assert usable(device="cpu", devices_per_node=4, host_memory=size("64 GiB")) == 16 * GIB
    assert usable(device="cpu", devices_per_node=4) is None


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(None, "unknown-memory"), (30, "fits"), (29, "tight"), (20, "tight"), (19, "does-not-fit")],
)
def test_the_verdict(limit, verdict):
    """Fits with the worst, tight with the expected, else not."""
    from dataclasses import replace

    asked = budget(**A100)
    estimate = asked.estimate(micro_batch_size=1, gradient_accumulation_steps=1)
    estimate = replace(estimate, device=Band(low=10, expected=20, high=30))
    assert verdict_of(estimate=estimate, usable=limit) == verdict


@pytest.mark.parametrize("kind", ["decoder", "encoder", "mlp"])
@pytest.mark.parametrize("share", [1, 7, 96, 120, 1024])
def test_the_largest_micro_batch_agrees_with_the_verdict(kind, share):
    """The size found fits, the next divisor does not; with None not even one sequence does."""
    model = Model(kind=kind, num_layers=24)
    asked = budget(devices=1, device="a100-sxm-40gb", hidden_size=2048, model=model)
    largest = asked.largest(sequences=share)
    sizes = divisors(share)
    if largest is None:
        assert not asked.fits(micro_batch_size=1, sequences=share)
        return
    assert asked.fits(micro_batch_size=largest, sequences=share)
    above = [each for each in sizes if each > largest]
    assert not above or not asked.fits(micro_batch_size=above[0], sequences=share)


@given(share=st.integers(1, 4000), width=st.sampled_from([256, 1024, 2048, 4096]))
def test_a_plan_takes_the_largest_divisor_that_fits(share, width):
    """micro_batch_size auto: an exact divisor of a rank's sequences whose plan fits, wherever one does."""
    plan = plan_of(global_batch_size=8 * share, hidden_size=width, **A100)
    micro = plan.batch.micro_batch_size
    assert share % micro == 0
    if plan.verdict == "fits":
        assert micro == plan.memory.max_micro_batch_size
        assert plan.memory.high_bytes <= plan.memory.usable_bytes
    else:
        assert (micro, plan.memory.max_micro_batch_size) == (1, None)


def test_a_written_micro_batch_is_kept():
    """A size that does not fit is kept and said not to fit, with the largest that would."""
    plan = plan_of(global_batch_size=512, micro_batch_size=64, hidden_size=2048, **A100)
    assert plan.batch.micro_batch_size == 64
    assert plan.verdict == "does-not-fit"
    assert plan.memory.max_micro_batch_size < 64
    assert "does-not-fit" in codes(plan)
    assert plan.alternatives


def test_where_nothing_is_known_eight_is_the_cap():
    """A CPU without a known memory, or one that has plenty, takes no more than 8."""
    plan = plan_of(devices=2)
    assert (plan.verdict, plan.batch.micro_batch_size) == ("unknown-memory", 8)
    rich = plan_of(cluster=Cluster(devices_per_node=2, device="cpu", host_memory=size("2 TiB")))
    assert (rich.verdict, rich.batch.micro_batch_size) == ("fits", 8)


def test_a_small_host_takes_a_smaller_micro_batch():
    """On the CPU, too, a micro-batch that does not fit is not chosen."""
    plan = plan_of(cluster=Cluster(devices_per_node=2, device="cpu", host_memory=size("12 GiB")))
    assert plan.verdict == "fits"
    assert plan.batch.micro_batch_size < 8


def test_components_add_up_to_the_peak():
    """The parts of a plan's memory are its peak, for every strategy."""
    for strategy, stage in (("ddp", None), ("zero", 1), ("zero", 2), ("zero", 3), ("fsdp", 2), ("fsdp", 3)):
        data = DataParallel(strategy=strategy, stage=stage)
        engine = "deepspeed" if strategy == "zero" else "accelerate" if strategy == "fsdp" else "torchrun"
        plan = plan_of(parallel=Parallel(data=data), launch=Launch(engine=engine), **A100)
        assert sum(plan.memory.components.values()) == plan.memory.peak_bytes
        assert plan.memory.low_bytes <= plan.memory.peak_bytes <= plan.memory.high_bytes
        assert plan.memory.allocated_bytes <= plan.memory.reserved_bytes <= plan.memory.peak_bytes


def test_memory_is_in_neither_hash():
    """Another device, with other memory, leaves the meaning of training alone."""
    small = plan_of(micro_batch_size=1, devices=8, device="a100-sxm-40gb")
    large = plan_of(micro_batch_size=1, devices=8, device="a100-sxm-80gb")
    assert small.memory.usable_bytes != large.memory.usable_bytes
    assert small.semantics_hash == large.semantics_hash


def test_the_budget_is_the_estimate():
    """A budget asks the model about the recipe's network and nothing else."""
    asked = budget(**A100)
    found = asked.estimate(micro_batch_size=4, gradient_accumulation_steps=8)
    setting = asked.setting(micro_batch_size=4, gradient_accumulation_steps=8)
    assert found == estimate_memory(network=asked.network, setting=setting)
    assert (setting.micro_batch_size, setting.gradient_accumulation_steps, setting.layout.data) == (4, 8, 8)


def test_batches_of_many_lengths_hold_more_in_reserve():
    """Samples that are neither packed nor padded leave blocks of logits that no longer batch can use."""
    packed = plan_of(data=Data(mean_length=300.0, packing="packed"), micro_batch_size=4, **A100).memory
    ragged = plan_of(data=Data(mean_length=300.0), micro_batch_size=4, **A100).memory
    assert ragged.allocated_bytes == packed.allocated_bytes
    assert ragged.reserved_bytes > packed.reserved_bytes
