"""What a check found as one object, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcher.reporting.each_cluster import means_the_same, what_differs
from launcher.spec.checked import Checked, CheckedFile, OnCluster
from launcher.spec.plain import to_plain

__all__ = ["check_object", "each_cluster_object"]


def check_object(checked: Checked, *, strict: bool) -> dict[str, Any]:
    """Names as in a plan; files in the order in which they were found."""
    return {
        "check_version": 1,
        "strict": strict,
        "summary": {
            "recipes": checked.number("recipe"),
            "clusters": checked.number("cluster"),
            "catalogs": checked.number("catalog"),
            "skipped": len(checked.skipped),
            **_counts(checked),
            "files_with_problems": checked.bad_files,
        },
        "files": [_file(file) for file in checked.files],
        "skipped": list(checked.skipped),
    }


def each_cluster_object(recipe: str, found: Sequence[OnCluster]) -> dict[str, Any]:
    """The same recipe on each of the clusters."""
    return {
        "check_version": 1,
        "recipe": recipe,
        "identical_semantics": means_the_same(found),
        "differs": what_differs(found),
        "clusters": [
            {"cluster": each.cluster, **_planned(each.plan), "problems": to_plain(each.problems)}
            for each in found
        ],
    }


def _counts(checked: Checked) -> dict[str, int]:
    return {
        "problems": checked.count("error"),
        "warnings": checked.count("warning"),
        "notes": checked.count("note"),
    }


def _file(file: CheckedFile) -> dict[str, Any]:
    planned = _planned(file.plan) if file.kind == "recipe" else {}
    return {
        "path": file.path,
        "kind": file.kind,
        **planned,
        "problems": to_plain(file.problems),
        "moved": list(file.lines),
    }


def _planned(plan: Any) -> dict[str, Any]:
    if plan is None:
        return {
            "verdict": "refused",
            "semantics_hash": None,
            "plan_hash": None,
            "batch": None,
            "memory": None,
        }
    memory = plan.memory
    return {
        "verdict": plan.verdict,
        "semantics_hash": plan.semantics_hash,
        "plan_hash": plan.plan_hash,
        "batch": to_plain(plan.batch),
        "memory": None
        if memory is None
        else {
            name: getattr(memory, name) for name in ("peak_bytes", "low_bytes", "high_bytes", "usable_bytes")
        },
    }
