"""Tables of docs/explanation/batch-coupled.md against the code that they describe."""

from pathlib import Path

import pytest

from launcher.planning.coupling.batch_norm import PUBLISHED_ERRORS, momentum_at
from launcher.planning.coupling.coupled import KNOWN, NOT_COUPLED
from launcher.planning.granularity.remarks import MEASURED
from launcher.planning.granularity.waves import waves_of

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/batch-coupled.md"


def table(first_cell):
    """Rows of the table whose head starts with this cell, head first, as cells."""
    lines = PAGE.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        if not line.startswith("|--"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_words():
    """Every word that the plan knows, and none else but "any other"."""
    words = [row[0].strip("`") for row in table("word in `model.batch_coupled`")[1:]]
    assert {*words[:-1]} == {*KNOWN, NOT_COUPLED}


def test_errors_of_batch_norm():
    """The published table, column by column."""
    head, batch, group = table("images per GPU")
    shown = {int(n): (float(b), float(g)) for n, b, g in zip(head[1:], batch[1:], group[1:], strict=True)}
    assert shown == PUBLISHED_ERRORS


def test_momenta():
    """What the formula gives for torch's 0.1."""
    head, row = table("micro-batches instead of one")
    for steps, shown in zip(head[1:], row[1:], strict=True):
        assert float(shown) == pytest.approx(momentum_at(samples=1, reference_samples=int(steps)), abs=5e-6)


def test_measured_widths():
    """TFLOPS as the source prints them, and the power of two in each width."""
    widths, powers, speeds = table("`intermediate_size`")
    for width, power, speed in zip(widths[1:], powers[1:], speeds[1:], strict=True):
        number = int(width)
        assert number & -number == int(power)
        assert float(speed) == pytest.approx(MEASURED[number], abs=0.05)


def test_waves():
    """Waves of so many blocks on 108, 148 and 152 multiprocessors."""
    for first, *shown in table("blocks")[1:]:
        blocks = int(first.partition(" ")[0])
        found = [
            waves_of(rows=128 * blocks, columns=256, multiprocessors=count).waves for count in (108, 148, 152)
        ]
        assert [int(cell) for cell in shown] == found
