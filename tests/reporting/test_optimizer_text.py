"""What follows the batch beside the rate stands below it, with what was written."""

from launcher import load_recipe
from launcher.api import plan
from launcher.reporting.glyphs import ASCII
from launcher.reporting.optimizer_text import optimizer_lines
from launcher.reporting.plan_text import plan_text

RECIPE = {
    "global_batch_size": 256,
    "sequence_length": 1024,
    "hidden_size": 768,
    "optimizer": {
        "reference_learning_rate": 1e-3,
        "reference_batch_size": 64,
        "betas": [0.9, 0.95],
        "weight_decay": 0.1,
    },
    "schedule": {"length": "1000 steps", "warmup": "100 steps", "warmup_keeps": "steps"},
    "cluster": {"devices_per_node": 1, "device": "cpu"},
}


def lines_of(**optimizer):
    recipe = {**RECIPE, "optimizer": {**RECIPE["optimizer"], **optimizer}}
    return optimizer_lines(plan(load_recipe(recipe)).optimizer)


def test_the_timescale_before_and_after():
    """256 / (2e-3 x 0.1 x 256000) = 5 runs; at the reference 64 / (1e-3 x 0.1 x 256000) = 2.5."""
    assert lines_of() == ["weight decay averages over 5 x the run (2.5 at the reference)"]


def test_what_was_rescaled_with_what_was_written():
    """By the name of its key, the value of this batch first."""
    rescale = {"betas": "sde", "weight_decay": "timescale"}
    rescaled, averaged = lines_of(rescale=rescale, weight_average_decay=0.999)
    assert rescaled == (
        "rescaled: betas 0.6, 0.8 (at the reference 0.9, 0.95), epsilon 5e-09 (at the reference 1e-08), "
        "weight decay 0.2 (at the reference 0.1), weight average 0.996006 (at the reference 0.999)"
    )
    assert averaged == "weight decay averages over 2.5 x the run (2.5 at the reference)"


def test_nothing_is_shown_where_nothing_follows():
    """No weight decay, nothing rescaled."""
    assert lines_of(weight_decay=0) == []


def test_a_kept_warmup_names_its_convention():
    """The published convention stands beside what is kept, and the reason below the peak."""
    recipe = load_recipe(RECIPE)
    text = " ".join(
        line.strip()
        for line in plan_text(plan=plan(recipe), recipe=recipe, recipe_path="r.yaml", glyphs=ASCII)
    )
    assert "(its steps kept, as LEGW, arXiv:1901.08256; LAMB, arXiv:1904.00962;" in text
    assert (
        "x 2 (sqrt rule); the script must apply it sqrt rule (the default for adamw) on 256 / 64 sequences"
        in text
    )


def test_an_automatic_warmup_says_what_it_is():
    """The pieces in words: 2 / (1 - 0.95) = 40 steps."""
    recipe = load_recipe({**RECIPE, "schedule": {"length": "1000 steps", "warmup": "auto"}})
    text = " ".join(
        line.strip()
        for line in plan_text(plan=plan(recipe), recipe=recipe, recipe_path="r.yaml", glyphs=ASCII)
    )
    assert (
        "warmup 40 steps = 10,240 sequences = 10.49 M tokens (auto: what beta2 needs, 1 % to 10 % of the run)"
        in text
    )
