"""How pictures of docs/explanation are drawn and written: the same look, and the same bytes for the same numbers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update(
    {"svg.hashsalt": "batchwright", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}
)

from matplotlib import pyplot as plt  # noqa: E402

__all__ = ["EXPLANATION", "parser_of", "plt", "save"]

EXPLANATION = Path(__file__).resolve().parents[1] / "docs" / "explanation"


def parser_of(description: str | None, *, folder: Path) -> argparse.ArgumentParser:
    """A parser with `--folder`, where the pictures go."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=folder)
    return parser


def save(path: Path, figure: Any) -> None:
    """Writes a picture, its folder too, and closes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    print(f"wrote {path}")
