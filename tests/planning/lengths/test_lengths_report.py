"""A file of lengths held against a recipe: which lengths are looked at, and what the two disagree about."""

import pytest

from launcher import load_recipe, plan
from launcher.planning.lengths.histogram import histogram_of
from launcher.planning.lengths.marks import marks_of
from launcher.planning.lengths.pairs import Pairs
from launcher.planning.lengths.report import lengths_report, no_sequences

LENGTHS = histogram_of({100: 60, 300: 30, 1000: 10})


def report(lengths=LENGTHS, **keys):
    values = {
        "global_batch_size": 8,
        "sequence_length": 512,
        "hidden_size": 64,
        "micro_batch_size": 4,
        **keys,
    }
    recipe = load_recipe({"cluster": {"devices_per_node": 2, "device": "cpu"}, **values})
    return lengths_report(lengths=lengths, recipe=recipe, batch=plan(recipe).batch)


def codes(found):
    return [(problem.code, problem.path) for problem in found.problems]


def test_marks():
    """The recipe's own, powers of two around it, quantiles of the file; no power that says nothing new."""
    assert marks_of(LENGTHS, own=(512,)) == (100, 128, 256, 300, 512, 1000, 1024)
    assert marks_of(LENGTHS, own=(600,)) == (100, 128, 256, 300, 512, 600, 1000, 1024)
    assert marks_of(histogram_of({3: 1}), own=(512,)) == (3, 512)
    assert marks_of(Pairs({(10, 5): 1}), own=((8, 4),)) == ((4, 2), (8, 4), (10, 5), (16, 8))


def test_the_recipes_own_numbers():
    """60 x 100 + 30 x 300 + 10 x 512 = 20,120 tokens in 100 sequences: 1,609.6 in 8 of them; 12.5 steps are 13."""
    found = report(data={"packing": "padded", "mean_length": 201.2})
    assert found.own.tokens_per_step == pytest.approx(8 * 20_120 / 100)
    assert found.own.steps_per_epoch == 13
    assert found.advice.loss_token_fraction == pytest.approx(20_120 / 51_200)
    assert found.own_row.truncated_samples == 0.1
    assert found.own_row.truncated_tokens == pytest.approx(4_880 / 25_000)
    assert found.problems == ()
    assert report(data={"packing": "padded", "drop_last": True}).own.steps_per_epoch == 12


def test_packed():
    """25,000 tokens fill 49 sequences of 512; a step of 8 trains on 25,000 / 49 x 8 of them, and nothing is cut off."""
    found = report(data={"packing": "packed"})
    assert (found.own.sequences_per_epoch, found.own.steps_per_epoch) == (49, 7)
    assert found.own.tokens_per_step == pytest.approx(25_000 / 49 * 8)
    assert found.advice.mean_length == 250
    assert found.problems == ()


@pytest.mark.parametrize("packing", ["none", "padded"])
def test_a_mean_length_that_is_missing_or_wrong(packing):
    """Said where the plan counts with something else than the file's mean after truncation."""
    assert codes(report(data={"packing": packing})) == [("lengths-disagree", "data")]
    assert codes(report(data={"packing": packing, "mean_length": 250})) == [
        ("lengths-disagree", "data.mean_length")
    ]
    assert codes(report(data={"packing": packing, "mean_length": 200})) == []
    assert codes(report(histogram_of({512: 9}), data={"packing": packing})) == []


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"num_samples": 200}, "data.num_samples"),
        ({"num_tokens": 30_000}, "data.num_tokens"),
        ({"loss_token_fraction": 0.7}, "data.loss_token_fraction"),
    ],
)
def test_sizes_and_fractions_that_differ(data, path):
    """Numbers of the recipe that the file contradicts."""
    same = {"packing": "padded", "mean_length": 201.2}
    assert codes(report(data={**same, **data})) == [("lengths-disagree", path)]
    assert codes(report(data={**same, "num_samples": 100})) == []
    assert codes(report(data={**same, "num_tokens": 25_000})) == []
    assert codes(report(data={**same, "loss_token_fraction": 0.3})) == []


def test_an_encoder_decoder():
    """Both sides count; packing does not apply."""
    lengths = {"input": 8, "target": 4}
    model = {"kind": "encoder-decoder", "num_layers": 1}
    found = report(
        Pairs({(10, 2): 3, (6, 4): 5}), sequence_length=lengths, model=model, data={"packing": "packed"}
    )
    assert found.own.layout == "padded"
    assert found.own_row.kept_tokens == 3 * 10 + 5 * 10
    assert found.advice.mean_length == 10


def test_a_model_without_sequences():
    """Images have no lengths."""
    assert (
        no_sequences(load_recipe({"global_batch_size": 8, "model": {"kind": "resnet"}})).code
        == "no-sequences"
    )
    assert (
        no_sequences(load_recipe({"global_batch_size": 8, "sequence_length": 8, "hidden_size": 64})) is None
    )


def test_stages_have_rows_of_their_own():
    """Each length that a stage writes is the recipe's own."""
    stages = [{"until": "800 samples", "sequence_length": 256}, {"sequence_length": 512}]
    schedule = {"length": "1600 samples"}
    found = report(stages=stages, schedule=schedule)
    assert [row.sequence_length for row in found.rows if row.own] == [256, 512]
    assert found.own_row.sequence_length == 512
