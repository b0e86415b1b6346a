"""A recurrent model whose state is carried on trains the same on every split of its lanes."""

from __future__ import annotations

import pytest
from exactness_cases import Case, launch, recipe_of
from test_exactness import read_result

pytestmark = [pytest.mark.real, pytest.mark.torch]

SPLITS = ((2, 3), (6, 1), (4, 2))  # the last one leaves 4 of 16 slots idle
CASES = [
    Case(engine="torchrun", ranks=2, micro=micro, accumulation=accumulation, variant="sgd")
    for micro, accumulation in SPLITS
]


def lane_recipe(case):
    recipe = recipe_of(case)
    return {
        **recipe,
        "sequence_length": 4,
        "hidden_size": 8,
        "model": {"kind": "lstm", "num_layers": 1, "input_size": 8, "output_size": 8, "carry_state": True},
        "data": {"num_samples": 36},
        "schedule": {**recipe["schedule"], "length": "6 steps"},
        "launch": {**recipe["launch"], "script": "exactness_lanes.py"},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All splits, trained under one launch."""
    place = tmp_path_factory.mktemp("lanes")
    launch(CASES, place, recipe_of=lane_recipe)
    return place


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_split_trains_the_lanes(case, folder):
    """Twelve lanes of three samples, twice: parameters are those of one lane after the other, to rounding."""
    from exactness_lanes import EPOCH, EPOCHS, LANES, train_reference
    from exactness_reference import distance

    found = read_result(case, folder / case.name)
    assert distance(found.parameters, train_reference(found.rates)) < 1e-5
    lanes = list(zip(*found.order, strict=True))
    assert lanes == [tuple(range(lane * EPOCH, (lane + 1) * EPOCH)) * EPOCHS for lane in range(LANES)]


def test_state_matters():
    """The same training with a state of zero at every step ends elsewhere: the comparison can tell."""
    from exactness_lanes import train_reference
    from exactness_reference import distance

    rates = [0.05] * 6
    assert distance(train_reference(rates, forgets=True), train_reference(rates)) > 1e-3
