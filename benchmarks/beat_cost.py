"""What watching costs: each event inside a rank, one look of the supervisor, and the program that keeps a rank's log.

python benchmarks/beat_cost.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from batchwright_witness.beats import open_beats
from batchwright_witness.vitals import Vitals
from launcher.handoff.guard.guarding import Guard
from launcher.handoff.guard.local_ranks import LocalRanks
from launcher.testing.plans import sample_plans

RANKS = 8
LOG = """
import os, sys, time
from pathlib import Path
from batchwright_witness.rank_log import keep_log
began = time.perf_counter()
assert keep_log(Path(sys.argv[1]), 0, os.environ)
print(time.perf_counter() - began, file=sys.stderr, flush=True)
time.sleep(0.5)
for entry in Path("/proc").iterdir():
    try:
        if entry.name.isdigit() and os.readlink(entry / "fd" / "5") == sys.argv[1] + "/logs/rank-0.log":
            status = (entry / "status").read_text().splitlines()
            print(next(line.split()[1] for line in status if "RssAnon" in line), file=sys.stderr)
    except OSError:
        pass
"""


def main() -> None:
    """Print a line per cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _inside(folder)
        _outside(folder)
        _log(folder)


def _inside(folder: Path) -> None:
    vitals = Vitals(open_beats(folder, 0), rank=0, stop=lambda *_: None, checkpoint=lambda _: None)
    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.randn((), requires_grad=True) * 2

    def backward() -> None:
        vitals.backward_begins(loss)
        vitals.backward_ended()

    def step() -> None:
        vitals.begins_step(optimizer, lambda: 0)
        vitals.stepped(optimizer)

    _show("a micro-batch: two beats, and a look at the loss", backward)
    _show("an optimizer step: two beats, and the health", step)
    _show("a batch of a loader", vitals.pulse.has_batch)


def _outside(folder: Path) -> None:
    for rank in range(RANKS):
        open_beats(folder, rank)
    guard = Guard(sample_plans()["cpu-1x2"], say=print, folder="RUN")
    ranks = LocalRanks(folder, workdir="/")

    def look() -> None:
        guard.see(ranks.beats())
        guard.decide()

    _show(f"one look a second at {RANKS} ranks", look, times=500)


def _log(folder: Path) -> None:
    (folder / "logs").mkdir()
    words, said = [sys.executable, "-c", LOG, str(folder)], []
    for _ in range(5):
        done = subprocess.run(words, env={**os.environ}, check=True, capture_output=True, text=True)
        said.append(done.stderr.split())
    milliseconds, kilobytes = (statistics.median(float(each[at]) for each in said) for at in (0, 1))
    print(
        f"{'the program that keeps the log, at the start':50} {milliseconds * 1e3:7.1f} ms (median of 5), "
        f"{kilobytes / 1024:.1f} MiB of its own"
    )


def _show(what: str, call: Callable[[], None], *, times: int = 20_000) -> None:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    print(f"{what:50} {statistics.median(taken) * 1e6:7.1f} us (median of {times})")


if __name__ == "__main__":
    main()
