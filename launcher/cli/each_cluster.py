"""`check RECIPE --each-cluster FILE...`: one recipe on all machines."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.spec.checked import OnCluster

__all__ = ["run_each_cluster"]


def run_each_cluster(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints whether the semantics are identical, and a table; 1 where a cluster does not take the recipe."""
    if len(arguments.paths) > 1 or Path(arguments.paths[0]).is_dir():
        around.tell("batchwright check: --each-cluster takes one recipe")
        return 2
    if arguments.locked or arguments.github:
        other = "--locked" if arguments.locked else "--github"
        around.tell(f"batchwright check: --each-cluster does not go with {other}")
        return 2
    from launcher.cli.checking import check_on_clusters, strictly

    (recipe,) = arguments.paths
    found = check_on_clusters(recipe, _files(arguments.each_cluster), environ=around.environ)
    if arguments.strict:
        found = tuple(replace(each, problems=strictly(each.problems)) for each in found)
    _print_problems(found, around)
    if arguments.json:
        import json

        from launcher.reporting.check_json import each_cluster_object

        around.say(json.dumps(each_cluster_object(recipe, found), indent=1))
    else:
        from launcher.reporting.each_cluster import each_cluster_lines

        around.say("\n".join(each_cluster_lines(found)))
    return 1 if any(problem.severity == "error" for each in found for problem in each.problems) else 0


def _files(named: Sequence[str]) -> list[str]:
    """The files that are named, and the cluster files of named folders. Raises RecipeError where there are none."""
    from launcher.errors import Problem, RecipeError
    from launcher.loading.walking import find_files

    walk = find_files(named)
    alone = {os.path.normpath(name) for name in named}
    found = [each.path for each in walk.files if each.kind == "cluster" or each.path in alone]
    if not found and not walk.problems:
        message = f"no cluster file below {', '.join(f'`{name}`' for name in named)}"
        walk.problems.append(
            Problem(code="nothing-to-check", message=message, hint="name the files themselves")
        )
    if walk.problems:
        raise RecipeError(walk.problems)
    return found


def _print_problems(found: Sequence[OnCluster], around: Surroundings) -> None:
    """Every error once, with the clusters on which it stands."""
    on: dict[Problem, list[str]] = {}
    for each in found:
        for problem in each.problems:
            if problem.severity == "error":
                on.setdefault(problem, []).append(each.cluster)
    for problem, clusters in on.items():
        where = "every cluster" if len(clusters) == len(found) > 1 else ", ".join(clusters)
        around.tell(str(replace(problem, because=(*problem.because, f"on {where}"))))
