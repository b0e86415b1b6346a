"""What published laws say of a recipe's batch and learning rate, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.planning.laws.advice import Advice, Spread
from launcher.planning.laws.answer import LARGEST_STEP, Answer, Axis
from launcher.planning.laws.asked import Asked
from launcher.reporting.columns import labelled, table, wrapped
from launcher.reporting.rate_text import show_large
from launcher.units import show_count, show_rate

__all__ = ["advice_text"]

_HEADER = ("", "tokens", "sequences", "rate", "decay", "says", "fitted at, and here")
_SAYS = {
    "optimum": ("best", "claimed best at the end of the run"),
    "anchored": ("moved", "somebody's own best, moved by an exponent"),
    "critical batch": ("critical", "a larger batch needs markedly more data; not a best batch"),
    "measured": ("measured", "from the noise scale that was given"),
    "practice": ("practice", "what one group did"),
    "heuristic": ("heuristic", "a rule of thumb for fine-tuning"),
}


def advice_text(advice: Advice, *, name: str, explain: bool = False) -> list[str]:
    """The recipe and every law that says something in one table, how far apart they are, and what is not shown.

    explain: adds what each law was fitted on, and how this recipe was counted for it.
    """
    shown = [answer for answer in advice.answers if answer.standing in {"within", "extrapolated"}]
    silent = [answer for answer in advice.answers if answer not in shown]
    rows = [_recipe_row(advice.asked), *(_row(answer) for answer in shown)]
    lines = [
        f"what published laws would choose for {name}; nothing is changed",
        "",
        *labelled("model", [_model(advice.asked)]),
        *labelled("data", _data(advice.asked)),
        "",
        *table(_HEADER, rows),
    ]
    if shown:
        lines += ["", *labelled("says", _legend(shown)), *labelled("spread", _spreads(advice))]
    if explain and shown:
        lines += ["", "fitted on", *_items([(answer.law.name, _fitted(answer)) for answer in shown])]
    if silent:
        lines += ["", "not shown", *_items(_silences(silent))]
    further = _next(shown, silent, explain=explain)
    return [*lines, "", *labelled("next", further)] if further else lines


def _model(asked: Asked) -> str:
    counts = asked.parameters
    if counts is None:
        return f"{asked.kind}, taken for a decoder language model; its parameters are not known by part"
    if asked.batch_tokens is None or asked.kind not in {"decoder", "moe"}:
        return f"{asked.kind}, {show_large(counts.total)} parameters"
    active = f", {show_large(counts.active)} active" if counts.active != counts.total else ""
    return (
        f"{asked.kind}, {show_large(counts.total)} parameters{active}; N: {show_large(counts.non_embedding)} without "
        f"embeddings and head, {show_large(counts.matrices)} in the layers' matrices"
    )


def _data(asked: Asked) -> list[str]:
    if asked.sequence_length is None:
        return ["no tokens"]
    if asked.run_tokens is None:
        return [
            "D, the tokens of the run, is not known: write schedule.length or data.num_tokens, or give --tokens"
        ]
    each = (
        ""
        if asked.parameters is None
        else f", {_few_digits(asked.run_tokens / asked.parameters.matrices)} for each of N"
    )
    found = [
        f"D: {show_large(round(asked.run_tokens))} tokens{each}; sequences of {show_count(asked.sequence_length)}"
    ]
    if asked.num_stages > 1:
        found.append(f"{asked.num_stages} stages; this recipe's row is what is written at its top level")
    if asked.epoch_tokens and asked.run_tokens > asked.epoch_tokens * 1.005:
        passes = asked.run_tokens / asked.epoch_tokens
        found.append(f"{passes:,.3g} passes over the data; the laws were fitted on single passes")
    return found


def _few_digits(number: float) -> str:
    """`82.8`, `1,656`."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def _recipe_row(asked: Asked) -> tuple[str, ...]:
    tokens = asked.batch_tokens
    return (
        "this recipe",
        "-" if tokens is None else show_large(tokens),
        show_count(asked.batch_sequences),
        "-" if asked.learning_rate is None else show_rate(asked.learning_rate),
        f"{asked.weight_decay:g}",
        "as planned",
        "",
    )


def _row(answer: Answer) -> tuple[str, ...]:
    return (
        answer.law.name,
        "-" if answer.batch_tokens is None else show_large(round(answer.batch_tokens)),
        "-" if answer.batch_sequences is None else show_count(round(answer.batch_sequences)),
        _value(answer.learning_rate, answer.learning_rate_factor),
        _value(answer.weight_decay, answer.weight_decay_factor),
        _SAYS[answer.law.gives][0],
        _fit(answer),
    )


def _value(value: float | None, factor: float | None) -> str:
    if value is not None:
        return show_rate(float(f"{value:.3g}"))
    return "-" if factor is None else f"x {factor:.4g}"


def _fit(answer: Answer) -> str:
    if not answer.law.axes:
        return "no fit"
    ranges = ", ".join(map(_range, answer.law.axes))
    if answer.standing == "within":
        return f"{ranges}: inside"
    return f"{ranges}; {answer.beyond_axis} x{_factor(answer.beyond)} beyond: extrapolated"


def _range(axis: Axis) -> str:
    return f"{axis.name} {_size(axis.low)}-{_size(axis.high)}"


def _size(number: float) -> str:
    """A count to three digits; of FLOPs, which have no prefix in use, as a power of ten."""
    if number >= 1e15:
        return f"{number:.3g}".replace("e+", "e")
    for factor, prefix in ((1e9, "B"), (1e6, "M")):
        if number >= factor:
            return f"{number / factor:.3g}{prefix}"
    return show_count(round(number))


def _factor(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _legend(shown: Sequence[Answer]) -> list[str]:
    """The words of the column that are in use."""
    used = [pair for gives, pair in _SAYS.items() if any(answer.law.gives == gives for answer in shown)]
    return ["; ".join(f"{word}: {meaning}" for word, meaning in used)] if used else []


def _spreads(advice: Advice) -> list[str]:
    found = []
    if (batch := advice.batch) is not None:
        ends = [f"{show_large(round(tokens))} tokens" for tokens in (batch.low, batch.high)]
        found.append(_spread("best batch", batch, ends))
    if (rate := advice.learning_rate) is not None:
        found.append(_spread("learning rate", rate, [_value(each, None) for each in (rate.low, rate.high)]))
    return found or ["fewer than two laws say something, so none can be seen"]


def _spread(what: str, spread: Spread, ends: Sequence[str]) -> str:
    low, high = ends
    return f"{what}: x {spread.factor:.3g}, from {low} ({spread.low_law}) to {high} ({spread.high_law})"


def _fitted(answer: Answer) -> str:
    remarks = "".join(f". {remark[0].upper()}{remark[1:]}" for remark in answer.remarks)
    return f"{answer.law.source}: {answer.law.fitted}{remarks}"


def _silences(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """Names and reasons; laws that say nothing for the same reason are named together."""
    found: dict[str, list[str]] = {}
    for answer in answers:
        found.setdefault(_silence(answer), []).append(answer.law.name)
    return [(", ".join(names), words) for words, names in found.items()]


def _silence(answer: Answer) -> str:
    if answer.standing == "lacks":
        return f"needs {answer.why}"
    if answer.standing == "does-not-apply":
        return answer.why
    axis = next(axis for axis in answer.law.axes if axis.name == answer.beyond_axis)
    return f"x{_factor(answer.beyond)} beyond its fit, {_range(axis)} ({axis.what})"


def _items(items: Sequence[tuple[str, str]]) -> list[str]:
    """Names and their words, the words beside a short name and below a long one."""
    width = max([len(name) for name, _ in items if len(name) <= 20], default=20) + 2
    lines = []
    for name, words in items:
        if len(name) > width - 2:
            lines += [f"  {line}" for line in wrapped(f"{name}: {words}", width=96, hang=2)]
            continue
        parts = wrapped(words, width=96 - width)
        lines += [f"  {name if at == 0 else '':<{width}}{part}" for at, part in enumerate(parts)]
    return lines


def _next(shown: Sequence[Answer], silent: Sequence[Answer], *, explain: bool) -> list[str]:
    far = sum(answer.standing == "not-shown" for answer in silent)
    words = ["--explain says what each was fitted on"] if shown and not explain else []
    if far:
        words.append(
            f"--extrapolate shows {far} that {'is' if far == 1 else 'are'} more than x{LARGEST_STEP:g} beyond"
        )
    return ["; ".join(words)] if words else []
