"""A DeepSpeed JSON in the words of a recipe.

Source: deepspeed@0.19.8 runtime/config.py, runtime/constants.py, runtime/zero/config.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.engines.foreign.deepspeed_rates import read_optimizer, read_scheduler
from launcher.engines.foreign.notes import AUTO, Notes
from launcher.engines.foreign.ours import deepspeed_without_ours
from launcher.engines.formats.deepspeed_limits import OWNED_KEYS
from launcher.engines.formats.native import leaves
from launcher.spec.begun import Reading

__all__ = ["looks_like_deepspeed", "read_deepspeed"]

_TELLING = frozenset(
    {
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "zero_optimization",
        "zero_allow_untested_optimizer",
        "gradient_clipping",
        "steps_per_print",
        "wall_clock_breakdown",
        "communication_data_type",
    }
)
_BATCH = {
    "train_batch_size": "global_batch_size",
    "train_micro_batch_size_per_gpu": "micro_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
}
_OFFLOAD = {"offload_optimizer": "optimizer", "offload_param": "parameters"}
_DTYPES = {
    "fp16": "fp16", "float16": "fp16", "bf16": "bf16", "bfp16": "bf16", "bfloat16": "bf16", "fp32": "fp32",
    "float32": "fp32",
}  # fmt: skip
_FILLED = "left for the Trainer or Accelerate to fill in"
_FP16_POWER = 16


def looks_like_deepspeed(values: Mapping[str, Any]) -> bool:
    """Whether keys are DeepSpeed's."""
    halves = [values.get(key) for key in ("fp16", "bf16")]
    typed = [values.get(key) for key in ("optimizer", "scheduler")]
    return (
        bool(_TELLING & values.keys())
        or any(isinstance(each, Mapping) and "enabled" in each for each in halves)
        or any(isinstance(each, Mapping) and "params" in each for each in typed)
    )


def read_deepspeed(
    config: Mapping[str, Any], *, source: str, ours: bool = False, on_cpu: bool | None = None
) -> Reading:
    """All that the file says.

    ours: whether Batchwright rendered it, which writes out what DeepSpeed leaves open. on_cpu: of the job, if known.
    """
    notes = Notes(source, "a DeepSpeed JSON")
    notes.carry("@deepspeed", True, "")
    if ours:
        notes.carry("@ours", True, "")
    _batch(config, notes, ours=ours)
    _clipping(config, notes)
    _sharding(config, notes, ours=ours)
    _precision(config, notes)
    read_optimizer(config.get("optimizer"), notes)
    read_scheduler(config.get("scheduler"), notes)
    _rest(deepspeed_without_ours(config, notes, ours=ours, on_cpu=on_cpu), notes)
    return notes.reading()


def _batch(config: Mapping[str, Any], notes: Notes, *, ours: bool) -> None:
    for key, path in _BATCH.items():
        if (value := config.get(key)) is None:
            continue
        if value == AUTO:
            notes.drop(key, value, _FILLED, f"write {path}")
        elif path == "global_batch_size" and ours:
            why = "slots of a step; with launch.runtime some of them may be idle"
            notes.carry(path, value, key, unsure=why, instead_of=("global_batch_tokens",))
        else:
            unsure = "of the first of several stages, or chosen by the plan" if ours else ""
            notes.carry(path, value, key, unsure=unsure)


def _clipping(config: Mapping[str, Any], notes: Notes) -> None:
    path, value = "optimizer.gradient_clipping", config.get("gradient_clipping")
    if value == AUTO:
        notes.drop("gradient_clipping", value, _FILLED, f"write {path}")
    elif value is not None and float(value) == 0:
        notes.settle(path, "gradient_clipping")
    elif value is not None:
        notes.carry(path, value, "gradient_clipping")


def _sharding(config: Mapping[str, Any], notes: Notes, *, ours: bool) -> None:
    block = config.get("zero_optimization")
    if isinstance(block, bool):
        block = {"stage": int(block)}
    if not isinstance(block, Mapping):
        block = {}
    stage = block.get("stage", 0)
    if stage == AUTO:
        notes.drop("zero_optimization.stage", stage, _FILLED, "write parallel.data.stage")
        return
    key = "zero_optimization.stage"
    if stage == 0:
        unsure = "ZeRO stage 0 and ddp are one to DeepSpeed" if ours else ""
        notes.settle("parallel.data.strategy", key, unsure=unsure)
        notes.settle("parallel.data.stage", key, unsure=unsure)
    else:
        notes.carry("parallel.data.strategy", "zero", "zero_optimization")
        notes.carry("parallel.data.stage", stage, key)
    for path in ("version", "shard", "replicate"):
        notes.settle(f"parallel.data.{path}", "zero_optimization")
    _offload(block, notes)


def _offload(block: Mapping[str, Any], notes: Notes) -> None:
    """Parameters come with the optimizer: a recipe has one word for how far it goes."""
    found, path = "none", "parallel.data.offload"
    at = "zero_optimization.offload_optimizer.device"
    for key, word in _OFFLOAD.items():
        inner = block.get(key)
        device = inner.get("device", "none") if isinstance(inner, Mapping) else "none"
        old = "cpu_offload" if word == "optimizer" else "cpu_offload_param"
        if block.get(old) is True:
            device = "cpu"
        if device == "cpu":
            found, at = word, f"zero_optimization.{key}.device"
        elif device != "none":
            hint = f"write {path}: {word} to keep it in host memory instead"
            notes.drop(f"zero_optimization.{key}.device", device, "only host memory is carried out", hint)
    if found == "none":
        notes.settle(path, at)
    else:
        notes.carry(path, found, at)


def _precision(config: Mapping[str, Any], notes: Notes) -> None:
    half, brain = _block(config, "fp16"), {**_block(config, "bfloat16"), **_block(config, "bf16")}
    words = {"fp16": half.get("enabled", False), "bf16": brain.get("enabled", False)}
    autos = [word for word, enabled in words.items() if enabled == AUTO]
    for word in autos:
        notes.drop(f"{word}.enabled", AUTO, _FILLED, "write precision")
    on = next((word for word, enabled in words.items() if enabled is True), None)
    if on is not None:
        notes.carry("precision.compute", on, f"{on}.enabled")
    elif not autos and (named := [key for key in ("bf16", "bfloat16", "fp16") if key in config]):
        notes.carry("precision.compute", "fp32", f"{named[0]}.enabled")
    if on == "fp16":
        _loss_scale(half, notes)
    elif on is not None:
        notes.settle("precision.loss_scale", f"{on}.enabled", unsure="it has no effect here")
    for path, key, value in (
        ("reduce_dtype", "communication_data_type", config.get("communication_data_type")),
        (
            "gradient_dtype",
            "data_types.grad_accum_dtype",
            _block(config, "data_types").get("grad_accum_dtype"),
        ),
    ):
        _format(f"precision.{path}", key, value, notes)


def _format(path: str, key: str, value: Any, notes: Notes) -> None:
    if value is None:
        return
    if value not in _DTYPES:
        notes.drop(key, value, "not a number format of a recipe", f"write {path}")
    elif _DTYPES[value] == "fp32":
        notes.settle(path, key, unsure="fp32 is also what is taken where nothing is written")
    else:
        notes.carry(path, _DTYPES[value], key, unsure="it may follow from the rest")


def _loss_scale(half: Mapping[str, Any], notes: Notes) -> None:
    static, power = half.get("loss_scale", 0), half.get("initial_scale_power")
    if isinstance(static, int | float) and static > 0:
        notes.carry("precision.loss_scale.static", float(static), "fp16.loss_scale")
    elif static == AUTO:
        notes.drop("fp16.loss_scale", static, _FILLED, "write precision.loss_scale")
    if isinstance(power, int | float) and power != _FP16_POWER:
        notes.carry("precision.loss_scale.initial", 2.0**power, "fp16.initial_scale_power")
    elif power is not None:
        notes.settle(
            "precision.loss_scale",
            "fp16.initial_scale_power",
            unsure="2**16 is also taken where nothing is written",
        )


def _rest(config: Mapping[str, Any], notes: Notes) -> None:
    """Keys that a recipe does not know go on to DeepSpeed; those that the plan owns cannot."""
    read = {*_BATCH, "gradient_clipping", "optimizer", "scheduler", "fp16.enabled", "bf16.enabled", "bfloat16.enabled",
            "fp16.loss_scale", "fp16.initial_scale_power", "communication_data_type", "data_types.grad_accum_dtype",
            "zero_optimization.stage", "zero_optimization.cpu_offload", "zero_optimization.cpu_offload_param",
            "zero_optimization.offload_optimizer.device", "zero_optimization.offload_param.device",
            "zero_optimization"}  # fmt: skip
    notes.settle("launch.native.deepspeed", "no key that a recipe does not know")
    for key, value in leaves(config).items():
        if key in read or key.startswith(("optimizer.", "scheduler.")):
            continue
        owner = next((owned for owned in OWNED_KEYS if key == owned or key.startswith(f"{owned}.")), None)
        if value == AUTO:
            hint = OWNED_KEYS[owner] if owner else f"write launch.native.deepspeed.{key}"
            notes.drop(key, value, f"{_FILLED}; Batchwright writes its own number", hint)
        elif owner is not None and value not in (False, None, {}):
            notes.drop(
                key, value, "the plan decides this, and a recipe has other words for it", OWNED_KEYS[owner]
            )
        elif owner is None:
            notes.carry(f"launch.native.deepspeed.{key}", value, key)
    if "launch.native.deepspeed.scheduler" in notes.paths():
        notes.forget("launch.native.deepspeed")


def _block(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    return found if isinstance(found, Mapping) else {}
