"""Bytes per parameter by engine, strategy and what a recipe writes."""

import pytest

from launcher.planning.memory.formats import compute_bytes, formats_of
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.pipeline import stages
from launcher.planning.memory.setting import Layout, Setting
from launcher.planning.memory.stage import stage_bytes
from launcher.spec.plan import PrecisionPlan

NUMBERS = 1_000_000
PARTS = (Part(name="weights", weights=(Weights(count=NUMBERS, largest=NUMBERS),)),)


def bytes_each(
    compute="bf16", *, engine="torchrun", strategy="ddp", stage=0, data=1, optimizer="adamw", **written
):
    """Parameters, gradients, master weights and states of AdamW, in bytes per parameter of the network."""
    formats = formats_of(
        precision=PrecisionPlan(compute=compute, **written),
        engine=engine,
        strategy=strategy,
        zero_stage=stage,
    )
    setting = Setting(
        engine=engine,
        optimizer=optimizer,
        formats=formats,
        layout=Layout(strategy=strategy, zero_stage=stage, data=data),
    )
    total = stage_bytes(stages(PARTS, setting)[0], setting, first=True).total
    held = (total.parameters, total.gradients + total.main_gradients, total.masters, total.states)
    return tuple(number / NUMBERS for number in held)


def test_fp32():
    """fp32 AdamW holds 4 + 4 + 8 = 16 bytes per parameter."""
    assert bytes_each("fp32") == (4, 4, 0, 8)


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_autocast_keeps_fp32(compute):
    """Autocast leaves parameters, gradients and states in fp32."""
    assert bytes_each(compute) == (4, 4, 0, 8)
    assert formats_of(precision=PrecisionPlan(compute=compute), engine="torchrun", strategy="ddp").autocast


def test_pure_bf16():
    """Parameters written as bf16 take gradients and states with them: 2 + 2 + 4 = 8."""
    assert bytes_each(parameter_dtype="bf16") == (2, 2, 0, 4)
    formats = formats_of(
        precision=PrecisionPlan(compute="bf16", parameter_dtype="bf16"), engine="torchrun", strategy="ddp"
    )
    assert not formats.autocast


def test_master_weights():
    """Master weights beside bf16 parameters are fp32, and so are then the states."""
    assert bytes_each(parameter_dtype="bf16", master_weights=True) == (2, 2, 4, 8)
    assert bytes_each(engine="deepspeed", strategy="zero", stage=1, master_weights=False) == (2, 2, 0, 4)


@pytest.mark.parametrize(
    ("stage", "total"), [(0, 16), (1, 4 + 12 / 8), (2, 2 + 14 / 8), (3, 16 / 8)]
)  # fmt: skip
def test_deepspeed(stage, total):
    """DeepSpeed's 16-bit training holds 16 bytes; stages 1 to 3 share 12, 14 and 16 of them among 8 ranks.

    Source: Rajbhandari et al. 2020, arXiv:1910.02054, figure 1 (K = 12).
    """
    assert sum(bytes_each(engine="deepspeed", strategy="zero", stage=stage, data=8)) == pytest.approx(total)


def test_paper_example():
    """7.5 billion parameters on 64 ranks: 120, 31.4, 16.6 and 1.9 GB, as in the ZeRO paper's figure 1."""
    found = [
        7.5 * sum(bytes_each("fp16", engine="deepspeed", strategy="zero", stage=s, data=64)) for s in range(4)
    ]
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


def test_deepspeed_fp32():
    """In fp32 stages 1 and 2 clone the weights for the optimizer, stage 3 works on the weights themselves."""
    each = {
        stage: bytes_each("fp32", engine="deepspeed", strategy="zero", stage=stage, data=2)
        for stage in range(4)
    }
    assert [found[2] for found in each.values()] == [0, 2, 2, 0]


def test_megatron():
    """Megatron: 18 bytes in bf16, 6 + 12 / n with its distributed optimizer over n ranks.

    Source: NVIDIA/Megatron-LM@core_r0.12 megatron/training/theoretical_memory_usage.py.
    """
    assert sum(bytes_each(engine="megatron")) == 18
    assert sum(bytes_each(engine="megatron", strategy="zero", stage=1, data=8)) == 6 + 12 / 8


def test_megatron_fp16_as_logged():
    """Megatron v2.4 in fp16 held 20.0 bytes per parameter of a pipeline stage after a step.

    Source: bigscience-workshop/bigscience@9e64edec experiments/gpt2-meg-ds-3d/meg_ds_3d_gpt2_perf_n16-ds-off.out:
    allocated 17504.85 MiB for 917,757,952 parameters.
    """
    each = sum(bytes_each("fp16", engine="megatron"))
    assert each * 917_757_952 / 2**20 == pytest.approx(17504.85, rel=0.001)


def test_deepspeed_pipeline_as_logged():
    """DeepSpeed's stage 1 with one data-parallel rank held 14.1 bytes per parameter between steps.

    Source: bigscience-workshop/bigscience@9e64edec experiments/gpt2-meg-ds-3d: allocated 12337.46 MiB for
    917,757,952 parameters; gradients are dropped after each step.
    """
    parameters, _, masters, states = bytes_each("fp16", engine="deepspeed", strategy="zero", stage=1)
    assert (parameters + masters + states) * 917_757_952 / 2**20 == pytest.approx(12337.46, rel=0.01)


def test_fsdp():
    """FSDP's mixed precision shares fp32 parameters, gradients and states: 16 / n."""
    assert sum(bytes_each(strategy="fsdp", stage=3, data=8)) == 2
    formats = formats_of(precision=PrecisionPlan(compute="bf16"), engine="torchrun", strategy="fsdp")
    assert (formats.autocast, formats.parameter_bytes, compute_bytes(formats)) == (False, 4, 2)


def test_written_gradients():
    """A gradient or reduction format that is written is used."""
    formats = formats_of(
        precision=PrecisionPlan(compute="bf16", gradient_dtype="fp32", reduce_dtype="bf16"),
        engine="deepspeed",
        strategy="zero",
    )
    assert (formats.gradient_bytes, formats.reduce_bytes) == (4, 2)
    assert not formats_of(
        precision=PrecisionPlan(compute="bf16", autocast=False), engine="torchrun", strategy="ddp"
    ).autocast


def test_fp8_is_stored_in_16_bits():
    """fp8 is a format of products: what is kept is priced as bf16."""
    assert bytes_each("fp8", engine="megatron") == bytes_each("bf16", engine="megatron")
    assert bytes_each("fp8") == bytes_each("bf16")
