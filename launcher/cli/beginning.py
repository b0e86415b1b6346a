"""From readings of other tools' files to the values of a recipe that loads, with all that was left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.cli.begin_sources import read_sources
from launcher.errors import RecipeError
from launcher.spec.begun import UNWRITTEN, Carried, Missing, NotCarried

__all__ = ["Begun", "begin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A recipe and what it was made of."""

    values: Mapping[str, Any]
    """Nested keys of the recipe."""
    comments: Mapping[str, str]
    """Dotted path to where its value comes from."""
    carried: tuple[Carried, ...]
    not_carried: tuple[NotCarried, ...]
    missing: tuple[Missing, ...]
    sources: tuple[tuple[str, str], ...]
    """Name and kind, in words."""
    skipped: tuple[str, ...]
    plan_hash: str | None
    """Of the plan that the files were rendered from, where they say."""

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "sources": [{"source": source, "kind": kind} for source, kind in self.sources],
            "recipe": self.values,
            "carried": [
                {
                    "path": each.path,
                    "value": each.value,
                    "source": each.source,
                    "key": each.key,
                    "unsure": each.unsure or None,
                }
                for each in self.carried
            ],
            "not_carried": [each._asdict() for each in self.not_carried],
            "missing": [{**each._asdict(), "instead_of": list(each.instead_of)} for each in self.missing],
            "skipped": list(self.skipped),
            "rendered_plan_hash": self.plan_hash,
        }


def begin(paths: Sequence[str], command: Sequence[str] = ()) -> Begun:
    """The recipe that files, folders and a command line come to. Raises RecipeError with every problem."""
    from launcher.engines.foreign.merging import merged
    from launcher.engines.foreign.missing import missing_keys

    sources = read_sources(paths, command)
    together = merged(sources.readings)
    if problems := (*sources.problems, *together.problems):
        raise RecipeError(problems)
    facts = dict(together.facts)
    refused = _without_illegal(facts)
    written = [fact for path, fact in facts.items() if _is_written(path, fact)]
    return Begun(
        values=_nested(written),
        comments=_comments(written),
        carried=tuple(written),
        not_carried=(*sources.not_carried, *together.not_carried, *refused),
        missing=missing_keys(facts),
        sources=tuple(dict.fromkeys((each.source, each.kind) for each in sources.readings)),
        skipped=tuple(sources.skipped),
        plan_hash=together.value("@plan_hash"),
    )


def _is_written(path: str, fact: Carried) -> bool:
    """Facts to reckon with, and single words of a list that is written as a whole, are not."""
    return fact.value is not UNWRITTEN and not path.startswith(("@", "launch.args."))


def _without_illegal(facts: dict[str, Carried]) -> list[NotCarried]:
    """Takes out what no recipe may say, until the rest loads; each with the reader's own words."""
    from launcher.loading import load_recipe

    refused: list[NotCarried] = []
    while True:
        written = [fact for path, fact in facts.items() if _is_written(path, fact)]
        try:
            load_recipe(_nested(written))
        except RecipeError as error:
            wrong = [(problem, _blamed(problem.path, facts)) for problem in error.problems]
            if not any(path for _, path in wrong):
                raise
            for problem, path in wrong:
                if path and path in facts:
                    fact = facts.pop(path)
                    why = problem.message.rpartition("`: ")[2] or problem.message
                    refused.append(NotCarried(fact.source, fact.key, fact.value, why, problem.hint))
        else:
            return refused


def _blamed(path: str, facts: Mapping[str, Carried]) -> str:
    """The carried path that a problem's path is, lies under, or lies above."""
    written = [each for each, fact in facts.items() if _is_written(each, fact)]
    return next(
        (
            each
            for each in written
            if each == path or path.startswith(f"{each}.") or each.startswith(f"{path}.")
        ),
        "",
    )


def _nested(written: Sequence[Carried]) -> dict[str, Any]:
    values: dict[str, Any] = {"schema": 1}
    for fact in written:
        *above, last = _parts(fact.path)
        at = values
        for part in above:
            at = at.setdefault(part, {})
        at[last] = fact.value
    precision = values.get("precision")
    if isinstance(precision, dict):
        if precision.keys() == {"compute"}:
            values["precision"] = precision["compute"]
        elif "compute" not in precision:
            del values["precision"]
    return values


def _parts(path: str) -> list[str]:
    """Keys of other tools may hold dots only below `launch.native`, where they were taken apart at the dots."""
    return (
        path.split(".")
        if not path.startswith("launch.env.")
        else ["launch", "env", path[len("launch.env.") :]]
    )


def _comments(written: Sequence[Carried]) -> dict[str, str]:
    comments = {fact.path: fact.comment for fact in written}
    if "precision.compute" in comments:
        comments["precision"] = comments["precision.compute"]
    return comments
