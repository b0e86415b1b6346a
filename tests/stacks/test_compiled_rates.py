"""Compiled arguments go into the stacks' own schedulers, and these draw the simulated curve, LR by LR."""

from dataclasses import replace
from fractions import Fraction

import pytest
from driving import BATCH, rates_used, schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.planning.schedulers import given as giving
from launcher.planning.schedulers.asked import asked_of
from launcher.planning.schedulers.compiling import OWNERS, Site, compiled_schedule
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.planning.schedulers.transformers import SPECIFIC
from launcher.spec.rates import CompiledSchedule

pytestmark = pytest.mark.torch

PEAK = 3e-4
SITE = Site(processes=3, has_deepspeed=True, by_accelerate=False)


def asked(*, warmup=5, total=40, decay="linear", ratio=0.0, decay_steps=None, **changes):
    planned = schedule(
        peak=PEAK,
        warmup_steps=warmup,
        total_steps=total,
        decay=decay,
        final=ratio * PEAK,
        first_step="one-batch",
    )
    decay_samples = None if decay_steps is None else decay_steps * BATCH
    return asked_of(
        replace(planned, decay_samples=decay_samples, **changes),
        global_batch_size=BATCH,
        total_steps=total,
        last_step_samples=None,
        final_ratio=ratio,
    )


class SteppedOften:
    """A schedule that is advanced several times in each step, as Accelerate does."""

    def __init__(self, inner, times):
        self.inner, self.times = inner, times

    def step(self):
        for _ in range(self.times):
            self.inner.step()


def real_rates(compiled, *, steps):
    """The rate of each step under the stack's own class, given the compiled arguments."""

    def make(optimizer):
        if compiled.stack == "deepspeed":
            from deepspeed.runtime import lr_schedules

            return getattr(lr_schedules, compiled.scheduler)(optimizer, **compiled.arguments)
        from transformers import get_scheduler

        arguments = dict(compiled.arguments)
        if compiled.stack == "trainer":
            assert arguments.pop("lr_scheduler_type") == compiled.scheduler
            arguments = {
                "num_warmup_steps": arguments["warmup_steps"],
                "num_training_steps": arguments.get("max_steps"),
                "scheduler_specific_kwargs": arguments["lr_scheduler_kwargs"],
            }
        return SteppedOften(
            get_scheduler(compiled.scheduler, optimizer, **arguments), compiled.calls_per_step
        )

    return rates_used(make, steps=steps, peak=PEAK)


def check(compiled, *, steps):
    simulated = [compiled_rate(compiled, peak=PEAK, step=step) for step in range(1, steps + 1)]
    assert real_rates(compiled, steps=steps) == pytest.approx(simulated, rel=1e-12, abs=1e-12 * PEAK)


@st.composite
def curves(draw):
    total = draw(st.integers(4, 60))
    decay = draw(st.sampled_from(["constant", "linear", "cosine", "wsd", "polynomial", "inverse-sqrt"]))
    warmup = draw(st.integers(0, total - 1))
    end = draw(st.none() | st.integers(warmup + 1, total + 10))
    lengths = {"wsd": st.integers(1, (end or total) - warmup), "inverse-sqrt": st.integers(1, 2 * total)}
    return asked(
        warmup=warmup,
        total=total,
        decay=decay,
        ratio=draw(st.sampled_from([0.0, 0.1])),
        decay_steps=draw(lengths[decay]) if decay in lengths else None,
        decay_power=draw(st.sampled_from([0.5, 1.0, 2.0])),
        decay_end_samples=None if end is None or decay == "inverse-sqrt" else Fraction(end * BATCH),
        start_learning_rate=draw(st.sampled_from([0.0, PEAK / 4])),
        decay_shape=draw(st.sampled_from(["linear", "sqrt", "cosine"])),
        **draw(st.sampled_from([{}, {"warmup_shape": "log", "warmup_step_samples": BATCH}])),
    )


@settings(max_examples=200, deadline=None)
@given(curve=curves(), owner=st.sampled_from(list(OWNERS)))
def test_compiled_schedules_are_what_the_stacks_draw(curve, owner):
    """Whatever is compiled is accepted by the stack's own code, and drawn as simulated, past the end of the run too.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py, transformers@5.23.0 optimization.py:get_scheduler.
    """
    compiled = compiled_schedule(owner, curve, SITE)
    if isinstance(compiled, CompiledSchedule):
        check(compiled, steps=curve.total_steps + 5)


GIVEN = {
    "linear": {},
    "constant": {},
    "constant_with_warmup": {},
    "cosine": {"num_cycles": 1.5},
    "cosine_with_restarts": {"num_cycles": 3},
    "polynomial": {"lr_end": 1e-5, "power": 2.0},
    "inverse_sqrt": {"timescale": 7},
    "cosine_with_min_lr": {"min_lr": 1e-5, "num_cycles": 0.4},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2},
    "warmup_stable_decay": {
        "num_decay_steps": 9,
        "num_stable_steps": 11,
        "warmup_type": "1-sqrt",
        "decay_type": "cosine",
        "min_lr_ratio": 0.2,
    },
}


@pytest.mark.filterwarnings("ignore:Both num_training_steps and num_stable_steps")
@pytest.mark.parametrize("owner", ["script:transformers", "script:accelerate", "script:trainer"])
@pytest.mark.parametrize("name", GIVEN)
def test_what_a_script_gives_itself(owner, name):
    """Every schedule of Hugging Face's that is a function of the step, by name and with arguments of its own.

    Source: transformers@5.23.0 optimization.py:TYPE_TO_SCHEDULER_FUNCTION.
    """
    assert set(GIVEN) == set(SPECIFIC)
    words = ("lr_scheduler_type", "lr_scheduler_kwargs")
    if owner != "script:trainer":
        words = ("name", "scheduler_specific_kwargs")
    compiled = compiled_schedule(owner, asked(), SITE)
    found = giving.with_arguments(
        compiled, dict(zip(words, (name, GIVEN[name]), strict=True)), peak=PEAK, site=SITE
    )
    assert found.wrong == []
    assert found.compiled.scheduler == name
    check(found.compiled, steps=45)


@pytest.mark.parametrize("name", ["inverse_sqrt", "cosine_warmup_with_min_lr", "warmup_stable_decay"])
def test_defaults_of_those_schedules(name):
    """What is not given is what the stack takes."""
    given_ = {
        "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
        "warmup_stable_decay": {"num_decay_steps": 9},
    }
    compiled = compiled_schedule("script:transformers", asked(), SITE)
    written = {"name": name, "scheduler_specific_kwargs": given_.get(name, {})}
    check(giving.with_arguments(compiled, written, peak=PEAK, site=SITE).compiled, steps=45)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("WarmupLR", {}),
        ("WarmupLR", {"warmup_min_lr": 1e-5, "warmup_num_steps": 1, "warmup_type": "linear"}),
        ("WarmupDecayLR", {"total_num_steps": 40, "warmup_max_lr": "auto", "warmup_num_steps": 7}),
        ("WarmupDecayLR", {"total_num_steps": "auto", "warmup_num_steps": "auto", "warmup_min_lr": "auto"}),
        ("WarmupCosineLR", {"total_num_steps": 20, "warmup_num_steps": 30, "warmup_min_ratio": 0.3}),
        ("WarmupCosineLR", {"total_num_steps": 40, "warmup_num_steps": 6, "warmup_type": "linear"}),
    ],
)
def test_a_block_as_deepspeed_would_read_it(name, params):
    """What launch.native.deepspeed.scheduler leaves out is DeepSpeed's default, and its warmup then is logarithmic."""
    decay = {"WarmupLR": "constant", "WarmupDecayLR": "linear", "WarmupCosineLR": "cosine"}[name]
    compiled = compiled_schedule(f"engine:{name}", asked(decay=decay), SITE)
    found = giving.with_block(compiled, {"type": name, "params": params}, peak=PEAK)
    assert found.wrong == []
    assert found.compiled.arguments["warmup_type"] == params.get("warmup_type", "log")
    check(found.compiled, steps=45)


def test_what_the_stacks_would_refuse_is_refused_before():
    """Arguments that raise in the stack are problems of the plan, and the other way round."""
    from transformers import get_scheduler

    compiled = compiled_schedule("script:transformers", asked(), SITE)
    wrong = {
        "cosine_with_min_lr": {"min_lr": 1e-5, "min_lr_rate": 0.1},
        "cosine_warmup_with_min_lr": {},
        "warmup_stable_decay": {"num_decay_steps": 3, "decay_type": "sqrt"},
        "polynomial": {"lr_end": 1.0},
        "linear": {"power": 2.0},
    }
    for name, specific in wrong.items():
        written = {"name": name, "scheduler_specific_kwargs": specific}
        assert giving.with_arguments(compiled, written, peak=PEAK, site=SITE).wrong, name
        arguments = {**compiled.arguments, "scheduler_specific_kwargs": specific}
        with pytest.raises((TypeError, ValueError)):
            rates_used(
                lambda optimizer, name=name, arguments=arguments: get_scheduler(name, optimizer, **arguments),
                steps=1,
                peak=PEAK,
            )
