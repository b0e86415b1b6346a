"""The pictures of docs/explanation/sharpness.md and docs/how-to/watch-stability.md: small real trainings, measured.

    python benchmarks/plots_stability.py [--folder docs/explanation/sharpness]

Needs torch and matplotlib (extra `train`); about two minutes. The same machine gives the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

import torch
from plotting import EXPLANATION, parser_of, plt, save
from torch import nn

from batchwright_witness.stability.watching import Stability
from launcher.measuring.sharpness import (
    critical_sharpness,
    gradient_descent_threshold,
    top_eigenvalue,
)

FOLDER = EXPLANATION / "sharpness"
LETTERS = " etaoinsrhl"
"""What is told apart; everything else is one class more."""
CONTEXT = 6
RATES = (0.1, 0.2, 0.4)
STEPS = 2400
EVERY = 30


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    torch.set_num_threads(1)
    save(folder / "edge.svg", edge_of_stability())
    save(folder / "remarks.svg", remarks_of_a_run())


def rows(count: int) -> tuple[Any, Any]:
    """Six letters of CPython's help texts, one-hot, and the class of the seventh."""
    text = "".join(topics[name] for name in sorted(topics)).lower()
    classes = torch.tensor([LETTERS.find(letter) % (len(LETTERS) + 1) for letter in text])
    starts = torch.arange(count) * 37 % (len(text) - CONTEXT - 1)
    windows = classes[starts[:, None] + torch.arange(CONTEXT + 1)]
    return nn.functional.one_hot(windows[:, :-1], len(LETTERS) + 1).flatten(1).float(), windows[:, -1]


def network() -> nn.Module:
    torch.manual_seed(0)
    width = CONTEXT * (len(LETTERS) + 1)
    return nn.Sequential(nn.Linear(width, 48), nn.Tanh(), nn.Linear(48, len(LETTERS) + 1))


def descent(rate: float) -> Iterator[tuple[int, float, float, float | None]]:
    """Full-batch gradient descent on squared errors: step, loss, largest eigenvalue, critical sharpness."""
    x, letters = rows(600)
    y = nn.functional.one_hot(letters, len(LETTERS) + 1).float()
    module = network()
    parameters = list(module.parameters())

    def loss() -> Any:
        return (module(x) - y).square().sum(1).mean()

    for step in range(STEPS + 1):
        value = loss()
        gradient = torch.autograd.grad(value, parameters)
        if step % EVERY == 0:
            update = torch.cat([each.reshape(-1) for each in gradient])
            found = top_eigenvalue(loss, parameters, iterations=25)
            critical = critical_sharpness(loss, parameters, update, learning_rate=rate)
            yield step, float(value.detach()), found.value, critical.sharpness
        with torch.no_grad():
            for each, slope in zip(parameters, gradient, strict=True):
                each.sub_(slope, alpha=rate)


def edge_of_stability() -> Any:
    """Sharpness and loss along descent at three rates, each with its 2 / eta."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for rate in RATES:
        steps, losses, eigenvalues, critical = zip(*descent(rate), strict=True)
        limit = gradient_descent_threshold(learning_rate=rate)
        [line] = left.plot(steps, eigenvalues, linewidth=1, label=f"rate {rate:g}")
        known = [(step, value) for step, value in zip(steps, critical, strict=True) if value is not None]
        left.plot(*zip(*known[::2], strict=True), ".", markersize=3, color=line.get_color(), alpha=0.6)
        left.axhline(limit, color=line.get_color(), linestyle="--", linewidth=0.8)
        left.annotate(f"2 / {rate:g}", (STEPS + 110, limit), fontsize=7, va="center", ha="left")
        right.plot(steps, losses, linewidth=1, color=line.get_color(), label=f"rate {rate:g}")
        settled = [value for step, value in zip(steps, eigenvalues, strict=True) if step > STEPS * 2 / 3]
        print(f"rate {rate}: limit {limit:.1f}, last third {min(settled):.2f} to {max(settled):.2f}")
    left.set(
        xlabel="step",
        ylabel="largest eigenvalue (line), critical (dots)",
        xlim=(-60, STEPS + 460),
        ylim=(0, 27),
    )
    right.set(xlabel="step", ylabel="training loss", yscale="log")
    for axes in (left, right):
        axes.legend(fontsize=8)
    figure.tight_layout()
    return figure


def remarks_of_a_run() -> Any:
    """A run with three mishaps planted, and what is said of it."""
    x, letters = rows(20_000)
    module, stability = network(), Stability(max_norm=1.0)
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(1)
    losses, said = [], []
    for step in range(1, 2401):
        wild = 700 <= step < 704
        creeping = step > 1600
        for group in optimizer.param_groups:
            group["lr"] = 0.3 if wild else 2e-3
        pick = torch.randint(0, len(x), (64,), generator=generator)
        target = letters[pick]
        if creeping:  # labels go bad, a little more of them with every step
            spoiled = torch.rand(64, generator=generator) < (step - 1600) / 1600
            target = torch.where(spoiled, torch.randint(0, len(LETTERS), (64,), generator=generator), target)
        loss = nn.functional.cross_entropy(module(x[pick]), target)
        optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(module.parameters(), 1.0))
        optimizer.step()
        losses.append(float(loss.detach()))
        said += stability.stepped(step, loss=losses[-1], norm=norm, skipped=False)
    for remark in said:
        print(remark.line())
    figure, axes = plt.subplots(figsize=(9, 3.2))
    axes.plot(range(1, 2401, 2), [round(loss, 3) for loss in losses[::2]], linewidth=0.5)
    for remark in said:
        axes.axvline(remark.step, color="#c2410c", linewidth=0.8)
        axes.annotate(
            f"{remark.step} {remark.code}", (remark.step, 5.2), fontsize=7, rotation=90, va="top", ha="right"
        )
    axes.set(xlabel="step", ylabel="training loss", ylim=(1, 5.3))
    return figure


if __name__ == "__main__":
    main()
