"""Published batch ramps and schedules that end elsewhere than the run: steps, samples and rates at their corners."""

import json
from functools import cache
from pathlib import Path

import pytest

from launcher.api import load_recipe, render
from launcher.api import plan as make_plan
from launcher.planning.stages.ledger import planned_rate, step_at

RECIPES = Path(__file__).parents[2] / "recipes"
M, B, T = 10**6, 10**9, 10**12


@cache
def planned(name):
    """The plan of a recipe of the library."""
    return make_plan(load_recipe(RECIPES / f"{name}.yaml"), environ={})


def rate_of(plan, step):
    """The learning rate that the plan says for one optimizer step."""
    return planned_rate(plan, step_at(plan, step))


def batches(plan):
    """Sequences per step of every stage."""
    return [stage.batch.global_batch_size for stage in plan.stages]


def test_bloom_as_trained():
    """192 to 2,048 by 16 over 9,765,625 samples: 116 batches, 12,658 steps, then 2,048; 220 M samples in all.

    Source: bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/tr11-176B-ml.slurm.
    """
    plan = planned("bloom-176b/a100-sxm-80gb-48x8")
    *ramp, last = plan.stages
    assert batches(plan) == list(range(192, 2049, 16))
    assert len(ramp) == (2048 - 192) // 16 == 116
    assert last.first_step == 12_658 + 1
    assert 9_765_625 <= last.samples_before < 9_765_625 + 2032
    assert last.tokens_before == last.samples_before * 2048
    assert last.steps == -(-(220 * M - last.samples_before) // 2048)


def test_bloom_as_announced():
    """16 to 2,048 by 16: 127 batches of 76,894 samples, the first for 4,806 steps (README: 4805, rounded down).

    Source: bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/README.md.
    """
    plan = planned("bloom-176b/a100-sxm-80gb-48x8-from-16")
    *ramp, last = plan.stages
    assert len(ramp) == (2048 - 16) // 16 == 127
    first, second = ramp[:2]
    assert first.steps == -(-9_765_625 // (127 * 16)) == 4806
    assert 2402 <= second.steps <= 2403
    assert 9_765_625 <= last.samples_before < 9_765_625 + 2032


@pytest.mark.parametrize("name", ["a100-sxm-80gb-48x8", "a100-sxm-80gb-48x8-from-16"])
def test_the_rate_of_bloom(name):
    """183,105 samples of warmup to 6e-5, cosine to 6e-6 at 200 M samples, constant to 220 M; 2,048 x 2,048 tokens."""
    plan = planned(f"bloom-176b/{name}")
    rate = plan.learning_rate
    assert plan.batch.tokens_per_step == 2048 * 2048
    assert rate.warmup_samples == 183_105 == 375 * M // 2048
    assert rate.total_samples == 220 * M
    assert (rate.peak_learning_rate, rate.final_learning_rate) == (6e-5, 6e-6)
    last = plan.stages[-1]
    at_200 = last.first_step + (200 * M - last.samples_before) // 2048
    assert rate_of(plan, rate.total_steps) == rate_of(plan, at_200 + 1) == 6e-6
    assert rate_of(plan, at_200 - 1000) > 6e-6


def test_gpt_3():
    """16 to 1,536 by 16 over 5,859,375 samples = 12B tokens; 375M tokens of warmup; a tenth from 260B of 300B on.

    Source: NVIDIA/Megatron-LM@152aab30 examples/pretrain_gpt3_175B.sh; Brown et al. 2020, arXiv:2005.14165, appendix B.
    """
    plan = planned("gpt-3-175b/a100-sxm-80gb-128x8")
    rate, last = plan.learning_rate, plan.stages[-1]
    assert len(plan.stages) == (1536 - 16) // 16 + 1 == 96
    assert 12 * B // 2048 == 5_859_375
    assert 5_859_375 <= last.samples_before < 5_859_375 + 1520
    assert plan.batch.tokens_per_step == 1536 * 2048
    assert (plan.layout.tensor_parallel_size, plan.layout.pipeline_parallel_size) == (8, 16)
    assert rate.total_samples == 146_484_375 == 300 * B // 2048
    assert rate.warmup_samples == 183_105
    assert (rate.peak_learning_rate, rate.final_learning_rate) == (6e-5, 6e-6)
    at_260 = last.first_step + (126_953_125 - last.samples_before) // 1536
    assert rate_of(plan, at_260 + 1) == rate_of(plan, rate.total_steps) == 6e-6
    assert 174.5e9 <= plan.model.num_parameters <= 175.5e9


def test_gpt_3_13b_ends_its_decay_early():
    """A tenth of 1.0e-4 from 260B tokens on, where the run has 300B."""
    plan = planned("gpt-3-13b/a100-sxm-80gb-64x8")
    at_260 = -(-260 * B // (1024 * 2048))
    assert rate_of(plan, at_260) == 1.0e-5
    assert rate_of(plan, at_260 - 100) > 1.0e-5


def test_llama_3():
    """4M tokens of 4,096 up to 252M, 8M of 8,192 up to 2.87T, then 16M: 61 and 342,101 steps before the last batch.

    Source: Grattafiori et al. 2024, arXiv:2407.21783, section 3.4.1 and table 4.
    """
    plan = planned("llama-3-405b/h100-sxm-80gb-2048x8")
    first, second, last = plan.stages
    assert [stage.batch.tokens_per_step for stage in plan.stages] == [4 * 2**20, 8 * 2**20, 16 * 2**20]
    assert [stage.batch.sequence_length for stage in plan.stages] == [4096, 8192, 8192]
    assert first.steps == -(-252 * M // (4 * 2**20)) == 61
    assert second.steps == -(-(2870 * B - 61 * 4 * 2**20) // (8 * 2**20)) == 342_101
    assert last.tokens_before == 61 * 4 * 2**20 + 342_101 * 8 * 2**20
    layout = plan.layout
    assert (layout.tensor_parallel_size, layout.pipeline_parallel_size, layout.world_size) == (8, 16, 16_384)
    assert plan.batch.gradient_accumulation_steps * plan.batch.micro_batch_size == 16


def test_the_decay_of_llama_3_lies_behind_its_end():
    """Cosine over 1,200,000 steps, of which 15.6T tokens are 1.1 million: the run ends above 8e-7."""
    plan = planned("llama-3-405b/h100-sxm-80gb-2048x8")
    rate = plan.learning_rate
    assert rate.total_steps < 1_200_000
    assert 8e-7 < rate_of(plan, rate.total_steps) < 0.1 * 8e-5
    assert rate_of(plan, 8000) == pytest.approx(8e-5, rel=1e-3)


def test_deepseek_v3():
    """3,072 to 15,360 sequences over 469B tokens; 2.2e-4 to 10T tokens, 2.2e-5 for 333B, 7.3e-6 for the last 167B.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 4.2.
    """
    plan = planned("deepseek-v3/h800-sxm-80gb-256x8")
    rate, last = plan.learning_rate, plan.stages[-1]
    assert batches(plan)[0] == 3072
    assert batches(plan)[-1] == 15_360
    assert 469 * B - 4096 < 114_501_953 * 4096 <= 469 * B
    assert 114_501_953 <= last.samples_before < 114_501_953 + 14_336
    per_step = 15_360 * 4096
    at = {
        mark: last.first_step + (int(mark * T) - last.tokens_before) // per_step
        for mark in (10, 14.3, 14.633)
    }
    assert rate_of(plan, 2000) == rate_of(plan, at[10] - 1) == 2.2e-4
    assert rate_of(plan, at[10] + 1000) < 2.2e-4
    assert rate_of(plan, at[14.3] + 1) == rate_of(plan, at[14.633] - 1) == 2.2e-5
    assert rate_of(plan, at[14.633] + 1) == rate_of(plan, rate.total_steps) == pytest.approx(7.3e-6, rel=1e-4)
    halfway = last.first_step + (int(12.15 * T) - last.tokens_before) // per_step
    assert rate_of(plan, halfway) == pytest.approx((2.2e-4 + 2.2e-5) / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "peak", "final"),
    [("llama-3-70b/h100-sxm-80gb-128x8", 1.5e-4, 1e-5), ("mixtral-8x7b/h100-sxm-80gb-8x8", 1e-4, 1e-5)],
)
def test_constant_steps_of_nemo(name, peak, final):
    """constant_steps 11873 at min_lr before max_steps 300000: the cosine ends at step 288,127.

    Source: NVIDIA/NeMo-Framework-Launcher@26e42fa9 launcher_scripts/conf/training/{llama/llama3_70b,mixtral/mixtral_8x7b}.yaml.
    """
    plan = planned(name)
    assert plan.learning_rate.peak_learning_rate == peak
    assert rate_of(plan, 300_000 - 11_873) == rate_of(plan, 300_000) == final
    assert rate_of(plan, 300_000 - 11_873 - 100) > final


def test_olmo_stops_on_its_way():
    """The cosine is laid out for 5T tokens and the data end after 3.9T: the last rate is far above a tenth."""
    plan = planned("olmo-2-7b/h100-sxm-80gb-64x8")
    assert rate_of(plan, 2000) == 3e-4
    assert 0.2 * 3e-4 < rate_of(plan, plan.learning_rate.total_steps) < 0.25 * 3e-4


def test_a_ramp_of_megatron_can_be_rendered():
    """Tensor, pipeline and stages are the script's: the job gets its files, and the script reads the stages from the plan."""
    recipe = load_recipe(RECIPES / "bloom-176b/a100-sxm-80gb-48x8.yaml")
    plan = make_plan(recipe, environ={})
    bundle = render(recipe, plan)
    assert json.loads(bundle.files["deepspeed.json"])["train_batch_size"] == 192
    assert plan.applied_by["stages"] == plan.applied_by["pipeline"] == "script-must"
