"""What the witness costs per optimizer step: the same small training with and without it, alternating; the median.

python benchmarks/witness_overhead.py [runs]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from launcher import load_recipe, plan

STEPS = 300
SCRIPT = f"""
import statistics, sys, time
import torch
from torch.utils.data import DataLoader, TensorDataset

width = int(sys.argv[1])
model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(4)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
data = DataLoader(TensorDataset(torch.randn({STEPS} * 16, width)), batch_size=8)
times, last = [], time.perf_counter()
for number, (batch,) in enumerate(data):
    model(batch).square().mean().backward()
    if number % 2:
        optimizer.step()
        optimizer.zero_grad()
        now = time.perf_counter()
        times.append(now - last)
        last = now
print(statistics.median(times[10:]))
"""


def main(runs: int) -> None:
    """Print a line per model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(SCRIPT)
        recipe = load_recipe(
            {
                "global_batch_size": 16,
                "hidden_size": 64,
                "sequence_length": 16,
                "micro_batch_size": 8,
                "gradient_accumulation_steps": 2,
                "optimizer": {"learning_rate": 0.001},
                "cluster": {"nodes": 1, "devices_per_node": 1, "device": "cpu"},
                "launch": {"script": "train.py"},
            }
        )
        (folder / "plan.json").write_text(json.dumps(plan(recipe).to_dict()))
        for width in (32, 256, 1024):
            _compare(folder, width, runs)


def _compare(folder: Path, width: int, runs: int) -> None:
    witness = ("-m", "batchwright_witness", "--plan", "plan.json")
    without, with_it = [], []
    for _ in range(runs):
        without.append(_step_seconds(folder, width, ()))
        with_it.append(_step_seconds(folder, width, witness))
    plain, watched = statistics.median(without), statistics.median(with_it)
    print(
        f"width {width:5}: {plain * 1e3:7.3f} ms per step without, {watched * 1e3:7.3f} ms with, "
        f"ratio {watched / plain:.3f}, {1e6 * (watched - plain):+.0f} us per step (median of {runs})",
        flush=True,
    )


def _step_seconds(folder: Path, width: int, witness: tuple[str, ...]) -> float:
    command = (sys.executable, *witness, "train.py", str(width))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
