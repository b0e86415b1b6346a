"""A difference as one JSON object: the sentences, and the values behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launcher.planning.comparing.comparing import Comparison, Moved
from launcher.reporting.diff_words import Sentence, answer, sentences
from launcher.spec.plain import to_plain

__all__ = ["difference"]

_HIDDEN = "launch.env."


def difference(comparison: Comparison) -> dict[str, Any]:
    """Names of both sides, what changed of the meaning, every sentence, value and key, and problems come or gone."""
    before, after = comparison.before, comparison.after
    return {
        "diff_version": 1,
        "before": before.name,
        "after": after.name,
        "answer": answer(comparison),
        "semantics_changed": comparison.semantics_moved,
        "plan_changed": comparison.plan_moved,
        "kinds": list(comparison.kinds),
        "verdict": [before.facts["verdict"], after.facts["verdict"]],
        "semantics_hash": [before.semantics_hash, after.semantics_hash],
        "plan_hash": [before.plan_hash, after.plan_hash],
        "differences": [_said(each) for each in sentences(comparison)],
        "values": _values(comparison.moved),
        "keys": _values(comparison.keys),
        "meaning": _values(comparison.unexplained),
        "plan_parts": list(comparison.plan_parts),
        "problems": {"new": to_plain(comparison.new), "gone": to_plain(comparison.gone)},
    }


def _said(sentence: Sentence) -> dict[str, str]:
    return sentence._asdict()


def _values(moved: Iterable[Moved]) -> list[dict[str, Any]]:
    """Before and after; of variables only the names."""
    return [
        {"path": each.path}
        if each.path.startswith(_HIDDEN)
        else {"path": each.path, "before": to_plain(each.before), "after": to_plain(each.after)}
        for each in moved
    ]
