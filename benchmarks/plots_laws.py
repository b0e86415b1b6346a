"""The pictures and the table of docs/explanation/what-is-not-known.md: what each law chooses as the data of a run grow.

    python benchmarks/plots_laws.py [--folder docs/explanation/what-is-not-known]

Needs matplotlib (extra `train`). Solid where a law was fitted, dashed beyond. The same laws give the same files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flat_optimum
from plotting import EXPLANATION, parser_of, plt, save

from launcher.planning.laws import step_law
from launcher.planning.laws.advice import advise
from launcher.planning.laws.answer import LARGEST_STEP, Answer
from launcher.planning.laws.asked import Asked
from launcher.planning.laws.parameters import counted
from launcher.planning.memory.network import Network

FOLDER = EXPLANATION / "what-is-not-known"
TOKENS = [10 ** (9 + at / 8) for at in range(33)]
FITTED = [4e9, 1e11]
COLOURS = {
    "DeepSeek LLM": "tab:blue",
    "Step Law": "tab:orange",
    "nanochat": "tab:green",
    "critical by data": "tab:red",
    "GPT-3 by width": "tab:purple",
}
TRAINED = {"7 B": {"batch": (2e12, 2304 * 4096), "rate": (2e12, 4.2e-4)}}
"""DeepSeek LLM 7B as it was trained: deepseek-ai/DeepSeek-LLM@6712a86 README.md."""


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    models = known_models()
    save(
        folder / "batch.svg",
        drawn(models, "batch", "best or critical batch, tokens", lambda a: a.batch_tokens),
    )
    save(folder / "flat.svg", flat())
    print("\n".join(table()))
    save(folder / "rate.svg", drawn(models, "rate", "peak learning rate", lambda a: a.learning_rate))


def known_models() -> dict[str, Asked]:
    """Step Law's largest model, and Llama-2-7B's dimensions."""
    return {"1 B": model(2048, 16, 8192), "7 B": model(4096, 32, 11008)}


def table() -> list[str]:
    """The page's table: batch in tokens and rate of every law, in brackets beyond ten times its fit."""
    runs = [("1 B", 2e10), ("1 B", 1e11), ("7 B", 1.4e11), ("7 B", 2e12)]
    columns = {run: _asked(*run) for run in runs}
    names = dict.fromkeys(answer.law.name for column in columns.values() for answer in column)
    head = [f"{name}, {tokens / 1e9:,.0f} B tokens" for name, tokens in runs]
    lines = [f"| law | {' | '.join(head)} |", f"|---|{'---|' * len(runs)}"]
    for name in names:
        cells = [next(_cell(answer) for answer in columns[run] if answer.law.name == name) for run in runs]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _asked(name: str, tokens: float) -> list[Answer]:
    asked = replace(known_models()[name], run_tokens=tokens)
    return [answer for answer in advise(asked, extrapolate=True).answers if answer.law.name in COLOURS]


def _cell(answer: Answer) -> str:
    batch = "" if answer.batch_tokens is None else f"{answer.batch_tokens / 1e6:.2f} M"
    rate = "" if answer.learning_rate is None else f"{answer.learning_rate:.1e}".replace("e-0", "e-")
    words = ", ".join(part for part in (batch, rate) if part)
    return f"({words})" if answer.beyond > LARGEST_STEP else words


def model(hidden: int, layers: int, inner: int) -> Asked:
    """A decoder in Llama's style, sequences of 2,048; its batch does not matter to these laws."""
    network = Network(
        kind="decoder",
        hidden_size=hidden,
        num_layers=layers,
        num_attention_heads=hidden // 128,
        num_key_value_heads=hidden // 128,
        head_dim=128,
        intermediate_size=inner,
        vocab_size=32000,
        gated_mlp=True,
        norm="rmsnorm",
        position="rotary",
        bias=False,
        tie_word_embeddings=False,
    )
    return Asked(
        kind="decoder",
        optimizer="adamw",
        parameters=counted(network),
        hidden_size=hidden,
        num_layers=layers,
        sequence_length=2048,
        batch_sequences=1024,
    )


def drawn(models: dict[str, Asked], what: str, label: str, value: Callable[[Answer], float | None]) -> Any:
    """One panel a model: every law that gives the value, over the tokens of the run."""
    figure, axes = plt.subplots(1, len(models), figsize=(9, 3.8), sharey=True)
    for axis, (name, asked) in zip(axes, models.items(), strict=True):
        curves = _curves(asked, value)
        for law, points in curves.items():
            for standing, style in (("within", "-"), ("extrapolated", "--")):
                xs, ys = _only(points, standing)
                axis.plot(
                    xs, ys, style, color=COLOURS[law], label=law if standing == _first(points) else None
                )
        if (trained := TRAINED.get(name)) is not None:
            axis.plot(*trained[what], "k*", label="DeepSeek 7B, as trained")
        axis.set(xscale="log", yscale="log", xlabel="tokens of the run", title=f"{name} parameters")
        axis.legend(fontsize=7)
    axes[0].set_ylabel(label)
    return figure


def flat() -> Any:
    """Batches and rates within 0.5 % of the best loss of each published grid, and what Step Law says of it."""
    grids = [grid for grid in flat_optimum.read_grids() if grid.share == 0.005]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    sizes = sorted({grid.parameters for grid in grids})
    for at, size in enumerate(sizes):
        found = [grid for grid in grids if grid.parameters == size]
        xs = [grid.tokens * 1.03**at for grid in found]
        batches = ([g.low_batch for g in found], [g.best_batch for g in found], [g.high_batch for g in found])
        rates = ([g.low_rate for g in found], [g.best_rate for g in found], [g.high_rate for g in found])
        for axis, (low, best, high) in zip(axes, (batches, rates), strict=True):
            axis.vlines(xs, low, high, color=f"C{at}", linewidth=2, alpha=0.6)
            axis.plot(xs, best, "o", color=f"C{at}", markersize=4, label=f"{size / 1e9:.2g} B weights")
        law = [step_law.learning_rate(matrices=size, tokens=tokens) for tokens in FITTED]
        axes[1].plot(FITTED, law, color=f"C{at}", linewidth=0.8)
    batches_by_law = [step_law.batch_tokens(tokens=tokens) / flat_optimum.SEQUENCE for tokens in FITTED]
    axes[0].plot(FITTED, batches_by_law, color="black", linewidth=0.8, label="Step Law")
    axes[0].set_ylabel("batch, sequences of 2,048")
    axes[1].set_ylabel("peak learning rate (lines: Step Law)")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="tokens of the run")
    axes[0].legend(fontsize=7)
    return figure


def _curves(
    asked: Asked, value: Callable[[Answer], float | None]
) -> dict[str, list[tuple[float, float, str]]]:
    found: dict[str, list[tuple[float, float, str]]] = {}
    for tokens in TOKENS:
        for answer in advise(replace(asked, run_tokens=tokens), extrapolate=True).answers:
            chosen = value(answer)
            if chosen is not None and answer.law.name in COLOURS:
                found.setdefault(answer.law.name, []).append((tokens, chosen, answer.standing))
    return found


def _first(points: list[tuple[float, float, str]]) -> str:
    """The standing that carries the law's name in the legend: solid where it is ever inside its fit."""
    return "within" if any(standing == "within" for _, _, standing in points) else "extrapolated"


def _only(points: list[tuple[float, float, str]], standing: str) -> tuple[list[float], list[float]]:
    """Points of one standing; the others are gaps, but for the neighbours, so that lines meet."""
    xs, ys = [], []
    for at, (tokens, chosen, found) in enumerate(points):
        near = {points[other][2] for other in (at - 1, at + 1) if 0 <= other < len(points)}
        drawn_here = found == standing or (standing == "extrapolated" and standing in near)
        xs.append(tokens)
        ys.append(chosen if drawn_here else float("nan"))
    return xs, ys


if __name__ == "__main__":
    main()
