"""The learning rate follows the batch as published, and says where publications end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, count, only, plan_of, recipe_of, refusal_of

from launcher.planning.scaling import capped_scale, linear_scale, saturating_scale, sqrt_scale
from launcher.spec.model import Model
from launcher.spec.training import Optimizer, Scaling

close = pytest.approx


def rate_of(batch: int, reference: float, at: int, scaling="auto", name="adamw", **keys):
    optimizer = Optimizer(
        name=name, reference_learning_rate=reference, reference_batch_size=at, scaling=scaling
    )
    return plan_of(global_batch_size=batch, optimizer=optimizer, **keys).learning_rate


# quantity, rule, optimizer, reference rate, its batch, batch, published rate
PUBLISHED = [
    # Goyal et al. 2017, arXiv:1706.02677: ResNet-50, 0.1 at 256 is 3.2 at 8192
    ("linear", "sgd", 0.1, 256, 8192, 3.2),
    # MLPerf Llama-3.1-405B, mlcommons/logging@7bbf792 rcp_checker/training_5.1.0
    ("linear", "adamw", 8e-5, 1152, 2304, 1.6e-4),
    ("linear", "adamw", 8e-5, 1152, 4608, 3.2e-4),
    # You et al. 2019, arXiv:1904.00962, "untuned BERT" with LAMB: 5 / (2**3 x 10**3) at 512
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 1024, 8.839e-4),
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 2048, 1.250e-3),
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 4096, 1.768e-3),
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 8192, 2.500e-3),
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 16384, 3.536e-3),
    ("sqrt", "lamb", 5 / (2**3.0 * 10**3), 512, 32768, 5.000e-3),
    # Graphcore BERT-large phase 2, 0.002828 at 16384, from NVIDIA's 4e-3 at 32768
    ("sqrt", "lamb", 4e-3, 32768, 16384, 0.002828),
]


@pytest.mark.parametrize(("rule", "name", "reference", "at", "batch", "published"), PUBLISHED)
def test_published_learning_rates(rule, name, reference, at, batch, published):  # noqa: PLR0917
    """The plan's peak is the published learning rate, to the four digits published."""
    found = rate_of(batch, reference, at, scaling=rule, name=name)
    assert f"{found.peak_learning_rate:.3e}" == f"{published:.3e}"
    assert found.scaling_rule == rule
    assert found.reference_learning_rate == reference


def test_llama_factory_is_the_square_root_rule_in_tokens():
    """3e-4 at 4e6 tokens, sequences of 1024 x 16: 1.92e-5 (hiyouga/LLaMA-Factory scripts/stat_utils/cal_lr.py)."""
    optimizer = Optimizer(reference_learning_rate=3e-4, reference_batch_tokens=count("4M"))
    found = plan_of(global_batch_size=16, sequence_length=1024, optimizer=optimizer).learning_rate
    assert f"{found.peak_learning_rate:.2e}" == "1.92e-05"


def test_nanochat_learning_rate_is_the_square_root_rule():
    """2**20 tokens against 2**19: x 1.41421 (karpathy/nanochat@92d63d4 scripts/base_train.py)."""
    optimizer = Optimizer(reference_learning_rate=1.0, reference_batch_tokens=count("512Ki"))
    found = plan_of(global_batch_tokens=count("1Mi"), sequence_length=2048, optimizer=optimizer).learning_rate
    assert found.scale == close(1.41421, abs=5e-6)


@pytest.mark.parametrize(
    ("batch", "scale"),
    [(512, 1.94118), (1024, 3.66667), (8192, 16.5), (65536, 29.3333), (2**60, 33)],
)
def test_saturating_scale(batch, scale):
    """The factor kappa (B0 + Bc) / (B + Bc) at B0 256, Bc 8192: half of the limit (256 + 8192) / 256 = 33 at B = Bc."""
    found = saturating_scale(batch=batch, reference_batch=256, alpha=1, critical_batch=8192)
    assert found == close(scale, rel=2e-6)


@given(st.integers(2, 64), st.floats(0.1, 100))
def test_saturating_is_the_gain_of_adascale(scale, ratio):
    """(var + sqr) / (var / S + sqr) with var / sqr = Bc / B0 (fairscale@146f1602 fairscale/optim/adascale.py)."""
    gain = (ratio + 1) / (ratio / scale + 1)
    found = saturating_scale(batch=scale, reference_batch=1, alpha=1, critical_batch=ratio)
    assert found == close(gain, rel=1e-9)
    assert 1 <= found <= scale


def test_adascale_check_number():
    """S 8, var / sqr 32: 33 / (32 / 8 + 1) = 6.6."""
    assert saturating_scale(batch=8, reference_batch=1, alpha=1, critical_batch=32) == close(33 / 5)


def test_capped_scale_stops_at_the_critical_batch():
    """(min(B, C) / min(B0, C)) ** alpha."""
    assert capped_scale(batch=512, reference_batch=256, alpha=0.5, critical_batch=1024) == close(math.sqrt(2))
    assert capped_scale(batch=4096, reference_batch=256, alpha=0.5, critical_batch=1024) == close(2)
    assert capped_scale(batch=4096, reference_batch=2048, alpha=0.5, critical_batch=1024) == 1


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_rules_are_one_at_the_reference_and_undo_themselves(batch, reference):
    """Scaling there and back again is one."""
    for rule in (linear_scale, sqrt_scale):
        there, back = (
            rule(batch=batch, reference_batch=reference),
            rule(batch=reference, reference_batch=batch),
        )
        assert there * back == close(1)
        assert rule(batch=batch, reference_batch=batch) == 1


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sgd", "linear"),
        *((name, "sqrt") for name in ("adam", "adamw", "adamw-8bit", "rmsprop", "lamb", "lars")),
    ]
    + [(name, "sqrt") for name in ("adafactor", "lion", "muon")],
)
def test_auto_is_linear_for_sgd_and_sqrt_for_the_others(name, rule):
    """The rule depends on the optimizer only."""
    found = rate_of(512, 0.1, 256, name=name)
    assert found.scaling_rule == rule
    assert found.scale == close({"linear": 2, "sqrt": math.sqrt(2)}[rule])


def test_parametrised_rules_measure_the_critical_batch_in_tokens():
    """{rule: capped, alpha: 0.5, critical_batch_tokens: 512Ki}: 512 sequences of 1024 are the cap."""
    capped = Scaling(rule="capped", alpha=0.5, critical_batch_tokens=count("512Ki"))
    assert rate_of(1024, 1.0, 128, scaling=capped).scale == close(math.sqrt(512 / 128))
    saturating = Scaling(rule="saturating", alpha=1.0, critical_batch_tokens=count("8Mi"))
    assert rate_of(512, 1.0, 256, scaling=saturating).scale == close(1.94118, rel=2e-6)


def test_none_keeps_the_reference():
    """scaling: none applies the reference as it is, in either spelling."""
    assert rate_of(4096, 0.1, 256, scaling="none").peak_learning_rate == 0.1
    assert rate_of(4096, 0.1, 256, scaling=Scaling(rule="none")).scale == 1


def test_a_written_learning_rate_is_applied_as_written():
    """learning_rate is the peak, whatever the batch, and no rule touches it."""
    plan = plan_of(global_batch_size=4096, optimizer=Optimizer(learning_rate=3e-4, reference_batch_size=4))
    rate = plan.learning_rate
    assert (rate.peak_learning_rate, rate.scaling_rule, rate.scale) == (3e-4, "none", 1.0)
    assert rate.reference_learning_rate is None


def test_no_learning_rate_is_no_block_and_no_problem():
    """Without a rate the block is null; the length of the run is still in the data block."""
    plan = plan_of()
    assert plan.learning_rate is None
    assert codes(plan) == []


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Optimizer(learning_rate=1e-3, reference_learning_rate=1e-3), "ambiguous-learning-rate"),
        (Optimizer(reference_learning_rate=1e-3), "missing-reference-batch"),
        (
            Optimizer(
                reference_learning_rate=1e-3, reference_batch_size=8, reference_batch_tokens=count("256Ki")
            ),
            "ambiguous-batch",
        ),
        *(
            (
                Optimizer(reference_learning_rate=1e-3, reference_batch_size=256, scaling=scaling),
                "missing-scaling-parameter",
            )
            for scaling in (
                Scaling(rule="capped"),
                Scaling(rule="saturating", alpha=0.75),
            )
        ),
    ],
)
def test_refusals(optimizer, expected):
    """A rate given twice, without its batch, or under a rule without its numbers."""
    assert codes(refusal_of(optimizer=optimizer)) == [expected]


@pytest.mark.parametrize(
    "optimizer",
    [
        Optimizer(reference_learning_rate=1e-3, reference_batch_tokens=count("4Mi")),
        Optimizer(
            reference_learning_rate=1e-3,
            reference_batch_size=8,
            scaling=Scaling(rule="capped", alpha=0.5, critical_batch_tokens=count("4Mi")),
        ),
    ],
)
def test_tokens_need_a_sequence_length(optimizer):
    """A batch in tokens means nothing for a table of numbers."""
    recipe = recipe_of(sequence_length=None, model=Model(kind="mlp"), optimizer=optimizer)
    assert codes(refusal_of(recipe)) == ["tokens-need-sequence-length"]


@pytest.mark.parametrize(
    ("batch", "at", "name", "scaling", "warned"),
    [
        (256 * 32, 256, "sgd", "linear", False),
        (256 * 33, 256, "sgd", "linear", True),  # kappa above 32
        (8192, 4096, "sgd", "linear", False),
        (8193, 4096, "sgd", "linear", True),  # batch above 8192
        (1024, 256, "adamw", "sqrt", False),
        (1025, 256, "adamw", "sqrt", True),  # kappa above 4
        (512, 256, "adamw", "linear", False),
        (513, 256, "adamw", "linear", True),  # kappa above 2
        (32, 256, "adamw", "sqrt", False),
        (31, 256, "adamw", "sqrt", True),  # below an eighth
        (31, 256, "sgd", "linear", True),
        (1, 256, "adamw", "none", False),
        (8192, 8192, "sgd", "linear", False),
        (16384, 16384, "sgd", "linear", False),  # nothing is scaled
    ],
)
def test_warnings_where_the_published_range_ends(batch, at, name, scaling, warned):
    """A factor > 32 or batch > 8192 for SGD, > 4 for Adam by sqrt, > 2 by linear, < 1/8 for any rule."""
    optimizer = Optimizer(name=name, reference_learning_rate=0.1, reference_batch_size=at, scaling=scaling)
    found = plan_of(global_batch_size=batch, optimizer=optimizer)
    assert ("scaled-far" in codes(found)) == warned


def test_encoders_under_adamw_are_warned_of_beyond_16384():
    """AdamW fails BERT above batch 16,384 (You et al. 2019, arXiv:1904.00962); LAMB and smaller batches do not."""

    def warned(batch: int, name: str, kind: str = "encoder") -> bool:
        optimizer = Optimizer(name=name, reference_learning_rate=1e-3, reference_batch_size=8192)
        return "scaled-far" in codes(
            plan_of(global_batch_size=batch, optimizer=optimizer, model=Model(kind=kind))
        )

    assert warned(32768, "adamw")
    assert not warned(16384, "adamw")
    assert not warned(32768, "lamb")
    assert not warned(32768, "adamw", kind="decoder")


def test_a_warning_says_from_where_to_where():
    """The message holds the rate as written, both batches and the factor."""
    optimizer = Optimizer(reference_learning_rate=1e-3, reference_batch_tokens=count("1000"))
    problem = only(plan_of(global_batch_size=64, sequence_length=128, optimizer=optimizer), "scaled-far")
    assert problem.severity == "warning"
    assert f"from batch 1000 to {64 * 128} tokens, x{64 * 128 / 1000:.4g}:" in problem.message


def test_a_counter_example_to_the_square_root():
    """4.8e-3 at 512 and 2.4e-3 at 1 with beta2 rescaled (arXiv:2507.07101): a factor 2, where sqrt says 22.6."""
    assert sqrt_scale(batch=512, reference_batch=1) == close(22.6, abs=0.05)
    assert linear_scale(batch=512, reference_batch=1) == 512
    optimizer = Optimizer(reference_learning_rate=4.8e-3, reference_batch_size=512)
    assert "scaled-far" in codes(plan_of(global_batch_size=1, optimizer=optimizer))


@pytest.mark.parametrize(
    ("batch", "at", "shown"), [(2048, 256, "from batch 256 to 2048, x8"), (2000, 300, "x6.667")]
)
def test_factors_are_shown_short(batch, at, shown):
    """A whole factor is whole, another one has four digits."""
    optimizer = Optimizer(reference_learning_rate=1e-3, reference_batch_size=at)
    message = only(plan_of(global_batch_size=batch, optimizer=optimizer), "scaled-far").message
    assert f"{shown}:" in message
