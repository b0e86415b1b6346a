"""What differs between two plans, as sentences with numbers: a subject, before and after, and a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from launcher.planning.comparing.comparing import Comparison, Moved
from launcher.reporting.diff_reasons import (
    batch_reason,
    length_reason,
    memory_reason,
    micro_reason,
    rate_reason,
    verdict_reason,
    warmup_reason,
)
from launcher.reporting.diff_values import pair, share, show_short
from launcher.units import show_count

__all__ = ["Sentence", "answer", "key_sentences", "problem_sentences", "sentences"]

_MOST_STAGES = 6
_WHO = {
    "runtime": "the runtime",
    "engine": "the engine",
    "argument": "an argument",
    "script-must": "the script",
    None: "nobody",
}
_GIB = 2**30


class Sentence(NamedTuple):
    """One line of a difference."""

    subject: str
    before: str
    after: str
    reason: str = ""
    path: str = ""
    """Dotted path of the value in the plan, or of the key in the recipe."""

    @property
    def change(self) -> str:
        """`1024 -> 960`."""
        return f"{self.before} -> {self.after}" if self.before or self.after else ""


_SUBJECTS: Mapping[str, str] = {
    "verdict": "verdict",
    "batch.global_batch_size": "effective batch",
    "batch.sequence_length": "sequence length",
    "batch.tokens_per_step": "tokens per step",
    "batch.micro_batch_size": "micro-batch",
    "batch.gradient_accumulation_steps": "accumulation",
    "batch.data_parallel_size": "data-parallel",
    "batch.idle_slots": "idle slots",
    "learning_rate.warmup_steps": "warmup",
    "learning_rate.warmup_samples": "warmup",
    "learning_rate.peak_learning_rate": "learning rate",
    "learning_rate.final_learning_rate": "final rate",
    "learning_rate.reference_learning_rate": "reference rate",
    "learning_rate.scaling_rule": "scaling rule",
    "learning_rate.total_steps": "length",
    "data.total_samples": "length",
    "learning_rate.schedule.decay": "decay",
    "learning_rate.schedule.decay_power": "power of the decay",
    "learning_rate.schedule.decay_begin_samples": "begin of the decay",
    "learning_rate.schedule.decay_end_samples": "end of the decay",
    "learning_rate.schedule.decay_marks": "marks of the decay",
    "learning_rate.schedule.decay_shares": "left behind the marks",
    "learning_rate.owner": "rate applied by",
    "model.num_parameters": "parameters",
    "layout.world_size": "ranks",
    "layout.num_nodes": "nodes",
    "layout.devices_per_node": "devices per node",
    "layout.device": "device",
    "layout.data_strategy": "strategy",
    "layout.zero_stage": "ZeRO stage",
    "launch.engine": "engine",
    "launch.executor": "executor",
    "launch.script": "script",
    "launch.args": "script arguments",
    "precision.compute": "precision",
    "memory.peak_bytes": "peak memory",
}
"""Values with a name of their own, in the order in which they are told; any other goes by its path, after them."""
_ORDER = list(dict.fromkeys(_SUBJECTS.values()))
_ALIKE = {
    "learning_rate.warmup_samples": "learning_rate.warmup_steps",
    "data.total_samples": "learning_rate.total_steps",
}
"""Said together with another value where that one is known."""
_PLAIN = ("effective batch", "sequence length", "micro-batch", "accumulation", "data-parallel", "idle slots")


def answer(comparison: Comparison) -> str:
    """The first line: whether another training is meant, and what of it has moved."""
    if comparison.is_empty:
        return "semantics changed: no, and nothing else differs"
    if not comparison.semantics_moved:
        return f"semantics changed: no{'' if comparison.plan_moved else '; the job is the same'}"
    return f"semantics changed: yes ({', '.join(comparison.kinds) or 'what it is made of'})"


def sentences(comparison: Comparison) -> list[Sentence]:
    """Everything that moved, in the order of interest; nothing is left out, long ramps are counted."""
    said: list[Sentence] = []
    stages = [each for each in comparison.moved if each.path.startswith("stages.")]
    owners = [each for each in comparison.moved if each.path.startswith("applied_by.")]
    paths = {each.path for each in comparison.moved}
    for each in comparison.moved:
        if each in stages or each in owners or _ALIKE.get(each.path) in paths:
            continue
        said.append(_sentence(each, comparison))
    said.sort(key=lambda each: _ORDER.index(each.subject) if each.subject in _ORDER else len(_ORDER))
    memory = [each for each in said if each.path == "memory.peak_bytes"]
    said = [each for each in said if each not in memory]
    said += [*_stage_sentences(stages, comparison), *_owners(owners), *memory]
    said += [_plain(each, f"meaning.{each.path}") for each in comparison.unexplained]
    if comparison.plan_parts:
        said.append(Sentence("parts of the plan", "", "", ", ".join(comparison.plan_parts)))
    return said


def key_sentences(comparison: Comparison) -> list[Sentence]:
    """Keys of the recipe that are written, or filled in, otherwise."""
    return [_plain(each, each.path) for each in comparison.keys]


def problem_sentences(comparison: Comparison) -> list[Sentence]:
    """Warnings and notes that came or went."""
    both = (("new", comparison.new), ("gone", comparison.gone))
    return [
        Sentence(f"{word} {problem.severity}", "", "", f"{problem.message} [{problem.code}]", problem.path)
        for word, problems in both
        for problem in problems
    ]


def _sentence(moved: Moved, comparison: Comparison) -> Sentence:
    path = moved.path
    subject = _SUBJECTS.get(path, path)
    special = _SPECIAL.get(path)
    if special is not None and moved.before is not None and moved.after is not None:
        return special(subject, moved, comparison)
    sentence = _plain(moved, path)._replace(subject=subject)
    if isinstance(moved.before, float) and isinstance(moved.after, float):
        sentence = sentence._replace(reason=share(moved.before, moved.after))
    return sentence


def _plain(moved: Moved, subject: str) -> Sentence:
    before, after = pair(moved.path, moved.before, moved.after)
    return Sentence(subject, before, after, "", moved.path)


def _counted(reason: Callable[[Moved, Comparison], str], unit: str = "") -> Callable[..., Sentence]:
    def say(subject: str, moved: Moved, comparison: Comparison) -> Sentence:
        show = show_short if subject in _PLAIN else show_count
        after = f"{show(moved.after)}{unit}"
        return Sentence(subject, show(moved.before), after, reason(moved, comparison), moved.path)

    return say


def _rate(subject: str, moved: Moved, comparison: Comparison) -> Sentence:
    before, after = pair(moved.path, moved.before, moved.after)
    return Sentence(subject, before, after, rate_reason(moved, comparison), moved.path)


def _memory(subject: str, moved: Moved, comparison: Comparison) -> Sentence:
    unit, size, digits = ("GiB", _GIB, 1) if max(moved.before, moved.after) >= _GIB else ("MiB", 2**20, 0)
    before, after = f"{moved.before / size:.{digits}f}", f"{moved.after / size:.{digits}f}"
    if before == after:
        before, after = f"{moved.before / size:.{digits + 2}f}", f"{moved.after / size:.{digits + 2}f}"
    return Sentence(subject, before, f"{after} {unit}", memory_reason(moved, comparison), moved.path)


def _verdict(subject: str, moved: Moved, comparison: Comparison) -> Sentence:
    return Sentence(subject, moved.before, moved.after, verdict_reason(moved, comparison), moved.path)


_SPECIAL: Mapping[str, Callable[[str, Moved, Comparison], Sentence]] = {
    "verdict": _verdict,
    "batch.global_batch_size": _counted(batch_reason),
    "batch.sequence_length": _counted(batch_reason),
    "batch.tokens_per_step": _counted(batch_reason),
    "batch.micro_batch_size": _counted(micro_reason),
    "model.num_parameters": _counted(batch_reason),
    "learning_rate.warmup_steps": _counted(warmup_reason, " steps"),
    "learning_rate.warmup_samples": _counted(warmup_reason, " samples"),
    "learning_rate.total_steps": _counted(length_reason, " steps"),
    "data.total_samples": _counted(length_reason, " samples"),
    "learning_rate.peak_learning_rate": _rate,
    "memory.peak_bytes": _memory,
}


def _stage_sentences(moved: list[Moved], comparison: Comparison) -> list[Sentence]:
    """One line for each stage that is another, the rest counted; what no line shows goes by its path."""
    if not moved:
        return []
    numbers = list(dict.fromkeys(int(each.path.split(".")[1]) for each in moved if each.path.count(".") > 1))
    said, quiet = [], []
    for number in sorted(numbers):
        words = [_stage(side.facts, number) for side in (comparison.before, comparison.after)]
        if words[0] != words[1]:
            before, after = _unequal(*words)
            said.append(Sentence(f"stage {number + 1}", before, after, "", f"stages.{number}"))
        else:
            quiet += [each for each in moved if each.path.startswith(f"stages.{number}.")]
    if len(said) > _MOST_STAGES + 1:
        left = len(said) - _MOST_STAGES
        said = [*said[:_MOST_STAGES], Sentence("more stages", "", "", f"and {left} stages more", "stages")]
    if not said:
        said = [_plain(each, each.path) for each in quiet]
    return said


def _unequal(before: list[str], after: list[str]) -> tuple[str, str]:
    """What of a stage is not the same; all of one that is new or gone."""
    if len(before) == len(after):
        both = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        before, after = [one for one, _ in both], [other for _, other in both]
    return ", ".join(before), ", ".join(after)


def _stage(facts: Mapping[str, Any], number: int) -> list[str]:
    """`until 3840 samples`, `16 x 64`, `8 micro x 1`, `from step 161`; `none` where there is no such stage."""
    at = f"stages.{number}."
    size = facts.get(f"{at}batch.global_batch_size")
    if size is None:
        return ["none"]
    length = facts.get(f"{at}batch.sequence_length")
    until = facts.get(f"{at}until")
    return [
        "to the end" if until is None else f"until {until}",
        show_short(size) if length is None else f"{show_short(size)} x {show_short(length)}",
        f"{facts[f'{at}batch.micro_batch_size']} micro x {facts[f'{at}batch.gradient_accumulation_steps']}",
        f"from step {show_count(facts[f'{at}first_step'])}",
    ]


def _owners(moved: list[Moved]) -> list[Sentence]:
    """Who carries out what, where that changes: one line."""
    if not moved:
        return []
    names = [
        f"{each.path.removeprefix('applied_by.')} ({_WHO.get(each.before)} -> {_WHO.get(each.after)})"
        for each in moved
    ]
    return [Sentence("carried out by", "", "", ", ".join(names), "applied_by")]
