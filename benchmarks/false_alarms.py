"""How often a training in which nothing happens is remarked on, and how soon one in which something does.

    python benchmarks/false_alarms.py [--steps 20000]

Curves and noises are those of tests/witness/stability/losses_drawn.py; the same seed gives the same table.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "witness" / "stability"))

from losses_drawn import CURVES, NOISES, drawn

from batchwright_witness.stability.watching import Stability

LEVELS = (0.003, 0.02, 0.1, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    print(
        f"remarks in {len(CURVES) * len(LEVELS) * steps:,} quiet steps: {len(CURVES)} curves, {len(LEVELS)} levels"
    )
    for noise in NOISES:
        found: Counter[str] = Counter()
        for curve in CURVES:
            for level in LEVELS:
                losses = drawn(curve, noise, level=level, steps=steps, seed=1)
                found.update(code for _, code in remarks(losses) if code != "loss-spike-over")
        print(f"  {noise:<18}{dict(found) or 'none'}")
    print(
        "share of 200 jumps that are named, by size in deviations of the noise (2 % of the loss) and length"
    )
    for length in (1, 2, 3, 10):
        shares = [f"{size}: {share_named(size, length):.0%}" for size in (5, 6, 7, 8, 10, 15, 25)]
        print(f"  {length:>2} steps   {'   '.join(shares)}")
    print(
        f"a rise of 1 % in 50 steps is named after {statistics.median(map(delay, range(20))):.0f} steps (median of 20)"
    )
    print(f"one step costs {1e6 * cost():.1f} us")


def remarks(losses: list[float]) -> list[tuple[int, str]]:
    stability = Stability()
    return [
        (remark.step, remark.code)
        for step, loss in enumerate(losses, 1)
        for remark in stability.stepped(step, loss=loss, norm=None, skipped=False)
    ]


def share_named(size: float, length: int) -> float:
    named = 0
    for seed in range(200):
        losses = drawn("power", "gaussian", level=0.02, steps=620, seed=seed)
        losses[600 : 600 + length] = [loss * math.exp(0.02 * size) for loss in losses[600 : 600 + length]]
        named += any(code == "loss-spike" and step in {601, 602} for step, code in remarks(losses))
    return named / 200


def delay(seed: int) -> int:
    losses = drawn("flat", "gaussian", level=0.02, steps=4000, seed=seed)
    rising = [loss * 1.0002 ** max(0, step - 1000) for step, loss in enumerate(losses, 1)]
    return next(step for step, code in remarks(rising) if code == "loss-rising") - 1000


def cost() -> float:
    losses, stability = drawn("power", "gaussian", level=0.02, steps=20_000, seed=1), Stability(max_norm=1.0)
    began = time.perf_counter()
    for step, loss in enumerate(losses, 1):
        list(stability.stepped(step, loss=loss, norm=loss / 3, skipped=False))
    return (time.perf_counter() - began) / len(losses)


if __name__ == "__main__":
    main()
