"""Stages in any notation are the list that they stand for."""

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.spec.recipe import Stage
from launcher.units import parse_amount

NUMBERS = {"global_batch_size": 1536, "sequence_length": 1000, "hidden_size": 768}


def stages_of(stages, **keys):
    """The stages of a recipe with the three numbers."""
    return load_recipe({**NUMBERS, "stages": stages, **keys}).stages


def test_a_step_schedule_is_a_list():
    """`0:768 250M:1536` on sequences of 1000 tokens ends its first stage at 250,000 samples."""
    until = parse_amount("250000 samples", kind="ramp")
    assert stages_of("0:768 250M:1536") == (
        Stage(until=until, global_batch_size=768),
        Stage(global_batch_size=1536),
    )


def test_without_a_length_thresholds_are_samples():
    """Images have no tokens: the threshold counts them."""
    keys = {"sequence_length": None, "model": {"kind": "resnet"}, "hidden_size": None}
    first, last = stages_of("0:768 250K:1536", **keys)
    assert (first.until.number, last.until) == (250_000, None)


@pytest.mark.parametrize("batch", [{}, {"global_batch_size": None, "global_batch_tokens": 1_536_000}])
def test_three_numbers_are_a_list(batch):
    """[768, 384, 1000] up to 1536: two increments of 500 samples, wherever the batch of the run is written."""
    first, second, last = stages_of({"rampup_batch_size": [768, 384, 1000]}, **batch)
    assert [stage.global_batch_size for stage in (first, second, last)] == [768, 1152, 1536]
    assert first.until.number == 500
    assert second.until.number == 1000
    assert last.until is None


def test_a_ramp_needs_its_end():
    """Without a batch of the run nobody knows where the increments end."""
    with pytest.raises(RecipeError, match="the ramp has no end"):
        stages_of({"rampup_batch_size": [16, 16, 96]}, global_batch_size=None)


def test_the_path_of_a_bad_ramp():
    """What is wrong with a ramp is a problem of the key that it is written at."""
    with pytest.raises(RecipeError) as caught:
        stages_of("16:32 64:64")
    assert [(problem.code, problem.path) for problem in caught.value.problems] == [("bad-ramp", "stages")]
    with pytest.raises(RecipeError) as caught:
        stages_of({"rampup_batch_size": [1536, 1, 1]})
    assert [problem.path for problem in caught.value.problems] == ["stages.rampup_batch_size"]


def test_an_override_replaces_the_whole_ramp():
    """`--set stages=...` takes any notation."""
    recipe = load_recipe({**NUMBERS, "stages": "0:8 10K:1536"}, overrides=["stages=0:768 250M:1536"])
    assert recipe.stages == stages_of("0:768 250M:1536")
