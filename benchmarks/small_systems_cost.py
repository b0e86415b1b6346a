"""What a step of the small systems costs on two CPU processes: peak memory, planned and measured, and CPU time.

    .venv/bin/python benchmarks/small_systems_cost.py > docs/explanation/small-systems/cost.csv

Each system is built and trained on random data of the recipe's shapes, under DistributedDataParallel on one thread per
process. Memory is the most that rank 0 has allocated at once, by the profiler, from before the model is built until two
steps are done; 300 MiB or so of the interpreter and its libraries are in the plan's `context` and not counted here.
Time is the processor's own in one step of rank 0, the median of nine, so that other work on the machine counts little.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from launcher.api import load_recipe, plan

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
SYSTEMS = {
    "summarizer/cpu-1x2": lambda script, made: script.Summarizer(made),
    "char-rnn/cpu-1x2-hidden-2048": lambda script, made: script.CharacterModel(made.model),
    "char-rnn/cpu-1x2-hidden-1024": lambda script, made: script.CharacterModel(made.model),
    "forecaster/cpu-1x2": lambda script, made: script.Forecaster(made.model),
    "classifier/cpu-1x2": lambda script, made: script.Classifier(made.model),
    "small-moe/cpu-1x2-26x128": lambda script, made: script.LanguageModel(made),
    "small-moe/cpu-1x2-6x512": lambda script, made: script.LanguageModel(made),
    "small-moe/cpu-1x2-104x32": lambda script, made: script.LanguageModel(made),
    "regression/cpu-1x2-batch-64": lambda script, made: script.Regression(made.model),
}


def main() -> None:
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
        for name in SYSTEMS:
            measure(name)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        return
    print("system,tokens_per_step,planned_bytes,measured_bytes,cpu_seconds_per_step", flush=True)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    subprocess.run([*command, __file__], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def measure(name: str) -> None:
    """Prints one line of the table, on rank 0."""
    path = RECIPES / f"{name}.yaml"
    made = plan(load_recipe(path), environ={}, measured=False)
    script = script_of(path.parent)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        step = stepping(SYSTEMS[name](script, made), batch_of(made), made)
        step()
        step()
    events = profiled.profiler.kineto_results.events()
    held = peak = 0
    for _, size in sorted(
        (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"
    ):
        held += size
        peak = max(peak, held)
    seconds = statistics.median(cpu_seconds(step) for _ in range(9))
    if torch.distributed.get_rank() == 0:
        tokens = made.batch.tokens_per_step or made.batch.global_batch_size
        print(f"{name},{tokens},{made.memory.allocated_bytes},{peak},{seconds:.4f}", flush=True)


def cpu_seconds(step: Callable[[], None]) -> float:
    """Processor time of one step of this process, in seconds."""
    began = time.process_time()
    step()
    return time.process_time() - began


def stepping(model: torch.nn.Module, batch: tuple[Any, ...], made: Any) -> Callable[[], None]:
    """A function that trains for one optimizer step."""
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    names = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = names[made.optimizer.name](wrapped.parameters(), lr=made.learning_rate.peak_learning_rate)

    def step() -> None:
        wrapped(*batch).sum().backward()
        if made.optimizer.gradient_clipping:
            torch.nn.utils.clip_grad_norm_(wrapped.parameters(), made.optimizer.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()

    return step


def batch_of(made: Any) -> tuple[Any, ...]:
    """What the system's model is called with, of the plan's sizes."""
    rows, length, others = made.batch.micro_batch_size, made.batch.sequence_length, made.model.others
    match made.model.kind:
        case "encoder-decoder":
            target = 16
            return (torch.randint(3, 96, (rows, length - target)), torch.randint(3, 96, (rows, target)))
        case "lstm":
            return (torch.randn(rows, length, others["input_size"] + 1),)
        case "mlp":
            return (torch.randn(rows, others["input_size"]),)
        case "bag":
            return (torch.randint(1, made.model.vocab_size, (rows, length)),)
        case _:
            return (torch.randint(0, made.model.vocab_size, (rows, length + 1)),)


def script_of(folder: Path) -> Any:
    """A recipe's train.py as a module."""
    spec = importlib.util.spec_from_file_location(
        f"train_{folder.name.replace('-', '_')}", folder / "train.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


if __name__ == "__main__":
    main()
