"""The picture of docs/explanation/accumulation.md: weight on the wrong tokens, by how a step is cut.

    python benchmarks/plots_accumulation.py [--folder docs/explanation/accumulation]

Needs matplotlib (extra `train`). The same lengths give the same file.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

import token_weights as means
from plotting import EXPLANATION, parser_of, plt, save

FOLDER = EXPLANATION / "accumulation"
SEQUENCES, RANKS = 64, 8
CUTS = [1, 2, 4, 8, 16, 32, 64]
DRAWS = 50
COLOURS = dict(zip(means.LENGTHS, ("tab:blue", "tab:orange", "tab:red", "tab:green"), strict=True))


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    save(folder / "misplaced.svg", misplaced_weight())


def misplaced_weight() -> Any:
    """Left: means of means over the number of pieces. Right: 8 ranks, and what each counting alone mends."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    for kind, colour in COLOURS.items():
        pieces = [share(means.mean_of_means, kind, ranks=1, accumulation=cut) for cut in CUTS]
        left.plot(CUTS, pieces, marker="o", color=colour, label=kind)
        for weights, style in ((means.mean_of_means, "-"), (means.per_rank, ":")):
            cuts = [cut for cut in CUTS if cut * RANKS <= SEQUENCES]
            shares = [share(weights, kind, ranks=RANKS, accumulation=cut) for cut in cuts]
            right.plot(cuts, shares, marker="o", linestyle=style, color=colour)
    for axis, label in (
        (left, "micro-batches of a step, over all ranks"),
        (right, f"accumulation on {RANKS} ranks"),
    ):
        cuts = CUTS if axis is left else [cut for cut in CUTS if cut * RANKS <= SEQUENCES]
        exact = [share(means.exact, kind, ranks=1, accumulation=cut) for kind in COLOURS for cut in cuts]
        axis.axhline(max(exact), color="black", linestyle="--", label="the plan's factor")
        axis.set(xscale="log", xlabel=label)
        axis.set_xticks(cuts, [str(cut) for cut in cuts])
        axis.minorticks_off()
    right.plot([], [], "k-", label="mean of micro-batch means")
    right.plot([], [], "k:", label="each rank divides by its own tokens")
    left.set(ylim=(-5, 115), ylabel="weight on the wrong tokens, %", title="64 sequences in equal pieces")
    right.set(title="the same on 8 ranks")
    left.legend(fontsize=7)
    right.legend(fontsize=7)
    return figure


def share(weights: means.Weights, kind: str, *, ranks: int, accumulation: int) -> float:
    """Mean over many steps, in %."""
    found = []
    for seed in range(DRAWS):
        lengths = means.lengths_of(kind, sequences=SEQUENCES, seed=seed)
        found.append(means.misplaced(weights(lengths, ranks=ranks, accumulation=accumulation), lengths))
    return 100 * fmean(found)


if __name__ == "__main__":
    main()
