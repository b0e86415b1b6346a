"""What measuring the gradient noise scale adds to a step of a model of 10 million parameters, on two ranks of this CPU.

    python benchmarks/noise_cost.py [--pairs 20] [--steps 2]

Blocks of steps with and without measuring take turns in one process, on one model under DistributedDataParallel with
gradient clipping; a pair is two neighbouring blocks, and the median of their ratios is printed, for both ways. Two
clocks: the wall's, which other programs on the machine slow, and this process's own work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH, LAYERS, WORDS, LENGTH = 320, 8, 512, 128
MICRO, ACCUMULATION, RANKS = 4, 2, 2
WAYS = ("micro-batches", "ranks")
LIMIT = 1.02
Pairs = dict[str, list[tuple[tuple[float, float], tuple[float, float]]]]
"""Way -> (with, without) of each pair of blocks, by both clocks."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps of a block")
    parser.add_argument(
        "--unclipped", action="store_true", help="without clipping, whose norm is used otherwise"
    )
    parser.add_argument("--rank-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank_of:
        measure(options.rank_of, pairs=options.pairs, steps=options.steps)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_plans(folder, clips=not options.unclipped)
        start(folder, options)


def write_plans(folder: Path, *, clips: bool) -> None:
    from launcher.api import load_recipe, plan

    for way in ("off", *WAYS):
        (folder / way).mkdir()
        recipe = {
            "name": "noise-cost",
            "global_batch_size": MICRO * ACCUMULATION * RANKS,
            "sequence_length": LENGTH,
            "hidden_size": WIDTH,
            "micro_batch_size": MICRO,
            "data": {"num_samples": 1000},
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-4,
                **({"gradient_clipping": 1.0} if clips else {}),
            },
            "schedule": {"length": "100000 steps"},
            "gradient_noise": way,
            "cluster": {"nodes": 1, "devices_per_node": RANKS, "device": "cpu"},
            "launch": {"script": "noise_cost.py", "runtime": True},
        }
        (folder / way / "plan.json").write_text(json.dumps(plan(load_recipe(recipe)).to_dict()))


def start(folder: Path, options: Any) -> None:
    words = [
        *(sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(RANKS), __file__, "--rank-of", str(folder)),
        *("--pairs", str(options.pairs), "--steps", str(options.steps)),
    ]
    threads = str(max(1, (os.cpu_count() or RANKS) // RANKS))
    subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": threads}, check=True)


def measure(folder: Path, *, pairs: int, steps: int) -> None:
    """One rank: trains block after block, and rank 0 prints."""
    import torch
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # only the ratios are printed
    torch.manual_seed(0)
    distributed.init_process_group("gloo")
    bare = model_of(torch)
    numbers = sum(each.numel() for each in bare.parameters())
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.AdamW(model.parameters())
    blocks = {way: blocks_of(folder / way, model, optimizer, steps) for way in ("off", *WAYS)}
    for each in blocks.values():  # the first steps are slow in their own way
        next(each)
    seconds: Pairs = {way: [] for way in WAYS}
    for number in range(pairs):
        for way in WAYS:
            # who goes first takes turns, too
            order = ("off", way) if number % 2 else (way, "off")
            taken = {name: next(blocks[name]) for name in order}
            seconds[way].append((taken[way], taken["off"]))
    if distributed.get_rank() == 0:
        show(seconds, numbers=numbers, steps=steps)
    distributed.barrier()
    distributed.destroy_process_group()


def model_of(torch: Any) -> Any:
    """A decoder of about ten million parameters."""
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, 5, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
    )

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(WORDS, WIDTH)
            self.layers = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.logits = torch.nn.Linear(WIDTH, WORDS)

        def forward(self, words: Any) -> Any:
            mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
            logits = self.logits(self.layers(self.words(words), mask=mask, is_causal=True))
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), words, reduction="none")
            return losses.sum(1)

    return Model()


def blocks_of(folder: Path, model: Any, optimizer: Any, steps: int) -> Iterator[tuple[float, float]]:
    """Seconds of block after block of one run: by the clock, and of this process's own work."""
    import torch

    from launcher import runtime

    environ = {**os.environ, "LAUNCHER_PLAN": str(folder / "plan.json"), "BATCHWRIGHT_RUN": str(folder)}
    run = runtime.start(model, environ=environ)
    source = torch.Generator().manual_seed(1)
    samples = [
        {"words": each, "labels": each} for each in torch.randint(0, WORDS, (1000, LENGTH), generator=source)
    ]
    trained = run.steps(samples, weight=lambda _: LENGTH)
    while True:
        began, worked = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step = next(trained)
            for micro in step:
                run.backward(model(micro.batch["words"]), micro)
            run.apply(optimizer)
        yield time.perf_counter() - began, time.process_time() - worked


def show(seconds: Pairs, *, numbers: int, steps: int) -> None:
    """Both clocks: on a busy machine only a process's own work says anything."""
    for way, pairs in seconds.items():
        for place, clock in enumerate(("wall", "work")):
            ratios = sorted(on[place] / off[place] for on, off in pairs)
            median, step = (
                statistics.median(ratios),
                statistics.median(off[place] for _, off in pairs) / steps,
            )
            print(
                f"{numbers / 1e6:.1f} M parameters, {way:13} {clock}: median ratio {median:.4f} of {len(ratios)} "
                f"pairs ({ratios[len(ratios) // 4]:.4f} to {ratios[-1 - len(ratios) // 4]:.4f} half of them), "
                f"a step {step:.3f} s: {'below' if median < LIMIT else 'NOT below'} 2 %",
                file=sys.__stdout__,
                flush=True,
            )


if __name__ == "__main__":
    main()
