"""How far the memory model is from what others published: errors, fit verdicts and what a user would pick instead.

    python benchmarks/accuracy.py [--source NAME ...] [--rows] [--calibration] [--json]

Base environment only. The figures lie in benchmarks/published with their citations; a module beside each table turns
its rows into a network and a setting, or names a reason of REASONS for leaving the row out. Everything else, also a row
that the model cannot evaluate, counts as an error of 100 %.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from published import baselines
from published.case import Case, usable_bytes
from published.report import print_baselines, print_calibration, print_source, print_summary

from launcher.planning.memory.estimate import Estimate, estimate_memory

HERE = Path(__file__).resolve().parent / "published"

REASONS = {
    "no-dims": "the row names a model, the page gives no dimensions",
    "no-batch": "no micro-batch, or one that cannot be told from the global batch",
    "no-length": "no sequence length, or one that follows from unpublished samples",
    "no-precision": "number format not stated",
    "no-layout": "who shares what is not stated, or was chosen by a compiler",
    "no-figure": "states neither memory nor whether it ran",
    "no-definition": "a figure whose quantity the source does not say",
    "no-limit": "an outcome on a device whose memory is not stated",
    "no-kind": "a kind of network outside the contract (UNet, EfficientNet, Mamba, adapters other than LoRA ...)",
    "no-method": "a method outside the contract (offloaded activations, optimizer inside backward, 8-bit training ...)",
    "contradicts": "the source marks the row as wrong, or its figures exclude one another",
    "not-memory": "failed, or was capped, for another reason than memory",
    "duplicate": "the same measurement stands in another row",
}
"""The closed list of reasons for leaving a row out."""

STATED = ("n_layers", "hidden", "seq_len", "micro_batch", "precision")
"""Cells that a row needs to state its dimensions, batch and precision."""


@dataclass(slots=True)
class Judged:
    """One row beside the model's answer."""

    row: str
    case: Case
    estimate: Estimate | None
    failure: str | None = None
    predicted: float | None = None
    """Of the measured quantity, in bytes."""
    verdict: str | None = None
    """fits, tight, does-not-fit or unknown-memory, where the row says whether it ran."""
    others: Mapping[str, float] = field(default_factory=dict)
    """What the baselines say, in bytes."""
    seconds: float = 0.0
    """What the model's answer took."""

    @property
    def error(self) -> float | None:
        """Relative error, signed; 1 where the model has no answer; None where nothing was measured."""
        if self.case.quantity is None or not self.case.measured:
            return None
        return 1.0 if self.predicted is None else self.predicted / self.case.measured - 1


@dataclass(slots=True)
class Source:
    """One table."""

    name: str
    title: str
    tuned: bool
    rows: list[Judged]
    left_out: Counter[str]
    stated: int
    """Rows whose cells hold all of STATED."""
    stated_used: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", action="append", default=[], help="only this table (again for more)")
    parser.add_argument("--rows", action="store_true", help="print every row")
    parser.add_argument(
        "--calibration", action="store_true", help="list the rows that set a constant, and stop"
    )
    parser.add_argument("--json", action="store_true", help="print rows as JSON lines instead")
    options = parser.parse_args(arguments)
    names = options.source or sorted(
        path.stem for path in HERE.glob("*.csv") if path.with_suffix(".py").exists()
    )
    sources = [judge(name) for name in names]
    if options.calibration:
        print_calibration(sources)
        return 0
    if options.json:
        for source in sources:
            for row in source.rows:
                print(json.dumps(as_json(source.name, row)))
        return 0
    for source in sources:
        print_source(source, reasons=REASONS, every_row=options.rows)
    print_baselines(sources)
    print_summary(sources)
    return 0


def judge(name: str) -> Source:
    """A table, row by row."""
    module = importlib.import_module(f"published.{name}")
    left_out: Counter[str] = Counter()
    rows: list[Judged] = []
    spent, stated, used = 0.0, 0, 0
    for row in read(HERE / f"{name}.csv"):
        case = module.map_row(row)
        complete = all(row.get(name) for name in STATED)
        stated += complete
        if isinstance(case, str):
            left_out[case] += 1
            if case not in REASONS:
                raise SystemExit(f"{name}: {row['row_id']}: {case!r} is no reason of the closed list")
            continue
        used += complete
        rows.append(evaluate(row["row_id"], case))
        spent += rows[-1].seconds
    return Source(
        name=name,
        title=getattr(module, "TITLE", name),
        tuned=getattr(module, "TUNED", False),
        rows=rows,
        left_out=left_out,
        stated=stated,
        stated_used=used,
        seconds=spent,
    )


def read(path: Path) -> Iterable[Mapping[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def evaluate(row: str, case: Case) -> Judged:
    """The model's answer, and the baselines'; a failure of ours is a wrong answer, not a reason."""
    others = baselines.all_of(case)
    started = time.perf_counter()
    try:
        estimate = estimate_memory(network=case.network, setting=case.setting)
    except Exception as error:  # noqa: BLE001  # counted as an error of 100 %, and shown
        judged = Judged(row, case, None, failure=f"{type(error).__name__}: {error}", others=others)
        judged.verdict = "unknown-memory" if case.outcome else None
        return judged
    judged = Judged(row, case, estimate, others=others, seconds=time.perf_counter() - started)
    judged.predicted = predicted(case, estimate)
    if case.outcome is not None:
        judged.verdict = verdict(case, estimate)
    return judged


def predicted(case: Case, estimate: Estimate) -> float | None:
    """Bytes of the quantity that was measured."""
    if case.quantity is None:
        return None
    if case.quantity == "allocated":
        found = float(estimate.allocated.expected)
    else:
        # the allocator gives cached blocks back when the card is full; nvidia-smi sees the context too
        beside = estimate.components["context"] + estimate.components["communicators"]
        room = usable_bytes(case)
        found = float(estimate.reserved.expected)
        if room is not None:
            found = max(min(found, room - beside), float(estimate.device.expected - beside))
        found += beside if case.quantity == "device" else 0
    if case.stage is None:
        return found
    stage = estimate.stages[case.stage].allocated
    return stage if case.quantity == "allocated" else found * stage / estimate.allocated.expected


def verdict(case: Case, estimate: Estimate) -> str:
    """As a plan says it: fits if even the worst does, tight if the expected does."""
    usable = usable_bytes(case)
    if usable is None:
        return "unknown-memory"
    if estimate.device.high <= usable:
        return "fits"
    return "tight" if estimate.device.expected <= usable else "does-not-fit"


def as_json(source: str, row: Judged) -> Mapping[str, Any]:
    found = row.estimate
    return {
        "source": source,
        "row": row.row,
        "quantity": row.case.quantity,
        "measured": row.case.measured,
        "predicted": row.predicted,
        "error": row.error,
        "outcome": row.case.outcome,
        "verdict": row.verdict,
        "failure": row.failure,
        "phase": found and found.phase,
        "components": found and dict(found.components),
        "others": dict(row.others),
    }


if __name__ == "__main__":
    sys.exit(main())
