"""Numbers of the plan in arguments, environment and a site's job file: `{micro_batch_size}`; `{{` and `}}` for braces.

A text is filled once and nothing of it is interpreted further: `$(id)`, quotes and line breaks arrive byte for byte.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from launcher.errors import Problem
from launcher.planning.schedulers.handing import scheduler_values
from launcher.spec.bundle import RUN_DIR
from launcher.spec.plan import RunPlan

__all__ = ["ACCELERATE_FILE", "DEEPSPEED_FILE", "NAMES", "PLAN_PATH", "Filled", "fill", "placeholder_values"]

PLAN_PATH = f"{RUN_DIR}/plan.json"
DEEPSPEED_FILE = "deepspeed.json"
ACCELERATE_FILE = "accelerate.json"

_WRITE_RATE = "write optimizer.learning_rate, or leave the argument out"
_WRITE_OWNER = "write schedule.owner: script:transformers, script:accelerate, script:trainer or engine:NAME"
_WRITE_SEQUENCE = "write sequence_length, or leave the argument out"

# name -> what to do where the plan has no value for it
_CURES = {
    "micro_batch_size": "",
    "gradient_accumulation_steps": "",
    "gradient_accumulation_steps_all_ranks": "",
    "global_batch_size": "",
    "data_parallel_size": "",
    "world_size": "",
    "sequence_length": _WRITE_SEQUENCE,
    "hidden_size": "write hidden_size, or leave the argument out",
    "micro_batch_tokens": _WRITE_SEQUENCE,
    "global_batch_tokens": _WRITE_SEQUENCE,
    "total_steps": "write schedule.length, or leave the argument out",
    "warmup_steps": "write schedule.warmup, or leave the argument out",
    "peak_learning_rate": _WRITE_RATE,
    "final_learning_rate": _WRITE_RATE,
    "weight_decay": "",
    "beta1": "",
    "beta2": "",
    "epsilon": "",
    "weight_average_decay": "write optimizer.weight_average_decay, or leave the argument out",
    # 0 switches clipping off in one script and multiplies every gradient by 0 in the next
    "gradient_clipping": "write optimizer.gradient_clipping, or leave the argument out",
    "precision": "",
    "activation_checkpointing": "",
    "seed": "",
    "plan": "",
    "run_dir": "",
    "deepspeed_config": "use launch.engine: deepspeed, or accelerate with parallel.data.strategy: zero",
    "accelerate_config": "use launch.engine: accelerate",
    "latest_checkpoint": "leave it to resume.args",
    "checkpoint_directory": "write checkpoint.directory, or leave the argument out",
    "checkpoint_every_steps": "write checkpoint.every, or leave the argument out",
    "evaluation_every_steps": "write evaluation.every, or leave the argument out",
    "scheduler_name": _WRITE_OWNER,
    "scheduler_warmup_steps": _WRITE_OWNER,
    "scheduler_total_steps": f"write schedule.length, and {_WRITE_OWNER.removeprefix('write ')}",
    "scheduler_arguments": _WRITE_OWNER,
}
NAMES = tuple(_CURES)
_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


class Filled(NamedTuple):
    """A text with its placeholders replaced, and what is wrong with it."""

    text: str
    problems: tuple[Problem, ...]


def placeholder_values(plan: RunPlan, *, files: tuple[str, ...]) -> Mapping[str, str | None]:
    """The text of every placeholder; None where this plan has no value. files: names the engine renders."""
    batch, rate = plan.batch, plan.learning_rate
    tokens, saves = batch.sequence_length, plan.checkpoint or {}
    values: dict[str, int | float | str | None] = {
        "micro_batch_size": batch.micro_batch_size,
        "gradient_accumulation_steps": batch.gradient_accumulation_steps,
        "gradient_accumulation_steps_all_ranks": batch.gradient_accumulation_steps * batch.data_parallel_size,
        "global_batch_size": batch.global_batch_size,
        "data_parallel_size": batch.data_parallel_size,
        "world_size": plan.layout.world_size,
        "sequence_length": tokens,
        "hidden_size": plan.model.hidden_size,
        "micro_batch_tokens": None if tokens is None else batch.micro_batch_size * tokens,
        "global_batch_tokens": batch.tokens_per_step,
        "total_steps": rate.total_steps if rate else plan.data.get("total_steps"),
        "warmup_steps": rate.warmup_steps if rate else plan.data.get("warmup_steps"),
        "peak_learning_rate": float(rate.peak_learning_rate) if rate else None,
        "final_learning_rate": float(rate.final_learning_rate) if rate else None,
        "weight_decay": float(plan.optimizer.weight_decay),
        "beta1": float(plan.optimizer.betas[0]),
        "beta2": float(plan.optimizer.betas[1]),
        "epsilon": float(plan.optimizer.epsilon),
        "weight_average_decay": plan.optimizer.weight_average_decay,
        "gradient_clipping": plan.optimizer.gradient_clipping,
        "precision": plan.precision.compute,
        "activation_checkpointing": plan.activation_checkpointing,
        "seed": plan.seed,
        "plan": PLAN_PATH,
        "run_dir": RUN_DIR,
        "deepspeed_config": f"{RUN_DIR}/{DEEPSPEED_FILE}" if DEEPSPEED_FILE in files else None,
        "accelerate_config": f"{RUN_DIR}/{ACCELERATE_FILE}" if ACCELERATE_FILE in files else None,
        "latest_checkpoint": None,
        "checkpoint_directory": posixpath.join(RUN_DIR, saves["directory"]) if saves else None,
        "checkpoint_every_steps": saves.get("every_steps"),
        "evaluation_every_steps": (plan.evaluation or {}).get("every_steps"),
        **scheduler_values(rate.compiled if rate else None),
    }
    assert tuple(values) == NAMES
    return {name: _show(value) for name, value in values.items()}


def fill(text: str, values: Mapping[str, str | None], *, path: str) -> Filled:
    """The text with placeholders replaced. path: where it stands in the recipe."""
    if "\0" in text:
        wrong = Problem(
            code="engine-cannot",
            path=path,
            message=f"`{path}` holds a NUL character, which no process can be given",
            hint="take it out",
        )
        return Filled("", (wrong,))
    problems: list[Problem] = []

    def replace(match: re.Match[str]) -> str:
        token, name = match[0], match["name"]
        if token in {"{{", "}}"}:
            return token[0]
        problem = _unbalanced(token, text, path) if name is None else _unfillable(name, values, path)
        if problem is not None:
            problems.append(problem)
            return ""
        return values[name] or ""

    filled = _TOKEN.sub(replace, text)
    return Filled(filled, tuple(problems))


def _show(value: float | str | None) -> str | None:
    """Floats by repr, the shortest text that reads back as the same number."""
    if value is None or isinstance(value, str):
        return value
    return repr(value)


def _unbalanced(token: str, text: str, path: str) -> Problem:
    return Problem(
        code="unbalanced-brace",
        path=path,
        message=f"`{text}` has a `{token}` that belongs to no placeholder",
        hint=f"write `{token}{token}` for a brace",
    )


def _unfillable(name: str, values: Mapping[str, str | None], path: str) -> Problem | None:
    if name not in values:
        near = get_close_matches(name, NAMES, n=1, cutoff=0.8)
        return Problem(
            code="unknown-placeholder",
            path=path,
            message=f"`{{{name}}}` is no placeholder",
            hint=f"did you mean `{{{near[0]}}}`?" if near else "write `{{` and `}}` for braces",
        )
    if values[name] is None:
        return Problem(
            code="placeholder-unset",
            path=path,
            message=f"`{{{name}}}` has no value in this plan",
            hint=_CURES[name],
        )
    return None
