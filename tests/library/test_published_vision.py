"""Published training of images and encoders: batch, accumulation, rate, warmup, length and size as they were printed."""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from launcher.api import load_recipe
from launcher.api import plan as make_plan
from launcher.planning.learning_rate import learning_rate_of_step

RECIPES = Path(__file__).parents[2] / "recipes"
IMAGES = 1_281_167


class Published(NamedTuple):
    """What a publication prints; None where it prints nothing."""

    recipe: str
    batch: int
    ranks: int
    micro: int
    accumulation: int
    peak: float
    warmup_steps: int
    total_steps: int
    final: float
    parameters: tuple[float, float] | None
    """Least and most, as far as the printed figure is rounded."""


PUBLISHED = [
    # Goyal et al. 2017, arXiv:1706.02677, section 5.1: n = 32, 0.1 x kn / 256, 90 epochs; warmup section 2.2
    Published(
        "resnet-50/p100-sxm-16gb-1x8-batch-256", 256, 8, 32, 1, 0.1, 0, -(-90 * IMAGES // 256), 1e-4, None
    ),
    Published(
        "resnet-50/p100-sxm-16gb-32x8-batch-8192",
        8192,
        256,
        32,
        1,
        3.2,
        -(-5 * IMAGES // 8192),
        -(-90 * IMAGES // 8192),
        3.2e-3,
        None,
    ),
    # NVIDIA/DeepLearningExamples@097c7ff PyTorch/Classification/ConvNets/configs.yml, resnet50, DGX1V, AMP
    Published(
        "resnet-50/v100-sxm-16gb-1x8-batch-2048",
        2048,
        8,
        256,
        1,
        2.048,
        -(-8 * IMAGES // 2048),
        -(-250 * IMAGES // 2048),
        0.0,
        None,
    ),
    # mlcommons/logging@7bbf792 rcp_checker/training_4.0.0/rcps_resnet.json, resnet_ref_32768
    Published(
        "resnet-50/a100-sxm-40gb-32x8-batch-32768",
        32768,
        256,
        128,
        1,
        21.2,
        -(-16 * IMAGES // 32768),
        2267,
        1e-4,
        None,
    ),
    # Dosovitskiy et al. 2020, arXiv:2010.11929, Tables 1 and 3: 307 M with the head of ImageNet, here 21,843 classes
    Published(
        "vit-l-16/a100-sxm-40gb-8x8", 4096, 64, 64, 1, 1e-3, 10_000, -(-90 * 14_000_000 // 4096), 0.0, None
    ),
    # pytorch/vision references/classification/README.md, vit_l_16 and vit_b_16; parameters of the weights it ships
    Published(
        "vit-l-16/v100-sxm-32gb-2x8-imagenet-1k",
        1024,
        16,
        64,
        1,
        0.5,
        -(-5 * IMAGES // 1024),
        -(-600 * IMAGES // 1024),
        0.0,
        (304_326_632, 304_326_632),
    ),
    Published(
        "vit-b-16/v100-sxm-32gb-8x8",
        4096,
        64,
        64,
        1,
        3e-3,
        -(-30 * IMAGES // 4096),
        -(-300 * IMAGES // 4096),
        0.0,
        (86_567_656, 86_567_656),
    ),
    # NVIDIA/DeepLearningExamples@2de2945 BERT/scripts/configs/pretrain_config.sh, dgxa100_8gpu_fp16; README: 336 M
    Published(
        "bert-large/a100-sxm-40gb-1x8-lamb-phase-1",
        65536,
        8,
        64,
        128,
        6e-3,
        math.ceil(0.2843 * 7038),
        7038,
        0.0,
        (335e6, 337e6),
    ),
    Published(
        "bert-large/a100-sxm-40gb-1x8-lamb-phase-2",
        32768,
        8,
        16,
        256,
        4e-3,
        math.ceil(0.128 * 1563),
        1563,
        0.0,
        (335e6, 337e6),
    ),
    # the same file, dgx1_8gpu_fp16
    Published(
        "bert-large/v100-sxm-16gb-1x8-lamb-phase-1",
        65536,
        8,
        16,
        512,
        6e-3,
        math.ceil(0.2843 * 7038),
        7038,
        0.0,
        (335e6, 337e6),
    ),
    Published(
        "bert-large/v100-sxm-16gb-1x8-lamb-phase-2",
        32768,
        8,
        8,
        512,
        4e-3,
        math.ceil(0.128 * 1563),
        1563,
        0.0,
        (335e6, 337e6),
    ),
    # Devlin et al. 2018, arXiv:1810.04805, appendix A.2; section 3: 110 M
    Published("bert-base/a100-sxm-40gb-1x8", 256, 8, 32, 1, 1e-4, 10_000, 1_000_000, 0.0, (109e6, 111e6)),
    # facebookresearch/fairseq@84c873d examples/roberta/config/pretraining/base.yaml; README: 125 M
    Published("roberta-base/v100-sxm-32gb-1x8", 2048, 8, 16, 16, 5e-4, 10_000, 125_000, 0.0, (124e6, 126e6)),
    # Vaswani et al. 2017, arXiv:1706.03762, sections 5.1 to 5.3, Table 3: 65 M; some 50,000 tokens, here 1,000 pairs
    Published(
        "transformer-base/p100-sxm-16gb-1x8",
        1000,
        8,
        125,
        1,
        (512 * 4000) ** -0.5,
        4000,
        100_000,
        (512 * 100_000) ** -0.5,
        (62e6, 66e6),
    ),
    # Raffel et al. 2019, arXiv:1910.10683, section 3.1.2; section 3.1.1: about 220 M
    Published(
        "t5-base/a100-sxm-40gb-1x8", 128, 8, 16, 1, 0.01, 0, 2**19, 1 / math.sqrt(2**19), (215e6, 225e6)
    ),
    Published("t5-base/a100-sxm-40gb-1x8-fine-tuning", 128, 8, 16, 1, 0.001, 0, 2**18, 0.001, (215e6, 225e6)),
]


TIGHT = {"bert-large/v100-sxm-16gb-1x8-lamb-phase-2", "resnet-50/v100-sxm-16gb-1x8-batch-2048"}
"""Where the published micro-batch takes what the card has."""


@cache
def planned(name):
    return make_plan(load_recipe(RECIPES / f"{name}.yaml"), environ={"CUDA_VISIBLE_DEVICES": ""})


def rate(name, step):
    """Learning rate of an optimizer step."""
    plan = planned(name)
    batch = plan.batch.global_batch_size
    return learning_rate_of_step(
        schedule=plan.learning_rate.schedule, samples_after=step * batch, global_batch_size=batch
    )


def about(value):
    return pytest.approx(value, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.recipe)
def test_the_plan_is_what_was_published(published):
    """Batch identity, peak, warmup, length, final rate and parameters; it fits on the machine that is named."""
    plan = planned(published.recipe)
    batch, rates = plan.batch, plan.learning_rate
    assert (batch.global_batch_size, batch.micro_batch_size, batch.gradient_accumulation_steps) == (
        published.batch,
        published.micro,
        published.accumulation,
    )
    assert plan.layout.world_size == batch.data_parallel_size == published.ranks
    assert published.micro * published.accumulation * published.ranks == published.batch
    assert batch.idle_slots == 0
    assert rates.peak_learning_rate == about(published.peak)
    assert (rates.warmup_steps, rates.total_steps) == (published.warmup_steps, published.total_steps)
    assert rates.final_learning_rate == about(published.final)
    if published.parameters is not None:
        least, most = published.parameters
        assert least <= plan.model.num_parameters <= most
    assert plan.verdict == ("tight" if published.recipe in TIGHT else "fits")


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("bert-large/a100-sxm-40gb-1x8-lamb-phase-1", 65536 * 128),
        ("bert-large/a100-sxm-40gb-1x8-lamb-phase-2", 32768 * 512),
        ("bert-base/a100-sxm-40gb-1x8", 256 * 512),
        ("roberta-base/v100-sxm-32gb-1x8", 2048 * 512),
        ("t5-base/a100-sxm-40gb-1x8", 2**16 + 128 * 114),
        ("transformer-base/p100-sxm-16gb-1x8", 50_000),
        ("resnet-50/p100-sxm-16gb-32x8-batch-8192", None),
    ],
)
def test_tokens_per_step(name, tokens):
    """Sequences x length; T5's 2^16 count the input alone; an image is no sequence."""
    assert planned(name).batch.tokens_per_step == tokens


@pytest.mark.parametrize(
    ("name", "peak"),
    [("resnet-50/p100-sxm-16gb-1x8-batch-256", 0.1), ("resnet-50/p100-sxm-16gb-32x8-batch-8192", 3.2)],
)
def test_goyals_steps(name, peak):
    """Divided by 10 at epochs 30, 60 and 80: the first step that passes a mark is the first at the lower rate."""
    batch = planned(name).batch.global_batch_size
    for passed, epochs in enumerate((30, 60, 80)):
        before = epochs * IMAGES // batch
        assert rate(name, before) == about(peak / 10**passed)
        assert rate(name, before + 1) == about(peak / 10 ** (passed + 1))


def test_goyals_warmup():
    """It starts at the rate of the small batch and grows by a constant amount to 3.2 (section 2.2)."""
    name = "resnet-50/p100-sxm-16gb-32x8-batch-8192"
    assert planned(name).learning_rate.schedule.start_learning_rate == 0.1
    step = 3.1 * 8192 / (5 * IMAGES)
    assert rate(name, 1) == about(0.1 + step)
    assert rate(name, 700) - rate(name, 699) == pytest.approx(step, rel=1e-6)


def test_the_square_of_lars():
    """1e-4 + (21.2 - 1e-4) x (1 - p)^2 behind 16 epochs of warmup, at its end by step 2,267."""
    name = "resnet-50/a100-sxm-40gb-32x8-batch-32768"
    warmup = 16 * IMAGES / 32768
    step = 1500
    left = 1 - (step - warmup) / (2267 - warmup)
    assert rate(name, step) == pytest.approx(1e-4 + (21.2 - 1e-4) * left**2, rel=1e-6)
    assert rate(name, 2267) == about(1e-4)


@pytest.mark.parametrize(
    ("name", "peak", "warmup", "steps"),
    [
        ("bert-large/a100-sxm-40gb-1x8-lamb-phase-1", 6e-3, 0.2843, 7038),
        ("bert-large/a100-sxm-40gb-1x8-lamb-phase-2", 4e-3, 0.128, 1563),
    ],
)
def test_nvidias_root(name, peak, warmup, steps):
    """Every 50th step equals PolyWarmUpScheduler's formula, which counts its root from the first step.

    Source: NVIDIA/DeepLearningExamples@115867b PyTorch/LanguageModeling/BERT/schedulers.py:PolyWarmUpScheduler.
    """
    for step in range(1, steps + 1, 50):
        progress = step / steps
        expected = progress / warmup if progress < warmup else (1 - progress) ** 0.5
        assert rate(name, step) == about(peak * expected)


def test_the_first_berts_rate():
    """0.99e-4 where the warmup ends, half way at 500,000 steps (google-research/bert@02102db optimization.py)."""
    name = "bert-base/a100-sxm-40gb-1x8"
    assert [rate(name, step) for step in (5000, 10_000, 500_000)] == about([0.5e-4, 0.99e-4, 0.5e-4])


def test_t5s_rate():
    """1 / sqrt(max(n, 10,000)) at every power of two (arXiv:1910.10683 section 3.1.2)."""
    for power in range(20):
        assert rate("t5-base/a100-sxm-40gb-1x8", 2**power) == about(1 / math.sqrt(max(2**power, 10_000)))


def test_the_first_transformers_rate():
    """d^-0.5 x min(n^-0.5, n x w^-1.5) at every power of two (arXiv:1706.03762 equation 3)."""
    for step in (2**power for power in range(17)):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert rate("transformer-base/p100-sxm-16gb-1x8", step) == about(expected)


def test_robertas_rate_is_its_tables():
    """5e-4 is the table's rate for 2,048 sequences (fairseq examples/roberta/README.pretraining.md)."""
    table = {256: 1e-4, 2048: 5e-4, 8192: 7e-4}
    plan = planned("roberta-base/v100-sxm-32gb-1x8")
    assert plan.learning_rate.peak_learning_rate == table[plan.batch.global_batch_size]


def test_every_recipe_of_these_models_is_asserted():
    """A recipe that is added beside these needs a row here."""
    folders = {published.recipe.partition("/")[0] for published in PUBLISHED}
    files = {f"{folder}/{file.stem}" for folder in folders for file in (RECIPES / folder).glob("*.yaml")}
    assert files == {published.recipe for published in PUBLISHED}
