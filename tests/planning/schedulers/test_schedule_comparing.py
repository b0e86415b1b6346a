"""Either a stack may have a schedule, and then every step is trained as it was asked for, or it is refused."""

import pytest
from asking import SITES, asked
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.planning.schedulers.comparing import TOLERANCE, compare, steps_to_compare
from launcher.planning.schedulers.compiling import OWNERS, able_owners, compiled_schedule
from launcher.planning.schedulers.drawing import compiled_rate, lag_of
from launcher.spec.rates import CompiledSchedule

HUGGING_FACE = [owner for owner in OWNERS if owner.startswith("script:")]


@st.composite
def curves(draw, *, longest=300):
    total = draw(st.integers(4, longest))
    decay = draw(st.sampled_from(["constant", "linear", "cosine", "wsd"]))
    warmup = draw(st.integers(0, 2 * total)) / 2 if draw(st.booleans()) else draw(st.integers(0, total))
    room = max(1, int(total - warmup))
    return asked(
        warmup=warmup,
        total=total,
        decay=decay,
        ratio=draw(st.sampled_from([0.0, 0.005, 0.1, 1.0])),
        decay_steps=draw(st.integers(1, room)) if decay == "wsd" else None,
        start=draw(st.sampled_from([0.0, 0.0, 2.5e-4])),
        first_step=draw(st.sampled_from(["one-batch", "zero"])),
        shape=draw(st.sampled_from(["linear", "linear", "log"])),
        decay_shape=draw(st.sampled_from(["linear", "sqrt"])),
    )


def lagged_by(compiled):
    return lag_of(stack=compiled.stack, scheduler=compiled.scheduler, calls_per_step=compiled.calls_per_step)


@settings(max_examples=300, deadline=None)
@given(curve=curves(longest=3000), owner=st.sampled_from(list(OWNERS)), site=st.sampled_from(list(SITES)))
def test_accepted_curves_are_the_asked_ones_at_every_step(curve, owner, site):
    """What is not refused is within the tolerance at all steps, those between the compared ones among them."""
    compiled = compiled_schedule(owner, curve, SITES[site])
    if not isinstance(compiled, CompiledSchedule) or not compare(compiled, curve).agrees:
        return
    for step in range(1, curve.total_steps + 1):
        drawn = compiled_rate(compiled, peak=curve.peak, step=step)
        wanted = curve.behind(step, lagged_by(compiled))
        assert abs(drawn - wanted) <= TOLERANCE * curve.peak * (1 + 1e-9)


@settings(max_examples=200, deadline=None)
@given(
    owner=st.sampled_from(HUGGING_FACE),
    warmup=st.integers(0, 50),
    rest=st.integers(1, 200),
    shape=st.sampled_from(
        [("constant", 0.0), ("linear", 0.0), ("linear", 0.2), ("cosine", 0.0), ("cosine", 0.2)]
    ),
)
def test_hugging_faces_schedules_are_exact(owner, warmup, rest, shape):
    """In whole steps every decay but wsd is drawn to rounding, whoever counts processes."""
    curve = asked(warmup=warmup, total=warmup + rest, decay=shape[0], ratio=shape[1])
    compiled = compiled_schedule(owner, curve, SITES["engine"])
    found = compare(compiled, curve)
    assert found.agrees
    assert found.largest < 1e-12


@settings(max_examples=100, deadline=None)
@given(warmup=st.integers(2, 500), rest=st.integers(1, 2000), shape=st.sampled_from(["linear", "log"]))
def test_deepspeeds_warmups_are_exact(warmup, rest, shape):
    """From two steps on WarmupDecayLR and WarmupLR draw the asked warmup, straight or logarithmic, two steps late."""
    for owner, decay in (("engine:WarmupDecayLR", "linear"), ("engine:WarmupLR", "constant")):
        curve = asked(warmup=warmup, total=warmup + rest, decay=decay, shape=shape)
        found = compare(compiled_schedule(owner, curve, SITES["engine"]), curve)
        assert found.largest < 1e-12
        assert not found.misses_peak


@settings(max_examples=100, deadline=None)
@given(
    warmup=st.integers(2, 100_000), offset=st.sampled_from([0, 0.25, 0.5]), rest=st.integers(10, 1_000_000)
)
def test_a_cosine_with_a_straight_warmup_never_reaches_its_peak(warmup, offset, rest):
    """WarmupCosineLR with linear is refused at any length, by how much it misses the peak; log is not for that."""
    curve = asked(warmup=warmup + offset, total=warmup + rest, decay="cosine")
    found = compare(compiled_schedule("engine:WarmupCosineLR", curve, SITES["engine"]), curve)
    assert found.misses_peak
    assert not found.agrees
    assert found.highest < 1
    logarithmic = asked(warmup=warmup, total=warmup + rest, decay="cosine", shape="log")
    found = compare(compiled_schedule("engine:WarmupCosineLR", logarithmic, SITES["engine"]), logarithmic)
    assert not found.misses_peak


def test_a_logarithmic_cosine_is_one_step_early_in_its_decay():
    """Its warmup is two steps late and its decay one: let pass once a step of the decay is below the tolerance."""
    for rest, agrees in ((157, False), (158, True)):
        curve = asked(warmup=20, total=20 + rest, decay="cosine", shape="log")
        found = compare(compiled_schedule("engine:WarmupCosineLR", curve, SITES["engine"]), curve)
        assert found.agrees is agrees
        assert 0 < found.largest < 0.02


@pytest.mark.parametrize("owner", [*HUGGING_FACE, "engine:WarmupLR"])
def test_no_warmup_and_no_decay_is_a_line(owner):
    """A constant rate without warmup is drawn by all, by DeepSpeed as a warmup from the peak to the peak."""
    curve = asked(warmup=0, decay="constant")
    compiled = compiled_schedule(owner, curve, SITES["engine"])
    assert {compiled_rate(compiled, peak=curve.peak, step=step) for step in range(1, 101)} == {curve.peak}
    assert compare(compiled, curve).agrees


def test_a_warmup_between_two_steps_is_rounded_up_within_the_tolerance():
    """2.5 steps of warmup become 3, which is another schedule; 100.2 become 101, which is not."""
    for warmup, agrees in ((2.5, False), (100.25, True)):
        curve = asked(warmup=warmup, total=1000)
        assert (
            compare(compiled_schedule("script:transformers", curve, SITES["engine"]), curve).agrees is agrees
        )


def test_every_step_of_a_short_run_and_the_corners_of_a_long_one():
    """All steps are compared up to 2000; of a million steps the corners of both curves and a few hundred between."""
    short, long = asked(total=2000), asked(warmup=2000, total=1_000_000)
    compiled = compiled_schedule("script:accelerate", short, SITES["engine"])
    assert steps_to_compare(compiled, short) == list(range(1, 2001))
    compiled = compiled_schedule("script:accelerate", long, SITES["engine"])
    steps = steps_to_compare(compiled, long)
    assert {1, 2, 1999, 2000, 2001, 999_999, 1_000_000} <= set(steps)
    assert len(steps) < 1000


def test_owners_that_can_draw_a_curve():
    """Who may have a schedule is found by drawing it: wsd is Hugging Face's only, a floor under it the runtime's."""
    hugging_face = ["script:transformers", "script:accelerate", "script:trainer"]
    site = SITES["engine"]._replace(has_runtime=True)
    assert able_owners(asked(decay="wsd", decay_steps=20), site) == ["runtime", *hugging_face]
    assert able_owners(asked(decay="wsd", decay_steps=20, ratio=0.1), site) == ["runtime"]
    assert able_owners(asked(), site) == ["runtime", "engine:WarmupDecayLR", *hugging_face]
    assert able_owners(asked(start=5e-4), site) == ["runtime"]
    assert able_owners(asked(shape="log"), site) == ["engine:WarmupDecayLR"]
    no_deepspeed = site._replace(has_deepspeed=False, has_runtime=False)
    assert able_owners(asked(decay="cosine"), no_deepspeed) == hugging_face
