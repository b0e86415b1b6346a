"""A problem reads as one sentence with its place, its reasons and one hint."""

import pytest

from launcher.errors import CODES, LauncherError, PlanError, Problem


def test_a_problem_in_words():
    """Place, message and code on the first line, reasons and the hint below."""
    problem = Problem(
        code="batch-not-divisible",
        path="global_batch_size",
        where="bad.yaml:3:20",
        message="`global_batch_size: 1000` cannot be split over 32 data-parallel ranks",
        because=("32 = world_size 64 / tensor 2",),
        hint="992 or 1024",
    )
    assert str(problem) == (
        "bad.yaml:3:20: `global_batch_size: 1000` cannot be split over 32 data-parallel ranks "
        "[batch-not-divisible]\n"
        "  32 = world_size 64 / tensor 2\n"
        "  hint: 992 or 1024"
    )


def test_a_code_must_be_in_the_table():
    """An unlisted code is our own bug."""
    with pytest.raises(AssertionError, match="no such code"):
        Problem(code="nonsense", message="x")


def test_an_error_carries_all_its_problems():
    """Every problem is kept, in order, and shown."""
    both = [Problem(code="missing-key", message="a"), Problem(code="unknown-key", message="b")]
    error = LauncherError(both)
    assert error.problems == tuple(both)
    assert str(error) == "a [missing-key]\nb [unknown-key]"
    assert PlanError(both, plan={"verdict": "refused"}).to_dict() == {"verdict": "refused"}


@pytest.mark.parametrize("code", CODES)
def test_codes_are_slugs_with_meaning_and_cure(code):
    """A code is lower-case words joined by hyphens; its meaning and solution are not empty."""
    assert code == code.lower().replace("_", "-").replace(" ", "-")
    assert len(CODES[code].meaning) > 10
    assert len(CODES[code].solution) > 5
