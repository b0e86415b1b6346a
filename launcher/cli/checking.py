"""The files of a repository, each loaded, planned and rendered; every problem at the file in which it stands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.api import Examined
    from launcher.cli.locked import LockFinding
    from launcher.errors import Problem
    from launcher.loading.walking import Candidate
    from launcher.spec.checked import Checked, CheckedFile, OnCluster
    from launcher.spec.plan import RunPlan

__all__ = ["check_files", "check_on_clusters", "strictly", "with_locks"]


def check_files(paths: Sequence[str], *, environ: Mapping[str, str]) -> Checked:
    """Every file below the paths that is ours, and what is wrong with it. Raises nothing that a person can cause."""
    from launcher.loading.walking import find_files
    from launcher.spec.checked import Checked

    walk = find_files(paths)
    files = [_checked(each, environ) for each in walk.files]
    return Checked(files=_at_their_files(files, walk.problems), skipped=tuple(walk.skipped))


def check_on_clusters(
    recipe: str, clusters: Sequence[str], *, environ: Mapping[str, str]
) -> tuple[OnCluster, ...]:
    """One recipe on the machines of every cluster file, in their order."""
    import json

    from launcher.api import examine
    from launcher.spec.checked import OnCluster

    found = []
    for cluster in clusters:
        override = f"cluster={json.dumps(str(Path(cluster).absolute()))}"
        examined = examine(recipe, overrides=[override], environ=environ)
        problems = tuple(_refused_where_too_large(each, ()) for each in examined.problems)
        found.append(OnCluster(cluster=os.path.normpath(cluster), plan=examined.plan, problems=problems))
    return tuple(found)


def with_locks(checked: Checked, findings: Sequence[LockFinding]) -> Checked:
    """What was found, and what has moved since it was locked; a problem that both found is told once."""
    from launcher.spec.checked import CheckedFile

    files = {file.path: file for file in checked.files}
    told = {(each.where, each.code, each.message) for file in checked.files for each in file.problems}
    for finding in findings:
        path = os.path.normpath(finding.recipe) if finding.recipe else ""
        file = files.get(path, CheckedFile(path=path, kind="other"))
        new = [each for each in finding.problems if (each.where, each.code, each.message) not in told]
        files[path] = replace(file, problems=(*file.problems, *new), lines=(*file.lines, *finding.lines))
    return replace(checked, files=tuple(files.values()))


def strictly(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The same problems, warnings among them as errors."""
    return tuple(replace(each, severity="error") if each.severity == "warning" else each for each in problems)


def _checked(candidate: Candidate, environ: Mapping[str, str]) -> CheckedFile:
    from launcher.spec.checked import CheckedFile

    path = candidate.path
    if candidate.kind == "cluster":
        return _checked_cluster(path, environ)
    if candidate.kind == "catalog":
        return CheckedFile(path=path, kind="catalog", problems=_catalog_problems(path))
    from launcher.api import examine

    examined = examine(path, environ=environ)
    problems = tuple(_refused_where_too_large(each, _approved(path, examined)) for each in examined.problems)
    return CheckedFile(path=path, kind="recipe", plan=examined.plan, problems=problems)


def _checked_cluster(path: str, environ: Mapping[str, str]) -> CheckedFile:
    """A cluster file by itself: a recipe that asks for nothing else, of which only what stands in the file counts."""
    from launcher.api import examine
    from launcher.spec.checked import CheckedFile
    from launcher.spec.cluster import Cluster

    smallest = {"global_batch_size": 1, "sequence_length": 1, "hidden_size": 64}
    examined = examine({**smallest, "cluster": str(Path(path).absolute())}, environ=environ)
    problems = [
        replace(each, where=each.where.replace(os.path.relpath(path), path, 1))
        for each in examined.problems
        if each.path.partition(".")[0] == "cluster" and not each.code.startswith("hostfile-")
    ]
    machines = examined.recipe.cluster if examined.recipe else None
    return CheckedFile(
        path=path,
        kind="cluster",
        problems=tuple(problems),
        cluster=machines if isinstance(machines, Cluster) else None,
    )


def _catalog_problems(path: str) -> tuple[Problem, ...]:
    from launcher.loading.catalogs import read_catalog
    from launcher.loading.found import Found

    found = Found()
    read_catalog(path, found)
    return found.problems()


def _refused_where_too_large(problem: Problem, approved: Sequence[str]) -> Problem:
    """A job that cannot fit is a problem, unless somebody has locked it knowing that."""
    if problem.code != "does-not-fit":
        return problem
    if not approved:
        return replace(problem, severity="error")
    return replace(problem, severity="note", because=(*problem.because, f"approved by {', '.join(approved)}"))


def _approved(path: str, examined: Examined) -> tuple[str, ...]:
    """The locks beside a recipe in which the same training was approved although it does not fit."""
    from launcher.cli.locking import lock_path
    from launcher.loading.locks import LockError, read_lock

    plan: RunPlan | None = examined.plan
    if plan is None or plan.verdict != "does-not-fit":
        return ()
    lock = lock_path(path)
    try:
        found = read_lock(lock)
    except LockError:
        return ()
    is_same = found.verdict == plan.verdict and found.semantics_hash == plan.semantics_hash
    return (Path(lock).name,) if is_same else ()


def _at_their_files(files: Sequence[CheckedFile], others: Sequence[Problem]) -> tuple[CheckedFile, ...]:
    """Every problem once, at the file in which it stands: a cluster file's own, however many recipes use it."""
    from launcher.loading.locating import place_of
    from launcher.spec.checked import CheckedFile

    named = {file.path: file for file in files}
    standing: dict[str, dict[tuple[str, str, str], Problem]] = {file.path: {} for file in files}
    found = [(file.path, each) for file in files for each in file.problems]
    for path, problem in [*found, *(("", each) for each in others)]:
        stands_in = place_of(problem.where)[0]
        home = stands_in if stands_in in named or not path or _is_file(stands_in) else path
        key = (problem.where, problem.code, problem.message)
        standing.setdefault(home, {}).setdefault(key, problem)
    return tuple(
        replace(named[path], problems=tuple(problems.values()))
        if path in named
        else CheckedFile(path=path, kind="other", problems=tuple(problems.values()))
        for path, problems in standing.items()
    )


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
