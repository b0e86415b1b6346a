"""What a file of sequence lengths comes to, for people and for programs."""

from __future__ import annotations

from typing import Any

from launcher.planning.lengths.histogram import Histogram
from launcher.planning.lengths.marks import QUANTILES
from launcher.planning.lengths.pairs import Pair, Pairs
from launcher.planning.lengths.report import LengthsReport
from launcher.planning.lengths.rows import LAYOUTS, LengthRow
from launcher.reporting.columns import WIDTH, labelled, table, wrapped
from launcher.spec.plain import to_plain
from launcher.units import show_count

__all__ = ["lengths_object", "lengths_text"]

_LAYOUT_WORDS = {
    "padded": "padded to sequence_length",
    "micro_batch": "padded to the longest of each micro-batch",
    "concatenated": "packed by concatenation",
}
_WASTE_WORDS = {
    "padded": "to length",
    "micro_batch": "to longest",
    "sorted": "sorted",
    "concatenated": "packed",
}


def lengths_text(report: LengthsReport, *, name: str, file: str) -> list[str]:
    """Lines of at most 100 characters; the first answers what the recipe does with this file."""
    return [
        _headline(report),
        "",
        *labelled("file", _file(report, file)),
        *labelled("recipe", [name, *_recipe(report)]),
        *labelled("write", _write(report)),
        "",
        *_rows(report),
        "",
        *_legend(report),
    ]


def lengths_object(report: LengthsReport, *, file: str) -> dict[str, Any]:
    """The same as plain values; names are in the contract."""
    sides = (
        {"input": report.lengths.input, "target": report.lengths.target}
        if isinstance(report.lengths, Pairs)
        else None
    )
    return {
        "file": file,
        "num_samples": report.lengths.num_samples,
        "num_tokens": report.lengths.num_tokens,
        "lengths": {side: _quantiles(found) for side, found in sides.items()}
        if sides
        else _quantiles(_single(report)),
        "micro_batch_size": report.micro_batch_size,
        "global_batch_size": report.global_batch_size,
        "recipe": to_plain(report.own),
        "advice": to_plain(report.advice),
        "rows": [_row_object(row) for row in report.rows],
        "problems": to_plain(report.problems),
    }


def _row_object(row: LengthRow) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(row)
    if isinstance(row.sequence_length, tuple):
        plain["sequence_length"] = dict(zip(("input", "target"), row.sequence_length, strict=True))
    return plain


def _quantiles(lengths: Histogram) -> dict[str, Any]:
    return {
        "shortest": lengths.lengths[0],
        "mean": lengths.mean,
        "longest": lengths.lengths[-1],
        "quantiles": {f"{share:g}": lengths.quantile(share) for share in QUANTILES},
    }


def _single(report: LengthsReport) -> Histogram:
    assert isinstance(report.lengths, Histogram)
    return report.lengths


def _headline(report: LengthsReport) -> str:
    row, layout = report.own_row, report.own.layout
    waste = row.waste[layout]
    assert waste is not None
    cut = "nothing is cut off"
    if layout == "concatenated":
        cut = f"{_share(row.cut_samples or 0)} of the samples are cut by a border"
    elif row.truncated_samples:
        cut = f"{_share(row.truncated_samples)} of the samples lose {_share(row.truncated_tokens)} of the tokens"
    return f"{_share(waste)} of the slots are padding, {cut}"


def _file(report: LengthsReport, file: str) -> list[str]:
    lengths = report.lengths
    counted = f"{show_count(lengths.num_samples)} samples, {show_count(lengths.num_tokens)} tokens in {file}"
    if isinstance(lengths, Pairs):
        return [counted, f"input: {_spread(lengths.input)}", f"target: {_spread(lengths.target)}"]
    return [counted, _spread(lengths)]


def _spread(lengths: Histogram) -> str:
    marks = ", ".join(f"{100 * share:g} % {show_count(lengths.quantile(share))}" for share in QUANTILES[:-1])
    ends = f"shortest {show_count(lengths.lengths[0])}", f"longest {show_count(lengths.lengths[-1])}"
    return f"{ends[0]}, mean {lengths.mean:,.1f}, {ends[1]}; within {marks}"


def _recipe(report: LengthsReport) -> list[str]:
    own, row = report.own, report.own_row
    layout = f"{_LAYOUT_WORDS[own.layout]}, micro-batch {report.micro_batch_size}"
    batch, tokens = show_count(report.global_batch_size), f"{own.tokens_per_step:,.0f}"
    return [
        f"sequence_length {_length(row.sequence_length)}, {layout}",
        f"{batch} sequences per step train on {tokens} tokens, the mean over an epoch",
        f"an epoch: {_counted(own.sequences_per_epoch, 'sequence')}, {_counted(own.steps_per_epoch, 'step')}",
    ]


def _write(report: LengthsReport) -> list[str]:
    advice = report.advice
    mean = "" if report.own.layout == "concatenated" else f"   data.mean_length: {advice.mean_length:.1f}"
    return [
        f"data.num_samples: {advice.num_samples}{mean}",
        f"data.loss_token_fraction: {advice.loss_token_fraction:.3f}, or less where the loss leaves tokens out",
    ]


def _rows(report: LengthsReport) -> list[str]:
    single = isinstance(report.lengths, Histogram)
    names = [name for name in LAYOUTS if single or name not in {"concatenated", "whole"}]
    header = [
        "sequence_length",
        "samples",
        "tokens",
        *(_WASTE_WORDS.get(name, name) for name in names),
    ]
    if single:
        header.append("at borders")
    rows = [
        [
            f"{_length(row.sequence_length)}{' *' if row.own else ''}",
            _share(row.truncated_samples),
            _share(row.truncated_tokens),
            *(_share(row.waste[name] or 0.0) for name in names),
            *([_share(row.cut_samples or 0.0)] if single else []),
        ]
        for row in report.rows
    ]
    return table(header, rows)


def _legend(report: LengthsReport) -> list[str]:
    text = (
        "* the recipe's. samples, tokens: cut off. Then padding, as a share of all slots: to length, or to the longest "
        f"of {report.micro_batch_size} samples, drawn at random or sorted by length"
    )
    if isinstance(report.lengths, Histogram):
        text += (
            "; packed: joined and cut at borders (so many samples at borders), nothing cut off; "
            "whole: packed without cutting, best-fit decreasing"
        )
    return wrapped(text, width=WIDTH)


def _counted(number: int, what: str) -> str:
    return f"{show_count(number)} {what}{'' if number == 1 else 's'}"


def _length(length: int | Pair) -> str:
    return show_count(length) if isinstance(length, int) else f"{length[0]:,} + {length[1]:,}"


def _share(share: float) -> str:
    """A share in percent; what is not nothing never reads as nothing."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if share % 1 else f"{100 * share:.0f} %"
