"""Pairs of recipes, each a text and what is changed in it; and functions that plan and compare them."""

from __future__ import annotations

from launcher import load_recipe, plan
from launcher.planning.comparing.comparing import Comparison, compare
from launcher.planning.comparing.locking import lock_of
from launcher.planning.comparing.sides import Side, side_of_lock, side_of_plan
from launcher.spec.lock import Lock

__all__ = ["CPU", "DROPOUT", "LLAMA", "PAIRS", "RAMP", "compared", "locked", "planned", "side"]

LLAMA = """\
schema: 1
name: llama
global_batch_size: 1024
sequence_length: 8192
model: {preset: llama-3-8b}
data: {num_tokens: 300B, packing: packed}
optimizer:
  reference_learning_rate: 1.5e-4
  reference_batch_size: 256
  betas: [0.9, 0.95]
  weight_decay: 0.1
  gradient_clipping: 1.0
schedule: {warmup: 2000 steps, warmup_keeps: tokens, decay: cosine, length: 300B tokens, final_learning_rate_ratio: 0.1}
activation_checkpointing: full
parallel: {data: {strategy: zero, stage: 3}}
cluster: {nodes: 8, devices_per_node: 8, device: h100-sxm-80gb}
launch: {engine: deepspeed, executor: slurm, script: train.py, args: [--lr, "{peak_learning_rate}"]}
"""
CPU = """\
schema: 1
name: small
global_batch_size: 32
sequence_length: 64
hidden_size: 128
model: {num_layers: 2, num_attention_heads: 4, vocab_size: 96}
optimizer: {learning_rate: 1e-3}
schedule: {warmup: 30 steps, decay: cosine, length: 600 steps}
cluster: {nodes: 1, devices_per_node: 2, device: cpu, host_memory: 16 GiB}
launch: {script: train.py}
"""
DROPOUT = CPU.replace("vocab_size: 96", "vocab_size: 96, dropout: 0.1")
RAMP = CPU.replace("600 steps", "19_200 samples").replace(
    "optimizer:",
    "stages: [{until: 1280 samples, global_batch_size: 8}, {until: 3840 samples, global_batch_size: 16}, {}]\n"
    "optimizer:",
)

PAIRS: dict[str, tuple[str, tuple[str, ...]]] = {
    "same": (CPU, ()),
    "default-written-out": (CPU, ("seed=0",)),
    "batch": (LLAMA, ("global_batch_size=960",)),
    "batch-no-factor-two": (
        LLAMA,
        ("global_batch_size=960", "schedule.warmup_keeps=unit"),
    ),
    "sequence-length": (LLAMA, ("sequence_length=4096",)),
    "micro-batch": (LLAMA, ("micro_batch_size=4",)),
    "more-machines": (LLAMA, ("cluster.nodes=16",)),
    "smaller-device": (LLAMA, ("cluster.device=a100-sxm-40gb",)),
    "learning-rate": (CPU, ("optimizer.learning_rate=2e-3",)),
    "scaling-rule": (LLAMA, ("optimizer.scaling=linear",)),
    "reference-batch": (LLAMA, ("optimizer.reference_batch_size=512",)),
    "no-reference": (
        CPU,
        (
            "optimizer={reference_learning_rate: 5e-4, reference_batch_size: 8}",
            "schedule.final_learning_rate_ratio=0.1",
        ),
    ),
    "optimizer": (
        LLAMA,
        ("optimizer.name=lion", "optimizer.betas=[0.95, 0.98]", "optimizer.weight_decay=0.3"),
    ),
    "warmup": (CPU, ("schedule.warmup=10 %",)),
    "decay": (CPU, ("schedule.decay=wsd", "schedule.decay_length=20 %")),
    "longer-run": (LLAMA, ("schedule.length=15T tokens", "data.num_tokens=15T")),
    "model-size": (CPU, ("hidden_size=256", "model.num_layers=4")),
    "precision": (LLAMA, ("precision=fp32",)),
    "checkpointing": (LLAMA, ("activation_checkpointing=none",)),
    "engine": (CPU, ("launch.engine=deepspeed", "parallel.data={strategy: zero, stage: 2}")),
    "script": (
        CPU,
        ('launch.args=["--epochs", "3"]', "launch.env={TOKEN: secret}", "launch.script=other.py"),
    ),
    "zero-stage": (LLAMA, ("parallel.data.stage=2",)),
    "stages": (RAMP, ("stages.0.until=640 samples", "stages.1.global_batch_size=24")),
    "to-stages": (CPU, ("stages=[{until: 640 samples, global_batch_size: 8}, {}]",)),
    "seed-and-loss": (CPU, ("seed=7", "loss.weighting=sequences")),
    "dropout-split": (DROPOUT, ("micro_batch_size=4",)),
    "no-effect": (CPU, ("data.paths=[/data]", "name=another", "cluster.price_per_device_hour=2")),
    "attention-and-logits": (LLAMA, ("attention=flash", "loss.logits=chunked", "compile=true")),
}
"""Name to the first recipe and what the second sets."""


def planned(text: str, *changes: str, folder) -> tuple:
    """Recipe and plan of a text with some keys set; without this machine in it."""
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(path, overrides=changes)
    return recipe, plan(recipe, environ={}, measured=False)


def side(text: str, *changes: str, folder, name: str = "recipe.yaml") -> Side:
    """One side of a comparison."""
    recipe, result = planned(text, *changes, folder=folder)
    return side_of_plan(result, recipe=recipe, name=name)


def locked(text: str, *changes: str, folder) -> Lock:
    """The lock of a text."""
    _, result = planned(text, *changes, folder=folder)
    return lock_of(result, recipe="recipe.yaml", cluster=None, batchwright="1.0")


def compared(text: str, *changes: str, folder, from_lock: bool = False) -> Comparison:
    """A recipe, or its lock, and the same with some keys set."""
    if from_lock:
        before = side_of_lock(locked(text, folder=folder), name="recipe.plan.json")
    else:
        before = side(text, folder=folder, name="HEAD:recipe.yaml")
    return compare(before, side(text, *changes, folder=folder))
