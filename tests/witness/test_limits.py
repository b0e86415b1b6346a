"""How many bad steps in a row end a training, and with which words."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from batchwright_witness.limits import LOSS_STEPS, SKIPPED_STEPS, Health
from launcher.errors import Problem

MESSAGES = Path(__file__).parent / "messages"
STEPS = st.lists(st.sampled_from(["good", "bad", "skipped", "skipped nan"]), max_size=60)


def verdict(health, step=1):
    return health.verdict(whose="the loss of rank 1", step=step, checkpoint=lambda: "checkpoints/400")


def after(steps):
    """Health after steps; the number of one that is left out goes to the next one."""
    health, number = Health(), 1
    for each in steps:
        left_out = each.startswith("skipped")
        (health.skips if left_out else health.steps)()
        loss = {"good": 1.0, "bad": math.inf, "skipped": math.inf, "skipped nan": math.nan}[each]
        health.looks(number, loss=loss, at=float(number), skipped=left_out)
        number += not left_out
    return health


@given(STEPS)
def test_only_in_a_row(steps):
    """A verdict comes exactly when the last losses are all lost, or the last steps are all left out."""
    told = [each for each in steps if each != "skipped"]
    lost = len(told) >= LOSS_STEPS and "good" not in told[-LOSS_STEPS:]
    tail = steps[-SKIPPED_STEPS:]
    left_out = len(tail) == SKIPPED_STEPS and all(each.startswith("skipped") for each in tail)
    assert (verdict(after(steps)) is not None) == (lost or left_out)


@given(STEPS)
def test_the_first_bad_step_is_named(steps):
    """`first` is the number of the first lost one after the last good one."""
    health = after(steps)
    if health.bad:
        good = sum(each == "good" for each in steps)
        last = max((at for at, each in enumerate(steps) if each == "good"), default=-1)
        tail = steps[last + 1 :]
        before = tail[: next(at for at, each in enumerate(tail) if each != "skipped")]
        done = sum(each == "bad" for each in steps[: last + 1])
        assert health.first == good + done + 1
        assert set(before) <= {"skipped"}


def test_a_loss_that_was_scaled_too_high():
    """Infinite and left out it is a scaler's business; nan, which no scale makes of a number, it is lost."""
    assert verdict(after(["skipped"] * 10)) is None
    assert verdict(after(["skipped nan"] * LOSS_STEPS))[0] == "loss-not-finite"


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
