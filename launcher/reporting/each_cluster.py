"""One recipe on many machines: whether it means the same training on all of them, then a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.reporting.check_text import batch_words, peak_words
from launcher.reporting.columns import labelled, table
from launcher.spec.checked import OnCluster
from launcher.spec.plan import RunPlan

__all__ = ["each_cluster_lines", "means_the_same", "what_differs"]

_HEADER = ("cluster", "verdict", "batch", "peak")
_SHORT = 12
_MOST = 4


def each_cluster_lines(found: Sequence[OnCluster]) -> list[str]:
    """Whether the semantics are the same everywhere, the machines, and what differs between them."""
    named = _short_names([each.cluster for each in found])
    rows = [_row(name, each) for name, each in zip(named, found, strict=True)]
    lines = [_answer(found), "", *table(_HEADER, rows)]
    differing = what_differs(found)
    if differing:
        said = [
            f"{path}: {'; '.join(f'{value} on {_few(on)}' for value, on in values.items())}"
            for path, values in _by_name(differing, dict(zip([e.cluster for e in found], named, strict=True)))
        ]
        lines += ["", *labelled("differs", said)]
    return lines


def means_the_same(found: Sequence[OnCluster]) -> bool | None:
    """Whether the semantics hash is one; None where no cluster takes the recipe."""
    hashes = {each.plan.semantics_hash for each in found if each.plan is not None}
    return len(hashes) == 1 if hashes else None


def what_differs(found: Sequence[OnCluster]) -> dict[str, dict[str, list[str]]]:
    """Dotted path of what training means, to its values, to the clusters that have each; where they differ."""
    meanings = {each.cluster: _flat(each.plan.meaning) for each in found if each.plan is not None}
    paths = dict.fromkeys(path for meaning in meanings.values() for path in meaning)
    values: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        for cluster, meaning in meanings.items():
            values.setdefault(path, {}).setdefault(str(meaning.get(path, "absent")), []).append(cluster)
    return {path: by_value for path, by_value in values.items() if len(by_value) > 1}


def _answer(found: Sequence[OnCluster]) -> str:
    taken = [each.plan for each in found if each.plan is not None]
    refused = len(found) - len(taken)
    on = f"{len(taken)} cluster{'' if len(taken) == 1 else 's'}"
    but = f"; refused on {refused}" if refused else ""
    if not taken:
        return f"refused on all {len(found)} clusters" if len(found) > 1 else "refused"
    if means_the_same(found):
        every = "all " if len(taken) > 1 else ""
        return f"semantics identical on {every}{on}: {taken[0].semantics_hash[:_SHORT]}{but}"
    kinds = len({plan.semantics_hash for plan in taken})
    return f"semantics differ: {kinds} trainings on {on}{but}"


def _row(name: str, on: OnCluster) -> tuple[str, ...]:
    if on.plan is None:
        errors = [each for each in on.problems if each.severity == "error"]
        codes = ", ".join(dict.fromkeys(each.code for each in errors))
        return name, "refused", codes, ""
    return name, on.plan.verdict, _split(on.plan), peak_words(on.plan)


def _split(plan: RunPlan) -> str:
    """Micro x accumulation x ranks."""
    return batch_words(plan).partition(", ")[0]


def _short_names(paths: Sequence[str]) -> list[str]:
    """File names without their ending, or the paths where two files have one name."""
    names = [Path(path).stem for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _by_name(
    differing: Mapping[str, Mapping[str, list[str]]], names: Mapping[str, str]
) -> list[tuple[str, dict[str, list[str]]]]:
    return [
        (path, {value: [names[cluster] for cluster in on] for value, on in values.items()})
        for path, values in differing.items()
    ]


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST} more" if len(words) > _MOST else ""
    return f"{', '.join(words[:_MOST])}{more}"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            return _flat({str(place): item for place, item in enumerate(value)}, path)
        return {path: value}
    inner = ((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
    return {leaf: each for where, item in inner for leaf, each in _flat(item, where).items()}
