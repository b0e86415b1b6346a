"""How many bad steps in a row end a training, and with which words."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from batchwright_witness.limits import LOSS_STEPS, SKIPPED_STEPS, Health
from launcher.errors import Problem

MESSAGES = Path(__file__).parent / "messages"
STEPS = st.lists(st.sampled_from(["good", "bad", "skipped"]), max_size=60)


def verdict(health, step=1):
    return health.verdict(whose="the loss of rank 1", step=step, checkpoint=lambda: "checkpoints/400")


def after(steps):
    """Health after steps numbered from 1, where one that is left out has no number."""
    health, number = Health(), 0
    for each in steps:
        if each == "skipped":
            health.skips()
        else:
            number += 1
            health.steps(number, finite=each == "good", at=float(number))
    return health


@given(STEPS)
def test_only_in_a_row(steps):
    """A verdict comes exactly when the last steps that were done are all bad, or the last ones are all left out."""
    done = [each for each in steps if each != "skipped"]
    bad = len(done) >= LOSS_STEPS and set(done[-LOSS_STEPS:]) == {"bad"}
    left_out = len(steps) >= SKIPPED_STEPS and set(steps[-SKIPPED_STEPS:]) == {"skipped"}
    found = verdict(after(steps))
    assert (found is not None) == (bad or left_out)


@given(STEPS)
def test_the_first_bad_step_is_named(steps):
    """`first` is the step after the last good one."""
    done = [each for each in steps if each != "skipped"]
    health = after(steps)
    if health.bad:
        assert done[health.first - 1 :] == ["bad"] * health.bad
        assert health.first == 1 or done[health.first - 2] == "good"


def test_one_batch_without_labels_is_forgiven():
    """A mean over no labels is nan, and its gradient 0: the next step is as good as ever."""
    assert verdict(after(["good", "bad", "good", "bad", "bad"])) is None


def test_the_start_of_a_loss_scaler_is_normal():
    """From 2**32, with two overflows forgiven, the scale is 1 after 34 steps that are left out."""
    assert SKIPPED_STEPS > 32 + 2
    assert verdict(after(["skipped"] * 34)) is None
    almost = ["skipped"] * (SKIPPED_STEPS - 1)
    assert verdict(after([*almost, "good", *almost])) is None


def kept(name, found):
    code, words = found
    problem = Problem(code=code, message=words.message, because=words.because, hint=words.hint)
    assert f"{problem}\n" == (MESSAGES / f"{name}.txt").read_text()


def test_loss_not_finite():
    """Which loss, since when, and the checkpoint to go on from."""
    kept("loss-not-finite", verdict(after(["good"] * 57 + ["bad"] * 3)))


def test_steps_skipped():
    """How many, after which step, and why a scale below 1 is no cure."""
    kept("steps-skipped", verdict(after(["good"] * 57 + ["skipped"] * 40), step=57))
