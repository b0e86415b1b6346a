"""Published tables that are the output of a rule or a unit, planned from their first row."""

import pytest
from published_rates import LLAMA_405B

from launcher.api import load_recipe, plan
from launcher.planning.learning_rate import learning_rate_at

LLAMA_405B_WARMUP = 9_216_000


def planned(*, batch, length, optimizer, schedule):
    return plan(
        load_recipe(
            {
                "global_batch_size": batch,
                "sequence_length": length,
                "hidden_size": 1024,
                "optimizer": optimizer,
                "schedule": schedule,
                "cluster": {"nodes": 1, "devices_per_node": 8, "device": "cpu"},
            }
        )
    )


def llama_405b(batch, warmup=f"{LLAMA_405B_WARMUP} samples", keeps="unit"):
    """The benchmark's other rows from its first: linear rule, warmup constant in samples."""
    reference, rate, _ = LLAMA_405B[0]
    return planned(
        batch=batch,
        length=8192,
        optimizer={"reference_learning_rate": rate, "reference_batch_size": reference, "scaling": "linear"},
        schedule={"warmup": warmup, "warmup_keeps": keeps},
    ).learning_rate


@pytest.mark.parametrize(("batch", "rate", "warmup_steps"), LLAMA_405B)
def test_llama_405b_follows_from_its_first_row(batch, rate, warmup_steps):
    """MLPerf's Llama 3.1 405B: rate linear in the batch, warmup of one number of samples, steps rounded up."""
    found = llama_405b(batch)
    assert found.peak_learning_rate == pytest.approx(rate, rel=1e-15)
    assert found.warmup_steps == warmup_steps
    assert found.warmup_samples == LLAMA_405B_WARMUP


@pytest.mark.parametrize(("batch", "rate", "warmup_steps"), LLAMA_405B)
def test_its_warmup_in_tokens(batch, rate, warmup_steps):
    """The same warmup written in tokens is the same number of samples and steps."""
    found = llama_405b(batch, f"{LLAMA_405B_WARMUP * 8192} tokens")
    assert (found.warmup_samples, found.warmup_steps) == (LLAMA_405B_WARMUP, warmup_steps)


def test_its_warmup_written_in_steps():
    """8000 steps at the reference are the same samples everywhere with `warmup_keeps: samples`."""
    for batch, _, warmup_steps in LLAMA_405B:
        found = llama_405b(batch, "8000 steps", keeps="samples")
        assert (found.warmup_samples, found.warmup_steps) == (LLAMA_405B_WARMUP, warmup_steps)


def test_its_rows_rise_alike_per_step_and_not_per_sample():
    """At equal samples inside the warmup the rate is linear in the batch, far below any peak.

    The runs end within 272 steps or 5 % of the ramp: the table is a test of arithmetic, not a proof of the rule.
    """
    at = {batch: llama_405b(batch).schedule for batch, _, _ in LLAMA_405B}
    samples = 1_152_000
    smallest = learning_rate_at(schedule=at[1152], samples=samples)
    for batch, rate, _ in LLAMA_405B:
        found = learning_rate_at(schedule=at[batch], samples=samples)
        assert found == pytest.approx(smallest * batch / 1152, rel=1e-12)
        assert found == pytest.approx(rate * samples / LLAMA_405B_WARMUP, rel=1e-12)


BERT = [(8, 128, 64), (8, 512, 16), (8, 1024, 8), (16, 64, 64), (16, 128, 32)]
"""GPUs, accumulation steps and the sequences of a forward pass that they leave of 65536 in phase 1.

Source: NVIDIA/DeepLearningExamples@2de2945 PyTorch/LanguageModeling/BERT/scripts/configs/pretrain_config.sh, whose
train_batch_size is that of one GPU, accumulation included.
"""


@pytest.mark.parametrize(("devices", "accumulation", "micro"), BERT)
def test_berts_batch_is_one_identity(devices, accumulation, micro):
    """Every machine of NVIDIA's BERT recipe trains the same 65536 sequences: micro x accumulation x GPUs."""
    per_gpu = 65536 // devices
    found = plan(
        load_recipe(
            {
                "global_batch_size": per_gpu * devices,
                "sequence_length": 128,
                "hidden_size": 1024,
                "gradient_accumulation_steps": accumulation,
                "cluster": {"nodes": 1, "devices_per_node": devices, "device": "cpu"},
            }
        )
    ).batch
    assert found.micro_batch_size == per_gpu // accumulation == micro
    assert (found.slots_per_step, found.idle_slots) == (65536, 0)


def test_bert_phase_two_at_half_the_batch():
    """NVIDIA's 4e-3 at 32768, by the square-root rule, is the rate that others train at 16384; so is the warmup.

    Source: PaddlePaddle/PaddleNLP examples/language_model/bert/static_ipu/scripts/pod16/run_pretrain_phase2.sh:
    learning rate 0.002828427125, 274 warmup steps of 2137 (12.8 % as in NVIDIA's file).
    """
    found = planned(
        batch=16384,
        length=384,
        optimizer={
            "name": "lamb",
            "reference_learning_rate": 4e-3,
            "reference_batch_size": 4096 * 8,
            "scaling": "sqrt",
        },
        schedule={"warmup": "12.8 %", "length": "2137 steps"},
    ).learning_rate
    assert round(found.peak_learning_rate, 12) == 0.002828427125
    assert found.warmup_steps == 274
