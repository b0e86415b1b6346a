"""What the recipes of the library mean is written down beside them."""

from pathlib import Path

from launcher.cli.locked import locked_findings

ROOT = Path(__file__).resolve().parents[2]


def test_every_recipe_is_locked():
    """Each recipe has a lock that fits it, and no lock is without its recipe; an estimate may have moved."""
    found = locked_findings([str(ROOT / "recipes")], against=None, allow_moved=False, environ={})
    problems = [problem for each in found for problem in each.problems]
    assert len(found) >= 40
    assert [str(each) for each in problems if each.severity == "error" or each.code == "not-locked"] == []
