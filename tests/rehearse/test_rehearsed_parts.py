"""Each part of a rehearsal, judged by what the starts have left."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from launcher import load_recipe
from launcher.handoff.trials.rehearsed_parts import (
    evaluation_part,
    host_memory_part,
    longest_part,
    memory_part,
    reload_parts,
    save_part,
    steps_part,
)
from launcher.handoff.trials.trial import TrialEnd
from launcher.reporting.rehearse_text import RehearsalResult, RehearsedPart, rehearsal_text
from launcher.testing import changed, sample_plans

PLAN = replace(changed(sample_plans()["cpu-1x2"], launch={"runtime": True}), memory=None)
RECIPE = load_recipe(
    {
        "global_batch_size": 12,
        "sequence_length": 128,
        "hidden_size": 64,
        "evaluation": {"every": "10 steps"},
        "checkpoint": {"every": "10 steps"},
        "resume": {"args": ["--resume"]},
    }
)


def start(*, steps=3, exit_code=0, out_of_memory=None, message="", dropout=0.0, ranks=2, **record):
    """How a start ended."""
    seen = [
        {
            "optimizer": 0,
            "step": at,
            "loss": 2.0,
            "gradient_norm": None,
            "gradient_squares": 1.0,
            "parameters": 1.0,
            "state": 1.0,
            "rates": [0.1],
        }
        for at in range(steps)
    ]
    told = {
        "host": "here",
        "steps": steps,
        "peak_bytes": 300 * 2**20,
        "host_bytes": 300 * 2**20,
        "inspected": {"steps": seen, "evaluated": False, "dropout": dropout},
        **record,
    }
    return TrialEnd(
        exit=exit_code,
        interrupted_by=None,
        out_of_memory=out_of_memory,
        records=dict.fromkeys(range(ranks), told),
        seconds=4.0,
        message=message,
        context=(),
    )


def log(folder, *losses):
    """log.jsonl of a start."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": at, "loss": loss}) for at, loss in enumerate(losses, 1)]
    (folder / "log.jsonl").write_text("\n".join(lines))
    return folder


def test_steps(tmp_path):
    """Done on all ranks, with a loss that is a number; else the step and the reason."""
    run = log(tmp_path, 4.5, 4.25, 4.0)
    part = steps_part(PLAN, start(), run, steps=2)
    assert (part.verdict, part.measured) == ("passed", "2, loss 4.500, 4.250")
    part = steps_part(PLAN, start(steps=1), run, steps=2)
    assert (part.verdict, part.words) == ("failed", "the script ended by itself after 1 of them")
    part = steps_part(PLAN, start(exit_code=1, message="rank 1: KeyError: 'x'"), log(tmp_path, 4.5), steps=2)
    assert (part.verdict, part.words) == ("failed", "step 2: rank 1: KeyError: 'x'")
    part = steps_part(PLAN, start(), log(tmp_path, 4.5, float("nan")), steps=2)
    assert (part.verdict, part.words) == ("failed", "step 2: the loss is nan")


def test_the_longest_batch():
    """Known from the runtime alone, and from samples that have a length."""
    lengths = {"longest": 90, "shortest": 3, "scanned": 4096}
    assert longest_part(PLAN, start(by_length=lengths)).measured == "90 long; shortest 3, of 4096 samples"
    unknown = longest_part(PLAN, start(by_length={**lengths, "longest": None}))
    assert (unknown.verdict, unknown.words[:22]) == ("not rehearsed", "samples have no length")
    witnessed = changed(PLAN, launch={"runtime": False})
    assert longest_part(witnessed, start()).verdict == "not rehearsed"


def test_evaluation(tmp_path):
    """Recorded numbers or model.eval() show it; a script that is not told when cannot rehearse it."""
    run = log(tmp_path, 4.5, 4.25)
    assert evaluation_part(RECIPE, PLAN, start(), run, at=2).verdict == "not rehearsed"
    seen = start(inspected={"steps": [], "evaluated": True})
    assert evaluation_part(RECIPE, PLAN, seen, run, at=2).measured == "model.eval() seen"
    failed = evaluation_part(RECIPE, PLAN, start(exit_code=1, message="rank 0: boom"), run, at=2)
    assert (failed.verdict, failed.words) == ("failed", "rank 0: boom")
    (run / "evaluation.jsonl").write_text(json.dumps({"step": 2, "validation_loss": 4.75}))
    assert evaluation_part(RECIPE, PLAN, start(), run, at=2).measured == "validation loss 4.750"
    untold = changed(PLAN, launch={"runtime": False, "args": ("--steps", "{total_steps}")})
    words = evaluation_part(RECIPE, untold, start(), run, at=2).words
    assert words == "nothing tells the script when: `{evaluation_every_steps}` in launch.args would"
    told = changed(PLAN, launch={"runtime": False, "args": ("--every={evaluation_every_steps}",)})
    assert evaluation_part(RECIPE, told, start(), run, at=2).verdict == "passed"
    without = replace(RECIPE, evaluation=None)
    words = evaluation_part(without, PLAN, start(), run, at=2).words
    assert words == "the recipe has no `evaluation: {every: ...}`"


def test_save(tmp_path):
    """A script that was told and did not save has failed; what cannot be seen has not."""
    saved = tmp_path / "2.pt"
    saved.write_bytes(b"x" * 2**20)
    good = save_part(RECIPE, PLAN, start(), saved, at=2, steps=3)
    assert (good.verdict, good.measured) == ("passed", "2.pt, 1.0 MiB")
    failed = save_part(RECIPE, PLAN, start(), None, at=2, steps=3)
    assert failed.verdict == "failed"
    assert failed.words.startswith(
        "the script was to save after step 2, and nothing lies in the checkpoint directory"
    )
    assert save_part(RECIPE, PLAN, start(), None, at=2, steps=2).verdict == "not rehearsed"
    elsewhere = changed(PLAN, launch={"executor": "ssh"}, layout={"num_nodes": 2})
    assert save_part(RECIPE, elsewhere, start(), None, at=2, steps=3).verdict == "not rehearsed"
    broken = save_part(RECIPE, PLAN, start(exit_code=1, message="rank 0: OSError"), saved, at=2, steps=3)
    assert (broken.verdict, broken.words) == ("failed", "rank 0: OSError")


def reloaded(second, folder, *, plan=PLAN, first=None):
    return list(
        reload_parts(RECIPE, plan, first or start(), second, at=2, saved=True, folder=folder),
    )


def test_reload(tmp_path):
    """Every bit, then the same loss; a start at step 1, or one that fails, is named."""
    log(tmp_path / "start-1", 4.5, 4.25, 4.0)
    (tmp_path / "start-2").mkdir()
    (tmp_path / "start-2" / "log.jsonl").write_text(json.dumps({"step": 3, "loss": 4.0}))
    again, same = reloaded(start(steps=1), tmp_path)
    assert (again.verdict, again.measured) == ("passed", "every bit, in 4.0 s")
    assert (same.name, same.measured) == ("step 3 again", "loss 4 and 4")
    (failed,) = reloaded(start(exit_code=1, message="rank 0: KeyError"), tmp_path)
    assert (failed.verdict, failed.words) == ("failed", "rank 0: KeyError")
    (tmp_path / "start-2" / "log.jsonl").write_text(json.dumps({"step": 1, "loss": 4.5}))
    (anew,) = reloaded(start(steps=1), tmp_path)
    assert anew.words == "the second start began with step 1: it does not take up what was saved"
    (blind,) = reloaded(start(steps=0), tmp_path)
    assert blind.verdict == "not rehearsed"


def test_other_samples_after_the_restart(tmp_path):
    """They fail the step, unless dropout may explain them."""
    second = start(steps=1)
    second.records[0]["inspected"]["steps"][0]["loss"] = 2.5
    _, same = reloaded(second, tmp_path)
    assert same.verdict == "failed"
    assert same.words.endswith("the restart takes other samples, or other random numbers")
    _, same = reloaded(second, tmp_path, first=start(dropout=0.1))
    assert same.verdict == "not rehearsed"


@pytest.mark.parametrize(
    ("recipe", "saved", "words"),
    [
        (replace(RECIPE, resume=None), True, "the recipe has no `resume: {args: [...]}`"),
        (RECIPE, False, "there is no checkpoint"),
        (RECIPE, True, "the run is over before step 3"),
    ],
)
def test_no_second_start(tmp_path, recipe, saved, words):
    """The reason is said, and nothing passes silently."""
    (part,) = reload_parts(recipe, PLAN, start(), None, at=2, saved=saved, folder=tmp_path)
    assert (part.verdict, part.words) == ("not rehearsed", words)


def test_memory_of_a_rank():
    """Outside the plan's range is a note, above what may be used a failure."""
    planned = sample_plans()["cpu-1x2"].memory
    if planned is None:
        from launcher.api import plan as make_plan

        planned = make_plan(RECIPE).memory
    memory = replace(
        planned,
        usable_bytes=2**30,
        peak_bytes=200 * 2**20,
        low_bytes=150 * 2**20,
        high_bytes=250 * 2**20,
    )
    plan = replace(PLAN, memory=memory)
    part = memory_part(plan, [start()])
    assert (part.planned, part.measured, part.verdict) == ("200 (150 to 250) MiB", "300 MiB", "passed")
    assert part.words == "+50 % of the plan's, above its range; it fits"
    assert host_memory_part(plan, [start()]).planned == "400 MiB"
    assert host_memory_part(plan, [start()]).measured == "600 MiB"
    assert memory_part(plan, [start(peak_bytes=2**31)]).verdict == "failed"
    out = memory_part(plan, [start(exit_code=1, out_of_memory="rank 1: MemoryError")])
    assert (out.verdict, out.words) == ("failed", "rank 1: MemoryError")
    assert memory_part(PLAN, [start(ranks=0)]).verdict == "not rehearsed"
    assert memory_part(PLAN, [start()]).planned == "unknown"


def test_what_a_person_reads():
    """The answer is the last line; what was left out, and why, stands before it."""
    found = RehearsalResult(
        where="rehearsed x",
        parts=(
            RehearsedPart(name="save", verdict="passed", words="odd, but fine"),
            RehearsedPart(name="reload", verdict="not rehearsed", words="no resume"),
        ),
        planned_peak_bytes=None,
        peak_bytes=None,
        planned_host_bytes=None,
        host_bytes=None,
        seconds=61.0,
        folder=None,
    )
    assert rehearsal_text(found)[-3:] == [
        "note: save: odd, but fine",
        "not rehearsed: reload: no resume",
        "passed in 61 s, without reload",
    ]
    failed = RehearsedPart(name="optimizer steps", verdict="failed", words="step 2: boom")
    lines = rehearsal_text(replace(found, parts=(failed,), folder="runs/x", context=("line 1",)))
    assert lines[-3:] == [
        "failed: optimizer steps: step 2: boom",
        "  | line 1",
        "failed after 61 s: optimizer steps; kept in runs/x",
    ]
    assert found.to_dict()["passed"] is True
