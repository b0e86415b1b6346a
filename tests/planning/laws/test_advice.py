"""All laws together, for any question: what is said is never more than the law can say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from questions import questions

from launcher.planning.laws.advice import advise
from launcher.planning.laws.answer import LARGEST_STEP, Axis
from launcher.reporting.advice_text import advice_text

close = pytest.approx
NUMBERS = (
    *("batch_tokens", "batch_sequences", "learning_rate", "learning_rate_factor"),
    *("weight_decay", "weight_decay_factor"),
)


@given(asked=questions(), extrapolate=st.booleans())
def test_every_law_answers_every_question(asked, extrapolate):
    """Numbers only where the law applies, has what it needs and is near its fit, or far from it on request and marked."""
    for answer in advise(asked, extrapolate=extrapolate).answers:
        numbers = [getattr(answer, name) for name in NUMBERS if getattr(answer, name) is not None]
        if answer.standing in {"within", "extrapolated"}:
            assert numbers
            assert all(number > 0 for number in numbers)
            assert (answer.standing == "within") == (answer.beyond == 1)
            assert extrapolate or answer.beyond <= LARGEST_STEP
        else:
            assert numbers == []
            assert answer.why or answer.beyond > LARGEST_STEP
        if answer.batch_tokens is not None:
            assert answer.batch_sequences == close(answer.batch_tokens / asked.sequence_length)
        assert (answer.beyond_axis == "") == (answer.beyond == 1)


@given(asked=questions())
def test_to_extrapolate_only_adds(asked):
    """What is shown without --extrapolate is shown with it, unchanged."""
    for shown, more in zip(advise(asked).answers, advise(asked, extrapolate=True).answers, strict=True):
        assert shown.law == more.law
        assert shown == more or shown.standing == "not-shown"


@given(asked=questions())
def test_the_spread_spans_what_is_shown(asked):
    """Least and largest batch of the laws that name a best one, by their own names."""
    advice = advise(asked, extrapolate=True)
    batches = {
        answer.law.name: answer.batch_tokens
        for answer in advice.answers
        if answer.batch_tokens is not None and answer.law.gives in {"optimum", "anchored"}
    }
    if len(batches) < 2:
        assert advice.batch is None
    else:
        assert batches[advice.batch.low_law] == advice.batch.low == min(batches.values())
        assert batches[advice.batch.high_law] == advice.batch.high == max(batches.values())
        assert advice.batch.factor >= 1


@given(low=st.floats(1, 1e6), width=st.floats(1, 1e6), value=st.floats(1e-3, 1e12))
def test_distance_from_a_fit(low, width, value):
    """1 inside; else the factor to the nearer end."""
    axis = Axis(name="N", low=low, high=low * width, what="")
    beyond = axis.beyond(value)
    assert beyond >= 1
    if value < low:
        assert beyond * value == close(low)
    elif value > axis.high:
        assert value / beyond == close(axis.high)
    else:
        assert beyond == 1


@given(asked=questions(), extrapolate=st.booleans(), explain=st.booleans())
def test_the_text_stays_within_the_page(asked, extrapolate, explain):
    """Whatever is asked, no line is longer than 100 columns, and every law is named."""
    advice = advise(asked, extrapolate=extrapolate)
    lines = advice_text(advice, name="recipe.yaml", explain=explain)
    assert max(map(len, lines)) <= 100
    words = " ".join(" ".join(lines).split())
    assert all(answer.law.name in words for answer in advice.answers)
    assert "nan" not in words.replace("nanochat", "")
