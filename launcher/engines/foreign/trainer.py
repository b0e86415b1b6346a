"""Hugging Face's TrainingArguments in the words of a recipe, from their JSON or from a script's command line.

Source: transformers@5.23.0 training_args.py, trainer.py:Trainer.create_optimizer; trl SFTConfig (sequence lengths).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launcher.engines.foreign.notes import Notes
from launcher.engines.foreign.trainer_schedule import read_schedule
from launcher.spec.begun import Reading

__all__ = ["OPTIMIZERS", "PLACEHOLDERS", "looks_like_trainer", "read_trainer"]

_TELLING = ("per_device_train_batch_size", "per_gpu_train_batch_size")
_BESIDE = frozenset(
    {"lr_scheduler_type", "num_train_epochs", "learning_rate", "gradient_accumulation_steps", "optim"}
)

OPTIMIZERS: Mapping[str, str] = {
    "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw", "adamw_apex_fused": "adamw",
    "adamw_torch_xla": "adamw", "adamw_torch_npu_fused": "adamw", "paged_adamw_32bit": "adamw", "paged_adamw": "adamw",
    "adamw_bnb_8bit": "adamw-8bit", "adamw_8bit": "adamw-8bit", "paged_adamw_8bit": "adamw-8bit",
    "adafactor": "adafactor", "sgd": "sgd", "rmsprop": "rmsprop", "lion_32bit": "lion", "paged_lion_32bit": "lion",
}  # fmt: skip
"""The Trainer's word to the recipe's."""

PLACEHOLDERS = {
    "per_device_train_batch_size": "micro_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "learning_rate": "peak_learning_rate",
    "weight_decay": "weight_decay",
    "max_grad_norm": "gradient_clipping",
    "seed": "seed",
}
"""Arguments that a plan's number can take the place of."""

_LENGTHS = (
    "max_seq_length",
    "max_length",
    "block_size",
    "model_max_length",
    "cutoff_len",
    "sequence_len",
    "max_seq_len",
)
_NUMBERS = {
    "per_device_train_batch_size": "micro_batch_size",
    "per_gpu_train_batch_size": "micro_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "learning_rate": "optimizer.learning_rate",
    "adam_epsilon": "optimizer.epsilon",
    "seed": "seed",
    **dict.fromkeys(_LENGTHS, "sequence_length"),
}
_ZERO_IS_NONE = {"weight_decay": "optimizer.weight_decay", "max_grad_norm": "optimizer.gradient_clipping"}


def looks_like_trainer(values: Mapping[str, Any]) -> bool:
    """Whether keys are the Trainer's."""
    return any(key in values for key in _TELLING) or (
        "output_dir" in values and len(_BESIDE & values.keys()) > 1
    )


def read_trainer(
    values: Mapping[str, Any], *, source: str, dashes: bool = False, unsure: bool = False
) -> Reading:
    """All that the arguments say.

    dashes: whether they stood on a command line, as `--name value`. unsure: whether a plan of ours has put them there.
    """
    notes = Notes(source, "arguments of the Hugging Face Trainer")
    notes.carry("@trainer_arguments", dashes, "")
    mark = "--" if dashes else ""
    given = {key: value for key, value in values.items() if value is not None}
    for key, path in _NUMBERS.items():
        if key in given and not (key in _LENGTHS and given[key] == -1):
            notes.carry(path, given[key], f"{mark}{key}")
    if "per_device_train_batch_size" in given and "gradient_accumulation_steps" not in given:
        notes.carry("gradient_accumulation_steps", 1, "the Trainer's default")
    for key, path in _ZERO_IS_NONE.items():
        if key in given and given[key] == 0:
            notes.settle(path, f"{mark}{key}")
        elif key in given:
            notes.carry(path, given[key], f"{mark}{key}")
    _optimizer(given, notes, mark)
    _formats(given, notes, mark)
    read_schedule(given, notes, mark)
    _intervals(given, notes, mark)
    _sharding(given, notes, mark)
    _others(given, notes, mark)
    reading = notes.reading()
    if not unsure:
        return reading
    why = "an argument of the script; the plan it came from may have said it otherwise"
    return replace(reading, carried=tuple(each._replace(unsure=why) for each in reading.carried))


def _optimizer(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    word = given.get("optim")
    if word is not None and str(word) in OPTIMIZERS:
        notes.carry("optimizer.name", OPTIMIZERS[str(word)], f"{mark}optim")
    elif word is not None:
        notes.drop(f"{mark}optim", word, "a recipe does not know this optimizer", "write optimizer.name")
    betas = [given.get("adam_beta1"), given.get("adam_beta2")]
    if any(each is not None for each in betas):
        said = [
            name for name, each in zip(("adam_beta1", "adam_beta2"), betas, strict=True) if each is not None
        ]
        both = [0.9 if betas[0] is None else betas[0], 0.999 if betas[1] is None else betas[1]]
        notes.carry("optimizer.betas", both, f"{mark}{', '.join(said)}")


def _formats(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    on = [word for word in ("bf16", "fp16") if given.get(word) is True]
    if on:
        notes.carry("precision.compute", on[0], f"{mark}{on[0]}")
    elif {"bf16", "fp16"} <= given.keys():
        notes.carry("precision.compute", "fp32", f"{mark}bf16, {mark}fp16")
    if "gradient_checkpointing" in given:
        if given["gradient_checkpointing"] is True:
            notes.carry("activation_checkpointing", "full", f"{mark}gradient_checkpointing")
        else:
            notes.settle("activation_checkpointing", f"{mark}gradient_checkpointing")
    if given.get("torch_compile") is True:
        notes.carry("compile", True, f"{mark}torch_compile")
    if given.get("use_cpu") is True or given.get("no_cuda") is True:
        notes.carry("cluster.device", "cpu", f"{mark}use_cpu")
    if given.get("ddp_backend"):
        notes.carry("cluster.backend", given["ddp_backend"], f"{mark}ddp_backend")
    if given.get("packing") is True:
        notes.carry("data.packing", "packed", f"{mark}packing")
    if given.get("dataloader_drop_last") is True:
        notes.carry("data.drop_last", True, f"{mark}dataloader_drop_last")
    attention = {"flash_attention_2": "flash", "sdpa": "sdpa", "eager": "eager"}.get(
        str(given.get("attn_implementation"))
    )
    if attention:
        notes.carry("attention", attention, f"{mark}attn_implementation")


def _intervals(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    """Evaluation and checkpoints; a share of the run has no words here."""
    for what, old, every, section in (
        ("eval_strategy", "evaluation_strategy", "eval_steps", "evaluation"),
        ("save_strategy", "save_strategy", "save_steps", "checkpoint"),
    ):
        strategy, steps = given.get(what, given.get(old)), given.get(every)
        if strategy == "epoch":
            notes.carry(f"{section}.every", "1 epoch", f"{mark}{what}")
        elif strategy == "no":
            continue
        elif steps is not None and (strategy == "steps" or section == "checkpoint"):
            if isinstance(steps, int) or float(steps) >= 1:
                notes.carry(f"{section}.every", f"{int(steps)} steps", f"{mark}{every}")
            else:
                notes.drop(f"{mark}{every}", steps, "a share of the run", f"write {section}.every in steps")
    if notes.says("evaluation.every") and "per_device_eval_batch_size" in given:
        key = "per_device_eval_batch_size"
        notes.carry("evaluation.batch_size", given[key], f"{mark}{key}")
    if "save_total_limit" in given and notes.says("checkpoint.every"):
        notes.carry("checkpoint.keep", given["save_total_limit"], f"{mark}save_total_limit")


def _sharding(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    if isinstance(given.get("deepspeed"), str) and given["deepspeed"]:
        notes.refer(given["deepspeed"], f"{mark}deepspeed")
    words = given.get("fsdp")
    if words in (None, "", [], False):
        return
    words = words.split() if isinstance(words, str) else words
    words = [str(word).lower() for word in words] if isinstance(words, list) else ["full_shard"]
    config = given.get("fsdp_config")
    version = config.get("version", config.get("fsdp_version")) if isinstance(config, Mapping) else None
    notes.carry("parallel.data.strategy", "fsdp", f"{mark}fsdp")
    notes.carry("parallel.data.version", 2 if str(version) == "2" else 1, f"{mark}fsdp_config")
    known = {"full_shard": 3, "shard_grad_op": 2}
    stage = next((known[word] for word in words if word in known), None)
    if stage is not None:
        notes.carry("parallel.data.stage", stage, f"{mark}fsdp")
    if "offload" in words:
        notes.carry("parallel.data.offload", "parameters", f"{mark}fsdp")
    for word in words:
        if word not in {*known, "offload", "auto_wrap"}:
            notes.drop(f"{mark}fsdp", word, "not carried out yet", "write parallel.data")


def _others(given: Mapping[str, Any], notes: Notes, mark: str) -> None:
    """What is the script's own business and stays there."""
    if mark:
        return  # it stands in launch.args
    read = {
        *_NUMBERS, *_ZERO_IS_NONE, "optim", "adam_beta1", "adam_beta2", "bf16", "fp16", "gradient_checkpointing",
        "torch_compile", "use_cpu", "no_cuda", "ddp_backend", "packing", "dataloader_drop_last", "attn_implementation",
        "eval_strategy", "evaluation_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit",
        "per_device_eval_batch_size", "deepspeed", "fsdp", "fsdp_config", "lr_scheduler_type", "lr_scheduler_kwargs",
        "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs",
    }  # fmt: skip
    for key, value in given.items():
        if key not in read and value not in ("", [], {}):
            notes.drop(key, value, "the script's own; no plan depends on it", "pass it on in launch.args")
