"""Curves to ask for, and recipes whose schedule another stack is to own."""

from fractions import Fraction

from launcher.api import load_recipe, plan
from launcher.errors import PlanError
from launcher.planning.schedulers.asked import asked_of
from launcher.planning.schedulers.compiling import Site
from launcher.spec.plan import SchedulePlan

__all__ = ["BATCH", "SITES", "asked", "owned_plan", "owned_refusal", "recipe_text"]

BATCH = 48
SITES = {
    "engine": Site(processes=2, has_deepspeed=True, by_accelerate=False),
    "accelerate": Site(processes=2, has_deepspeed=True, by_accelerate=True),
}


def asked(
    *,
    warmup=10.0,
    total=100,
    decay="linear",
    ratio=0.0,
    decay_steps=None,
    peak=1e-3,
    start=0.0,
    first_step="one-batch",
    shape="linear",
    decay_shape="linear",
):
    """A curve by its lengths in steps of BATCH samples; those of the warmup need not be whole."""
    schedule = SchedulePlan(
        peak_learning_rate=peak,
        start_learning_rate=start,
        final_learning_rate=peak if decay == "constant" else peak * ratio,
        warmup_samples=Fraction(round(warmup * BATCH)),
        decay=decay,
        decay_samples=None if decay_steps is None else Fraction(decay_steps * BATCH),
        decay_shape=decay_shape,
        total_samples=None if total is None else Fraction(total * BATCH),
        first_step=first_step,
        warmup_shape=shape,
        warmup_step_samples=BATCH if shape == "log" else None,
    )
    return asked_of(
        schedule, global_batch_size=BATCH, total_steps=total, last_step_samples=BATCH, final_ratio=ratio
    )


def recipe_text(owner, *, schedule=None, launch=None, zero=False, devices=2, **keys):
    """A recipe of 1000 steps with 100 of warmup on two devices; zero: on GPUs, where Accelerate starts DeepSpeed."""
    return {
        "global_batch_size": BATCH,
        "sequence_length": 128,
        "hidden_size": 64,
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {
            "warmup": "100 steps",
            "decay": "linear",
            "length": "1000 steps",
            "owner": owner,
            **(schedule or {}),
        },
        "cluster": {
            "nodes": 1,
            "devices_per_node": devices,
            "device": "h100-sxm-80gb" if zero else "cpu",
        },
        "launch": {"script": "train.py", **(launch or {})},
        **({"parallel": {"data": {"strategy": "zero", "stage": 2}}} if zero else {}),
        **keys,
    }


def owned_plan(owner, **changes):
    """The plan of that recipe."""
    return plan(load_recipe(recipe_text(owner, **changes)))


def owned_refusal(owner, **changes):
    """The errors of that recipe."""
    try:
        found = owned_plan(owner, **changes)
    except PlanError as error:
        return [problem for problem in error.problems if problem.severity == "error"]
    raise AssertionError(f"was planned: {found.learning_rate.compiled}")
