"""A training that is worth nothing any more ends, in a script that knows nothing of us."""

import json
import sys
from dataclasses import replace

import pytest
from launching import SCRIPTS, run
from plan_by_hand import plan_by_hand, write_plan

pytestmark = pytest.mark.real


def ended(folder, what, **environ):
    """The script under the witness, alone, with checkpoints in its own folder."""
    plan = replace(
        plan_by_hand(ranks=1, micro=2, accumulation=2, sequence_length=None),
        checkpoint={"directory": str(folder / "checkpoints")},
    )
    words = [
        "-m",
        "batchwright_witness",
        "--plan",
        str(write_plan(plan, folder)),
        str(SCRIPTS / "vitals.py"),
        what,
    ]
    return run([sys.executable, *words], folder, env={"BATCHWRIGHT_RUN": str(folder), **environ})


def beat(folder):
    return json.loads((folder / "beats" / "0").read_bytes())


def test_a_loss_that_is_no_number(tmp_path):
    """Three steps after the first nan: exit code 1, the step, and the checkpoint to go on from."""
    job = ended(tmp_path, "nan")
    said = "the loss of rank 0 is not finite since optimizer step 6: 3 steps in a row [loss-not-finite]"
    assert (job.code, "end" in job.output.split()) == (1, False)
    assert said in job.output
    assert f"the latest checkpoint from before is `{tmp_path}/checkpoints/model.pt`" in job.output
    assert job.ranks[0]["error"].startswith(said)
    assert (beat(tmp_path)["steps"], beat(tmp_path)["finite"]) == (8, False)


def test_a_warning_is_all_that_was_asked_for(tmp_path):
    """With BATCHWRIGHT_WITNESS=warn it is said once, the training goes on, and so do the beats."""
    job = ended(tmp_path, "nan", BATCHWRIGHT_WITNESS="warn")
    assert (job.code, "end" in job.output.splitlines()) == (0, True), job.output
    assert (
        job.output.count("rank 0 is not finite since optimizer step 6: 3 steps in a row") == 2
    )  # then, and at the end
    assert (beat(tmp_path)["steps"], beat(tmp_path)["finite"]) == (60, False)


def test_good_parameters_are_not_replaced(tmp_path):
    """A save right after the first nan does not happen: the file still holds step 5."""
    job = ended(tmp_path, "save")
    assert job.code == 1
    assert [line for line in job.output.splitlines() if line.startswith("saved")][-1] == "saved 5"
    assert (
        "is not finite since optimizer step 6, and the parameters were about to be saved [loss-not-finite]"
        in job.output
    )


def test_steps_that_are_left_out(tmp_path):
    """Forty in a row, which no start of a loss scaler needs."""
    job = ended(tmp_path, "overflow")
    assert job.code == 1
    assert (
        "40 optimizer steps in a row were skipped after step 5: gradients overflow [steps-skipped]"
        in job.output
    )
    assert (beat(tmp_path)["skipped"], beat(tmp_path)["tried"]) == (40, 45)


def test_batches_without_labels_are_no_harm(tmp_path):
    """Their loss is nan and their gradient 0: the training goes on, and its parameters are saved."""
    job = ended(tmp_path, "unlabelled")
    assert (job.code, "end" in job.output.splitlines()) == (0, True), job.output
    assert "saved 6" in job.output
    assert (beat(tmp_path)["steps"], beat(tmp_path)["phase"]) == (60, "end")


def remarks(folder):
    path = folder / "remarks.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_loss_that_jumps_is_named(tmp_path):
    """In a script that knows nothing of us: a line, an entry, and the training goes on."""
    job = ended(tmp_path, "jump")
    assert (job.code, "end" in job.output.splitlines()) == (0, True), job.output
    first = remarks(tmp_path)[0]
    assert (first["step"], first["code"]) == (50, "loss-spike")
    assert "remark  step 50: the loss has jumped to " in job.output


def test_losses_that_a_scaler_scales_are_left_alone(tmp_path):
    """Its factor changes by itself, so that one step's loss cannot be held against another's."""
    job = ended(tmp_path, "scaled jump")
    assert (job.code, "end" in job.output.splitlines(), remarks(tmp_path)) == (0, True, []), job.output
