"""Where each argument of a compiled schedule came from."""

from __future__ import annotations

from launcher.planning.origins import derived, written_or
from launcher.planning.schedulers.asked import Asked
from launcher.spec.marks import Origin
from launcher.spec.rates import CompiledSchedule
from launcher.spec.recipe import Recipe

__all__ = ["compiled_origins"]

_AT = "learning_rate.compiled"


def compiled_origins(recipe: Recipe, compiled: CompiledSchedule, asked: Asked) -> dict[str, Origin]:
    """The recipe for what is written there, else the formula."""
    found = {
        f"{_AT}.scheduler": derived(f"schedule.owner {recipe.schedule.owner}, decay {recipe.schedule.decay}"),
        f"{_AT}.calls_per_step": derived(_calls(compiled)),
        f"{_AT}.lag_steps": derived("the stack's own numbering of steps"),
        f"{_AT}.largest_difference": derived("simulated step by step, the lag taken out, of the peak"),
    }
    for place, given in (("arguments", compiled.arguments), ("handed", compiled.handed)):
        for key in given:
            otherwise = derived(_formula(key, compiled, asked, is_handed=place == "handed"))
            written = written_or(recipe.marks, f"launch.native.deepspeed.scheduler.params.{key}", otherwise)
            found[f"{_AT}.{place}.{key}"] = written_or(recipe.marks, f"schedule.arguments.{key}", written)
    return found


def _calls(compiled: CompiledSchedule) -> str:
    if compiled.calls_per_step == 1:
        return "once per optimizer step"
    return "Accelerate advances a prepared schedule once per process"


def _formula(key: str, compiled: CompiledSchedule, asked: Asked, *, is_handed: bool) -> str:
    often = f" x {compiled.calls_per_step}" if compiled.calls_per_step > 1 else ""
    if key in {"num_warmup_steps", "warmup_num_steps", "warmup_steps"}:
        return f"warmup_steps {asked.warmup_steps}{often}"
    if key in {"num_training_steps", "total_num_steps", "max_steps"}:
        divided = " x processes: Accelerate divides it" if is_handed else ""
        name = "total_steps" if asked.end_steps == asked.total_steps else "schedule.decay_ends"
        return f"{name} {asked.end_steps}{often}{divided}"
    known = {
        "warmup_type": "schedule.warmup_shape",
        "warmup_max_lr": "the peak",
        "warmup_min_lr": "the final rate" if compiled.scheduler == "WarmupDecayLR" else "the start",
        "cos_min_ratio": "final_learning_rate_ratio",
        "warmup_min_ratio": "the start over the peak",
        "power": "schedule.decay_power",
        "timescale": "decay_length, or where the decay begins",
    }
    return known.get(key, "decay, decay_length and final_learning_rate_ratio")
