"""Published training of language models: tokens per step, split, rate, warmup, length and size as they were printed.

Every expected number is written as the arithmetic of its source; sizes are those of the weights, or of the paper's table
within its rounding.
"""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from launcher.api import load_recipe
from launcher.api import plan as make_plan

RECIPES = Path(__file__).parents[2] / "recipes"
B, T = 10**9, 10**12


class Published(NamedTuple):
    """What a publication prints of the last stage of a run."""

    recipe: str
    split: tuple[int, int, int]
    """Micro-batch, accumulation, data-parallel ranks."""
    tokens: int
    """Per optimizer step."""
    peak: float
    final: float
    warmup_steps: int
    total_steps: int
    parameters: tuple[float, float]
    """Least and most, as far as the printed figure is rounded; equal where every one is counted."""


def steps_of(tokens, per_step):
    """Optimizer steps after which a number of tokens is reached."""
    return math.ceil(tokens / per_step)


def exactly(number):
    return (number, number)


PUBLISHED = [
    # karpathy/nanoGPT@3adf61e1 config/train_gpt2.py, train.py: 12 batch size * 1024 block size * 5 gradaccum * 8 GPUs
    Published(
        *("gpt2-124m/a100-sxm-40gb-1x8", (12, 5, 8), 12 * 1024 * 5 * 8, 6e-4, 6e-5, 2000, 600_000),
        (123.5e6, 124.5e6),
    ),
    Published(
        *("gpt2-124m/rtx-4090-1x1", (12, 40, 1), 12 * 1024 * 5 * 8, 6e-4, 6e-5, 2000, 600_000),
        (123.5e6, 124.5e6),
    ),
    # Brown et al. 2020, arXiv:2005.14165, table 2.1: 13.0B (at a width of 5,140), 2M tokens, 1.0e-4; appendix B
    Published(
        *("gpt-3-13b/a100-sxm-80gb-64x8", (2, 2, 256), 1024 * 2048, 1.0e-4, 1.0e-5),
        *(steps_of(375e6, 1024 * 2048), steps_of(300 * B, 1024 * 2048), (12.5e9, 13.5e9)),
    ),
    # Touvron et al. 2023, arXiv:2307.09288, section 2.2 and table 1: 4M tokens, 2.0T; sizes of the published weights
    Published(
        *("llama-2-7b/a100-sxm-80gb-16x8", (1, 2048 // 2 // 128, 128), 4 * 2**20, 3.0e-4, 3.0e-5),
        *(2000, steps_of(2 * T, 4 * 2**20), exactly(6_738_415_616)),
    ),
    Published(
        *("llama-2-70b/a100-sxm-80gb-128x8", (1, 16, 1024 // 4 // 4), 4 * 2**20, 1.5e-4, 1.5e-5),
        *(2000, steps_of(2 * T, 4 * 2**20), exactly(68_976_648_192)),
    ),
    # NVIDIA/NeMo-Framework-Launcher@26e42fa9 launcher_scripts/conf/training/llama/{llama3_8b,llama3_70b}.yaml
    Published(
        *("llama-3-8b/h100-sxm-80gb-16x8", (1, 32, 128 // 2), 2048 * 8192, 1e-4, 1e-5),
        *(500, 300_000, exactly(8_030_261_248)),
    ),
    Published(
        *("llama-3-70b/h100-sxm-80gb-128x8", (1, 64, 1024 // 4 // 4 // 2), 2048 * 8192, 1.5e-4, 1e-5),
        *(2000, 300_000, exactly(70_553_706_496)),
    ),
    # pytorch/torchtitan@238fa9953 torchtitan/models/llama3/train_configs/llama3_8b.toml
    Published(
        *("llama-3-8b/h100-sxm-80gb-8x8", (1, 1, 64), 64 * 8192, 3e-4, 0.0),
        *(200, 1000, exactly(8_030_261_248)),
    ),
    # Grattafiori et al. 2024, arXiv:2407.21783, table 4 (16,384 devices, 16 sequences per rank, 16M tokens), section 3.4.1;
    # 15.6T tokens: 252M of 4M tokens, 2.87T of 8M, the rest of 16M
    Published(
        *("llama-3-405b/h100-sxm-80gb-2048x8", (1, 16, 16_384 // 8 // 16), 16 * 2**20, 8e-5, 8e-7, 8000),
        61 + 342_101 + steps_of(15.6 * T - 61 * 4 * 2**20 - 342_101 * 8 * 2**20, 16 * 2**20),
        exactly(405_853_388_800),
    ),
    # NVIDIA/NeMo-Framework-Launcher@26e42fa9 launcher_scripts/conf/training/mixtral/mixtral_8x7b.yaml
    Published(
        *("mixtral-8x7b/h100-sxm-80gb-8x8", (1, 16, 64 // 4), 256 * 4096, 1e-4, 1e-5),
        *(636, 300_000, exactly(46_702_792_704)),
    ),
    # DeepSeek-AI 2024, arXiv:2412.19437, sections 3.2 and 4.2: 15,360 sequences of 4K, 671B
    Published(
        *("deepseek-v3/h800-sxm-80gb-256x8", (1, 120, 2048 // 16), 15_360 * 4096, 2.2e-4, 2.2e-5 * 0.33182),
        *(2000, 244_108, (670.5e9, 671.5e9)),
    ),
    # EleutherAI/pythia@a19eecb models/*/pythia-*.yml and README.md: 2,097,152 tokens, 143,000 steps, warmup 0.01
    *(
        Published(
            *(f"pythia-{size}/a100-sxm-40gb-{nodes}x8", split, 2_097_152, peak, round(peak / 10, 9)),
            *(1430, 143_000, exactly(count)),
        )
        for size, nodes, split, peak, count in (
            ("160m", 4, (32, 1, 32), 6e-4, 162_322_944),
            ("1.4b", 8, (16, 1, 64), 2e-4, 1_414_647_808),
            ("6.9b", 16, (8, 2, 128 // 2), 1.2e-4, 6_857_302_016),
            ("12b", 32, (8, 2, 256 // 4), 1.2e-4, 11_846_072_320),
        )
    ),
    # EleutherAI/gpt-neox@ea7aefd8 configs/20B.yml; arXiv:2204.06745: 3.15M tokens; size on its model card
    Published(
        *("gpt-neox-20b/a100-sxm-40gb-12x8", (4, 32, 96 // 2 // 4), 4 * 32 * 12 * 2048, 0.97e-4, 0.97e-5),
        *(1500, 150_000, exactly(20_554_567_680)),
    ),
    # Zhang et al. 2022, arXiv:2205.01068, table 1; facebookresearch/metaseq@f7ffa5f opt_baselines.py: 8 sequences per rank
    Published(
        *("opt-175b/a100-sxm-80gb-124x8", (2 * 2**20 // 124 // 2048, 1, 992 // 8), 8 * 124 * 2048, 1.2e-4),
        *(1.2e-5, 2000, steps_of(300 * B, 8 * 124 * 2048), (174.5e9, 175.5e9)),
    ),
    Published(
        *("opt-125m/a100-sxm-80gb-1x8", (32, 1, 8), 2**19, 6.0e-4, 6.0e-5),
        *(steps_of(375e6, 2**19), steps_of(300 * B, 2**19), (124.5e6, 125.5e6)),
    ),
    # mosaicml/llm-foundry@8c8dd48f7 scripts/train/yamls/pretrain/mpt-7b.yaml; benchmarking/README.md: 6,658,859,008
    Published(
        *("mpt-7b/a100-sxm-40gb-8x8", (8, 2, 64), 1024 * 2048, 1.2e-4, 1.2e-5),
        *(100, 63_900, exactly(6_658_859_008)),
    ),
    # allenai/OLMo@59a53e3f configs/official-1124/OLMo2-7B-stage1.yaml: t_warmup 8388608000, 3.90T tokens
    Published(
        *("olmo-2-7b/h100-sxm-80gb-64x8", (2, 1, 512), 1024 * 4096, 3e-4, 3e-5),
        *(8_388_608_000 // (1024 * 4096), steps_of(3.9 * T, 1024 * 4096), (7.25e9, 7.35e9)),
    ),
    # jzhang38/TinyLlama@bf12224 pretrain/tinyllama.py, README.md: 2 million tokens (2048 * 1024)
    Published(
        *("tinyllama-1.1b/a100-sxm-40gb-2x8", (8, 512 // 8 // 8, 16), 2048 * 1024, 4e-4, 4e-5),
        *(2000, 715_256 * 2, exactly(1_100_048_384)),
    ),
    # QwenLM/Qwen2.5@77fb0c1 examples/llama-factory/qwen2-7b-{full,lora}-sft.yaml; one epoch of 46,802 examples
    Published(
        *("qwen2.5-7b/a100-sxm-80gb-1x8-full", (1, 16, 8), 16 * 8 * 1024, 1e-5, 0.0),
        *(math.ceil(4680.2 / 128), math.ceil(46_802 / 128), exactly(7_615_616_512)),
    ),
    # "trainable params: 40,370,176 || all params: 7,655,986,688", as PEFT prints for rank 16 on all linear layers
    Published(
        *("qwen2.5-7b/rtx-4090-1x1-lora", (1, 16, 1), 16 * 1024, 1e-4, 0.0),
        *(math.ceil(4680.2 / 16), math.ceil(46_802 / 16), exactly(7_655_986_688)),
    ),
]


@cache
def planned(name):
    """The plan of a recipe of the library."""
    return make_plan(load_recipe(RECIPES / f"{name}.yaml"), environ={})


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.recipe)
def test_published_numbers(case):
    """Tokens per step, split, peak, final rate, warmup, length and parameters are those of the publication."""
    plan = planned(case.recipe)
    batch, rate = plan.batch, plan.learning_rate
    assert batch.tokens_per_step == case.tokens
    split = (batch.micro_batch_size, batch.gradient_accumulation_steps, batch.data_parallel_size)
    assert split == case.split
    assert batch.idle_slots == 0
    assert rate.scaling_rule == "none"
    assert (rate.peak_learning_rate, rate.final_learning_rate) == (case.peak, case.final)
    assert (rate.warmup_steps, rate.total_steps) == (case.warmup_steps, case.total_steps)
    least, most = case.parameters
    assert least <= plan.model.num_parameters <= most


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.recipe)
def test_what_was_trained_fits(case):
    """Every published set-up ran on its machine; none is said not to fit, and no warning of memory but a narrow one."""
    plan = planned(case.recipe)
    assert plan.verdict in {"fits", "tight"}
    assert not [problem for problem in plan.problems if problem.severity == "error"]


def test_the_split_does_not_change_what_is_trained():
    """GPT-2 on one card means the same training as on eight, by its semantics hash; the plan is another."""
    eight, one = planned("gpt2-124m/a100-sxm-40gb-1x8"), planned("gpt2-124m/rtx-4090-1x1")
    assert eight.semantics_hash == one.semantics_hash
    assert eight.plan_hash != one.plan_hash


def test_what_an_adapter_trains():
    """PEFT prints 40,370,176 trainable parameters for Qwen2.5 7B, rank 16 on all linear layers; a full one trains all."""
    lora = planned("qwen2.5-7b/rtx-4090-1x1-lora").model
    assert lora.num_trainable_parameters == 40_370_176 == lora.num_parameters - 7_615_616_512
    full = planned("qwen2.5-7b/a100-sxm-80gb-1x8-full").model
    assert full.num_trainable_parameters == full.num_parameters


def test_experts_at_work():
    """Of DeepSeek-V3 37B parameters work on a token (arXiv:2412.19437, abstract), of Mixtral 12.9B (arXiv:2401.04088: 13B)."""
    assert round(planned("deepseek-v3/h800-sxm-80gb-256x8").model.num_active_parameters / 1e9, 1) == 37.6
    assert round(planned("mixtral-8x7b/h100-sxm-80gb-8x8").model.num_active_parameters / 1e9, 1) == 12.9


def test_the_long_context_stage_of_llama_3():
    """128 sequences of 131,072 tokens are the 16M of table 4, row 3; of 16,384 devices 8 x 16 x 16 work on one.

    The table prints DP 4; its 16 sequences per data-parallel rank make 16M tokens with 8.
    Source: Grattafiori et al. 2024, arXiv:2407.21783, table 4.
    """
    plan = planned("llama-3-405b/h100-sxm-80gb-2048x8-131072")
    assert plan.batch.tokens_per_step == 16 * 2**20
    assert plan.batch.data_parallel_size == 16_384 // (8 * 16 * 16) == 8
    assert plan.batch.gradient_accumulation_steps * plan.batch.micro_batch_size == 16
    assert plan.learning_rate is None
