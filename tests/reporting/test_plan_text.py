"""The text of a plan: what it says, that it fits the screen, that it says the same in plain letters."""

import dataclasses
import re
from pathlib import Path

import pytest

from launcher.api import load_recipe, plan
from launcher.errors import Problem
from launcher.reporting.glyphs import ASCII, UNICODE, glyphs_for
from launcher.reporting.plan_text import plan_text
from launcher.testing.plans import changed, sample_plans

ROOT = Path(__file__).parents[2]
THREE = {"global_batch_size": 256, "sequence_length": 1024, "hidden_size": 768}
RATE = {
    "optimizer": {"reference_learning_rate": 1.5e-4, "reference_batch_size": 64},
    "schedule": {
        "warmup": "375M tokens",
        "decay": "cosine",
        "length": "300B tokens",
        "final_learning_rate_ratio": 0.1,
    },
}
TWO = {"cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"}}


def text_of(recipe, glyphs=UNICODE, **options):
    loaded = load_recipe(recipe)
    made = plan(loaded, environ={"CUDA_VISIBLE_DEVICES": ""})
    return plan_text(plan=made, recipe=loaded, recipe_path="recipe.yaml", glyphs=glyphs, **options)


def block(lines, label):
    """The lines of one labelled block, without the label's column."""
    start = next(at for at, line in enumerate(lines) if line.startswith(label))
    end = next((at for at in range(start + 1, len(lines)) if not lines[at].startswith(" " * 8)), len(lines))
    return [line[8:] for line in lines[start:end]]


def test_the_first_line_answers():
    """Verdict, memory, world and who starts it stand in the first line."""
    first = text_of({**THREE, **TWO})[0]
    assert re.sub(r"[0-9]+\.[0-9]+", "N", first) == (
        "unknown-memory   N expected, N worst GiB   2 x CPU (1 node x 2)   torchrun ddp over local"
    )


def test_a_first_line_that_is_too_long_becomes_two():
    """A plan for many devices says how it is started in the next line."""
    cluster = {"nodes": 128, "devices_per_node": 8, "device": "h100-sxm-80gb"}
    first, second, *_ = text_of({**THREE, "global_batch_size": 4096, "cluster": cluster})
    assert first.startswith("fits   ")
    assert second == "1024 x H100-SXM-80GB (128 nodes x 8)   torchrun ddp over local"


def test_the_batch_identity_with_its_numbers():
    """Product and parts, and that nothing idles."""
    first, second = block(text_of({**THREE, **TWO}), "batch")
    assert first == "256 sequences x 1,024 tokens = 262,144 tokens per step"
    assert re.split(r" {2,}", second) == [
        "= 8 micro x 16 accumulation x 2 data-parallel",
        "exact, no idle slots",
    ]


def test_idle_slots_with_their_cost():
    """Idle slots are part of the identity, and their share of the work is said."""
    made = sample_plans()["cpu-1x2-idle"]
    lines = plan_text(plan=made, recipe=load_recipe(THREE), recipe_path="r.yaml", glyphs=UNICODE)
    assert re.split(r" {2,}", block(lines, "batch")[1]) == [
        "= 2 micro x 3 accumulation x 2 data-parallel - 1 idle",
        "8.3 % of 12 slots idle",
    ]


def test_the_rate_in_every_unit():
    """Scaling, warmup in the unit written and in the others, end, first and last step."""
    lines = block(text_of({**THREE, **RATE}), "rate")
    assert lines[0] == "peak 3.0e-4 = 1.5e-4 (at 64 sequences) x 2 (sqrt rule); the script must apply it"
    assert lines[1] == "sqrt rule (the default for adamw) on 256 / 64 sequences"
    # 375e6 / 1024 = 366,210.9 sequences; / 256 = 1430.5 steps
    assert lines[2] == "warmup 375M tokens = 1,431 steps = 366.2 K sequences"
    # 300e9 / 1024 / 256 = 1,144,409.2
    assert lines[3] == "cosine to 3.0e-5 at 300B tokens = 1,144,410 steps = 293 M sequences"
    assert (
        lines[-2]
        == "start 0 \u00b7 step 1 at 2.097e-7 \u00b7 peak at step 1,431 \u00b7 step 1,144,410 at 3.0e-5"
    )


def test_the_curve_rises_and_falls():
    """The picture starts low, reaches the top, and ends low; plain letters draw the same heights."""
    recipe = {
        **THREE,
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {"warmup": "25 %", "decay": "linear", "length": "1000 steps"},
    }
    bars = block(text_of(recipe), "rate")[-1]
    plain = block(text_of(recipe, ASCII), "rate")[-1]
    heights = [UNICODE.bars.index(bar) for bar in bars]
    assert [ASCII.bars.index(bar) for bar in plain] == heights
    top = heights.index(7)
    assert heights[0] == heights[-1] == 0
    assert heights[: top + 1] == sorted(heights[: top + 1])
    assert heights[top:] == sorted(heights[top:], reverse=True)
    assert top / len(heights) == pytest.approx(0.25, abs=0.06)


def test_without_a_learning_rate():
    """Nothing is invented where no rate is written."""
    assert block(text_of(THREE), "rate") == [
        "no learning rate is planned: optimizer.learning_rate is not written"
    ]


def test_who_carries_out_what():
    """Of what only the script can do, the split of the batch and what the recipe writes are shown; the rest is at
    its default and stands in --json.
    """
    written = {**THREE, **RATE, "activation_checkpointing": "full", "model": {"num_attention_heads": 12}}
    split = {"micro_batch_size", "gradient_accumulation_steps"}
    shown = {"optimizer", "learning_rate", "activation_checkpointing"}
    for recipe, expected in ((THREE, split), (written, split | shown)):
        lines = " ".join(block(text_of(recipe), "applied"))
        assert set(re.findall(r"[a-z_.]+", lines.partition("only the script can: ")[2])) == expected


def test_warnings_come_before_notes():
    """Remarks have their code and their place, the serious ones first."""
    remarks = (
        Problem(code="not-yet-used", severity="note", message="later", where="r.yaml:1:1"),
        Problem(code="scaled-far", severity="warning", message="far", because=("8 x 32",), hint="measure"),
    )
    made = dataclasses.replace(sample_plans()["cpu-1x2"], problems=remarks)
    lines = plan_text(plan=made, recipe=load_recipe(THREE), recipe_path="r.yaml", glyphs=UNICODE)
    start = lines.index("warning far [scaled-far]")
    assert lines[start : start + 4] == [
        "warning far [scaled-far]",
        "          8 x 32",
        "          hint: measure",
        "note    r.yaml:1:1: later [not-yet-used]",
    ]


def test_explain_shows_origins_with_places(tmp_path):
    """A written number shows file, line and column; a derived one its formula; an overridden one the option."""
    path = tmp_path / "r.yaml"
    path.write_text("global_batch_size: 256\nsequence_length: 1024\nhidden_size: 768\n")
    loaded = load_recipe(str(path), overrides=["micro_batch_size=4"])
    made = plan(loaded, environ={"CUDA_VISIBLE_DEVICES": ""})
    shown = " ".join(
        re.sub(r" +", " ", line)
        for line in plan_text(plan=made, recipe=loaded, recipe_path="r", glyphs=UNICODE, explain=True)
    )
    assert "batch.global_batch_size 256 recipe " in shown
    assert "batch.micro_batch_size 4 --set" in shown
    assert "batch.gradient_accumulation_steps 64 derived: 256 / (4 x 1)" in shown
    assert "model.num_layers 12 derived: hidden_size 768 / 64" in shown
    assert "layout.data_strategy ddp default" in shown


@pytest.mark.parametrize("name", sorted(sample_plans()))
@pytest.mark.parametrize("explain", [False, True])
def test_it_fits_the_screen(name, explain):
    """No line is longer than 100 characters, unless it is one word."""
    made = changed(sample_plans()[name], launch={"script": "train.py"})
    lines = plan_text(
        plan=made, recipe=load_recipe(THREE), recipe_path="recipes/x.yaml", glyphs=UNICODE, explain=explain
    )
    assert [line for line in lines if len(line) > 100] == []
    assert len(lines) <= 24 or explain, "one screen for the common case"
    assert lines == [line.rstrip() for line in lines]


RECIPES = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if path.parent.name != "clusters")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipes_are_shown(path, monkeypatch):
    """The recipes that ship can be shown, in plain letters too."""
    monkeypatch.chdir(ROOT)
    lines = text_of(str(path.relative_to(ROOT)), ASCII, explain=True)
    assert "\n".join(lines).isascii()
    assert all(len(line) <= 100 for line in lines)


def test_colour_is_only_colour():
    """Without its colour codes a coloured text is the plain one."""
    plain, coloured = text_of(THREE), text_of(THREE, glyphs_for("UTF-8", colour=True))
    assert coloured != plain
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain


@pytest.mark.parametrize(
    ("encoding", "bars"), [("utf-8", UNICODE), ("UTF8", UNICODE), ("ascii", ASCII), (None, ASCII)]
)
def test_letters_that_the_reader_has(encoding, bars):
    """Bars only where the encoding has them."""
    assert glyphs_for(encoding).bars == bars.bars


def test_a_long_ramp_is_explained_in_short():
    """Of 128 stages the first two and the last one are traced, and no formula divides by one batch."""
    lines = text_of(str(ROOT / "recipes/bloom-176b/a100-sxm-80gb-48x8-from-16.yaml"), explain=True)
    named = {line.split(".")[1] for line in lines if line.startswith("stages.")}
    assert named == {"0", "1", "127"}
    assert "... of 125 stages more: --json" in lines
    (steps,) = [line for line in lines if line.startswith("learning_rate.total_steps ")]
    assert steps.split(maxsplit=2)[1:] == ["128,729", "derived: 220000000 samples in the"]
