"""The benchmark's tables: errors of each source, fit verdicts, baselines on the same rows, targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

from published.case import usable_bytes

__all__ = ["print_baselines", "print_calibration", "print_source", "print_summary"]

TIGHT_ALLOWED = 0.10
"""Share of a table's outcomes on which `tight` counts as right; beyond it, it is wrong."""


def print_source(source: Any, *, reasons: Mapping[str, str], every_row: bool) -> None:
    """One table: what was used, how far off, what fits."""
    used, left = len(source.rows), sum(source.left_out.values())
    print(
        f"\n{source.name}: {used} rows used, {left} left out"
        + (" (batch tuned to the card: outside the targets)" if source.tuned else "")
    )
    for reason, count in source.left_out.most_common():
        print(f"    {count:5d}  {reason}: {reasons[reason]}")
    failures: dict[str, int] = {}
    for row in source.rows:
        if row.failure:
            failures[row.failure] = failures.get(row.failure, 0) + 1
    for failure, count in failures.items():
        print(f"    {count:5d}  NO ANSWER (counts as 100 %): {failure}")
    for label, chosen in groups(source.rows):
        errors = [row.error for row in chosen]
        if errors:
            print(f"    {label:32s} {spread(errors)}")
    if source.tuned and any(row.error is not None for row in source.rows):
        errors = [
            0.95 * usable / row.case.measured - 1
            for row in source.rows
            if row.error is not None and (usable := usable_bytes(row.case))
        ]
        print(f"    {'0.95 x what the driver leaves':32s} {spread(errors)}")
    held = sum(row.case.calibration for row in source.rows)
    if held:
        print(f"    {held} rows set a constant and are not counted below (--calibration lists them)")
    confusion(source.rows)
    if every_row:
        for row in source.rows:
            print_row(row)


def print_row(row: Any) -> None:
    case = row.case
    figure = (
        ""
        if row.error is None
        else f"{case.quantity} {gib(case.measured)} predicted {gib(row.predicted)} {row.error:+.1%}"
    )
    outcome = "" if case.outcome is None else f"{case.outcome} -> {row.verdict}"
    phase = row.estimate.phase if row.estimate else row.failure
    print(f"        {row.row:48.48s} {figure:55s} {outcome:22s} {phase}")


def print_calibration(sources: Sequence[Any]) -> None:
    """Rows that set a constant of launcher/catalog/overheads.py: halves of layouts, by hash; none of them counts."""
    for source in sources:
        names = [row.row for row in source.rows if row.case.calibration]
        if names:
            print(f"{source.name}: {len(names)} of {len(source.rows)} rows")
            for name in names:
                print(f"    {name}")


def print_baselines(sources: Sequence[Any]) -> None:
    """The same rows, by the rules a user would find."""
    print(
        "\nThe same rows by other rules: absolute error, bias; right about rows that ran out of memory, and that ran"
    )
    rows = [row for source in sources if not source.tuned for row in source.rows if not row.case.calibration]
    names = sorted({name for row in rows for name in row.others})
    line(
        "batchwright",
        rows,
        lambda row: row.predicted,
        lambda row: row.estimate and row.estimate.device.expected,
    )
    for name in names:
        line(
            name,
            rows,
            lambda row, name=name: row.others.get(name),
            lambda row, name=name: row.others.get(name),
        )


def line(
    name: str, rows: Sequence[Any], value: Callable[[Any], float | None], peak: Callable[[Any], float | None]
) -> None:
    """One rule on all rows it has an answer for."""
    errors = [
        value(row) / row.case.measured - 1 for row in rows if row.error is not None and value(row) is not None
    ]
    parts = [spread(errors)] if errors else []
    for outcome in ("oom", "ran"):
        chosen = [(peak(row), usable_bytes(row.case)) for row in rows if row.case.outcome == outcome]
        known = [(need > limit) == (outcome == "oom") for need, limit in chosen if need and limit]
        if known:
            parts.append(f"{outcome} {sum(known)}/{len(known)} = {mean(known):.1%}")
    print(f"    {name:32s} {'; '.join(parts)}")


def print_summary(sources: Sequence[Any]) -> None:
    """All tables that are not tuned, against the targets."""
    plain = [source for source in sources if not source.tuned]
    rows = [row for source in plain for row in source.rows if not row.case.calibration]
    print("\nAgainst the targets")
    known = [row.error for row in rows if row.case.quantity == "allocated" and row.case.known]
    larger = [row.error for row in rows if row.case.quantity in ("reserved", "device")]
    if known:
        print(
            f"    allocated, implementation known  {spread(known)}   (target: median 3 %, 90th percentile 8 %)"
        )
    if larger:
        print(
            f"    reserved and device              {spread(larger)}   (target: median 8 %, 90th percentile 20 %)"
        )
    confusion(rows, indent="    ")
    stated = sum(source.stated for source in plain)
    if stated:
        used = sum(source.stated_used for source in plain)
        print(
            f"    rows with dimensions, batch and precision: {used} of {stated} = {used / stated:.1%} (target 90 %)"
        )
    seconds, count = sum(source.seconds for source in sources), sum(len(source.rows) for source in sources)
    if seconds:
        print(f"    {count / seconds:,.0f} evaluations per second")


def groups(rows: Iterable[Any]) -> Iterable[tuple[str, list[Any]]]:
    """Rows with a figure, by what it is."""
    measured = [row for row in rows if row.error is not None]
    for quantity in ("allocated", "reserved", "device"):
        chosen = [row for row in measured if row.case.quantity == quantity]
        yield f"{quantity}, known", [row for row in chosen if row.case.known and not row.case.calibration]
        yield f"{quantity}", [row for row in chosen if not row.case.known and not row.case.calibration]
        yield f"{quantity}, calibration", [row for row in chosen if row.case.calibration]


def confusion(rows: Iterable[Any], indent: str = "    ") -> None:
    """Verdicts against outcomes; `tight` is right on at most a tenth of the rows, no answer is wrong."""
    judged = [row for row in rows if row.case.outcome is not None and not row.case.calibration]
    if not judged:
        return
    tight = sum(row.verdict == "tight" for row in judged)
    credit = min(1.0, TIGHT_ALLOWED * len(judged) / tight) if tight else 0.0
    for outcome, right in (("oom", "does-not-fit"), ("ran", "fits")):
        found = [row.verdict for row in judged if row.case.outcome == outcome]
        if found:
            hits = found.count(right) + credit * found.count("tight")
            counts = ", ".join(
                f"{found.count(name)} {name}" for name in ("fits", "tight", "does-not-fit", "unknown-memory")
            )
            words = "out of memory" if outcome == "oom" else "ran"
            print(f"{indent}{words:14s} {len(found):5d}: {counts}; recall {hits / len(found):.1%}")
    print(f"{indent}tight on {tight / len(judged):.1%} of outcomes")


def spread(errors: Sequence[float]) -> str:
    absolute = sorted(abs(error) for error in errors)
    ninetieth = absolute[min(len(absolute) - 1, int(0.9 * len(absolute)))]
    return (
        f"n {len(errors):4d}  median {median(absolute):6.1%}  mean {mean(absolute):6.1%}"
        f"  bias {mean(errors):+7.1%}  p90 {ninetieth:6.1%}"
    )


def gib(size: float | None) -> str:
    return "-" if size is None else f"{size / 2**30:.2f} GiB"
