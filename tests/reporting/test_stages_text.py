"""The stages of a plan in text: one row each, long ramps in short, never wider than a line."""

from launcher import load_recipe, plan
from launcher.reporting.columns import WIDTH, labelled
from launcher.reporting.glyphs import glyphs_for
from launcher.reporting.plan_text import plan_text
from launcher.reporting.run_text import header_lines
from launcher.reporting.stages_text import stage_lines

NUMBERS = {"global_batch_size": 256, "sequence_length": 1024, "hidden_size": 768}
PLACE = {"cluster": {"devices_per_node": 2}, "launch": {"runtime": True}}


def planned(stages, **keys):
    """The plan of stages on two CPU ranks."""
    return plan(load_recipe({**NUMBERS, **PLACE, "stages": stages, **keys}), environ={})


def test_a_row_for_each_stage():
    """Steps, mark, batch with its split, tokens per step, the rate at both ends and the worst memory of each stage."""
    result = planned(
        [
            {"until": "1000 samples", "global_batch_size": 16},
            {"until": "3000 samples", "global_batch_size": 64},
            {},
        ],
        schedule={"length": "100 steps", "warmup": "10 steps", "decay": "cosine"},
        optimizer={"learning_rate": 1e-3},
    )
    heading, first, second, third, *_ = stage_lines(result)
    assert heading.split() == ["stage", "steps", "until", "batch", "tokens", "rate", "worst", "GiB"]
    assert first.split()[:3] == ["1", "1-63", "1000"]
    assert " ".join(first.split()[4:-1]) == "16 = 8 x 1 x 2 16,384 1.0e-4 to 9.017e-4"
    assert second.split()[:3] == ["2", "64-95", "3000"]
    assert third.split()[:3] == ["3", "96-100", "end"]
    assert third.split()[-3:-1] == ["to", "0"]


def test_lengths_have_a_column_where_they_differ():
    """Sequence lengths are shown where stages change them, and idle slots where there are any."""
    result = planned([{"until": "10K samples", "sequence_length": 512}, {"global_batch_size": 255}])
    heading, first, second, note = stage_lines(result)
    assert "length" in heading
    assert " 512 " in first
    assert "1,024" in second
    assert "255 = 8 x 16 x 2 - 1" in second
    assert note == "stage 2 needs most memory, which is what is shown of memory"


def test_a_long_ramp_in_short():
    """Of BLOOM's 117 stages the first five and the last three are shown, and the others counted."""
    result = planned(
        {"rampup_batch_size": [192, 16, 9_765_625]},
        global_batch_size=2048,
        schedule={"length": "220M samples", "decay": "cosine"},
        optimizer={"learning_rate": 6e-5},
    )
    lines = stage_lines(result)
    assert "until sample" in lines[0]
    assert lines[1].split()[2] == "84,187"
    assert lines[6] == "... 109 stages more, of 272 to 2,000 sequences"
    assert [line.split()[0] for line in lines[1:6] + lines[7:10]] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "115",
        "116",
        "117",
    ]
    assert max(len(line) for line in labelled("stages", lines)) <= WIDTH


def test_no_stages_no_rows():
    """A run whose batch never changes has no such lines."""
    assert stage_lines(planned([])) == []


def test_the_curve_of_stages_is_drawn_by_its_clock():
    """With constant tokens per step the curve of a staged run is drawn as that of the same run without stages."""
    keys = {
        "global_batch_size": None,
        "global_batch_tokens": 262_144,
        "schedule": {"length": "1B tokens", "warmup": "100M tokens", "decay": "cosine"},
        "optimizer": {"learning_rate": 1e-3},
    }
    staged = planned([{"until": "500M tokens", "sequence_length": 256}, {}], **keys)
    plain = planned([], **keys)
    recipe = load_recipe({**NUMBERS, **PLACE, **keys})

    def drawn(result):
        lines = plan_text(plan=result, recipe=recipe, recipe_path="r.yaml", glyphs=glyphs_for("ascii"))
        return next(lines[at + 4] for at, line in enumerate(lines) if line.startswith("rate"))

    assert set(drawn(plain).strip()) <= set(glyphs_for("ascii").bars)
    assert drawn(staged) == drawn(plain)


def test_a_run_with_stages_is_announced_by_its_spans():
    """The line before a start has the smallest and the largest batch, and lengths where they change."""
    ramp = planned([{"until": "10K samples", "global_batch_size": 16}, {}])
    assert header_lines(plan=ramp, directory="RUN")[1] == "plan    2 stages of 16 to 256 sequences"
    longer = planned([{"until": "10K samples", "sequence_length": 512}, {}])
    assert header_lines(plan=longer, directory="RUN")[1] == "plan    2 stages of 512 to 1,024 tokens"


def test_what_can_be_done_with_stages_that_cannot_be_run():
    """Without the runtime the plan points to the remark that says so."""
    written = {**NUMBERS, "cluster": {"devices_per_node": 2}, "stages": "0:16 10K:256"}
    recipe = load_recipe(written)
    lines = plan_text(
        plan=plan(recipe, environ={}), recipe=recipe, recipe_path="r.yaml", glyphs=glyphs_for("ascii")
    )
    assert "next    it can be planned and not yet be run: see stages-need-the-runtime above" in lines
