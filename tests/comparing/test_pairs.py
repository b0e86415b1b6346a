"""What diff says of pairs of recipes, whole: text, Markdown, and the same against a lock."""

import pytest
from recipe_pairs import PAIRS, compared

from launcher.reporting.diff_markdown import markdown_lines
from launcher.reporting.diff_text import diff_lines


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_what_is_said_of_a_pair(name, golden, tmp_path):
    """Every line, from real plans; a lock says what its numbers and short hashes allow."""
    text, changes = PAIRS[name]
    between = compared(text, *changes, folder=tmp_path)
    since = compared(text, *changes, folder=tmp_path, from_lock=True)
    files = {
        "diff.txt": "\n".join(diff_lines(between)) + "\n",
        "diff.md": "\n".join(markdown_lines(between)) + "\n",
        "since-lock.txt": "\n".join(diff_lines(since)) + "\n",
    }
    golden(f"diff/{name}", files)
    assert between.semantics_moved == since.semantics_moved
    assert all(len(line) <= 100 for line in files["diff.txt"].splitlines())


def test_there_are_pairs_enough():
    """At least twenty."""
    assert len(PAIRS) >= 20
