"""How steadily a run went, from its folder alone."""

from __future__ import annotations

import json

from launcher.reporting.run_log import read_log, read_remarks
from launcher.reporting.stability_text import remark_line, stability_line


def write(folder, name, entries):
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def line_of(folder):
    return stability_line(steps=read_log(folder), remarks=read_remarks(folder))


def test_all_that_there_is_to_say(tmp_path):
    """Jumps with their steps, steps without a loss, those left out, clipping, and the gap from first to last."""
    steps = [{"step": step, "loss": 2.0, "clipped": step % 4 == 0, "skipped": False} for step in range(1, 9)]
    steps[4].update(loss=float("nan"), clipped=None)
    steps[6].update(loss=float("inf"), skipped=True, clipped=None)
    write(tmp_path, "log.jsonl", steps)
    write(tmp_path, "evaluation.jsonl", [{"step": 2, "gap": 0.12}, {"step": 8, "gap": 0.15}])
    codes = [(2, "loss-spike"), (3, "loss-spike-over"), (7, "loss-spike"), (8, "gap-wider")]
    write(tmp_path, "remarks.jsonl", [{"step": s, "code": c, "words": "so it is"} for s, c in codes])
    assert line_of(tmp_path) == (
        "health  2 jumps of the loss (steps 2, 7), 1 step without a finite loss (step 5), 1 step left out, "
        "33.3 % of steps clipped, validation - training 0.120 -> 0.150, the gap widened (step 8)"
    )


def test_what_is_not_known_is_left_out(tmp_path):
    """No clipping, no evaluation, nothing said: one short line; many steps are not all written out."""
    write(tmp_path, "log.jsonl", [{"step": 1, "loss": 2.0}])
    assert line_of(tmp_path) == "health  no jumps of the loss"
    write(tmp_path, "remarks.jsonl", [{"step": n, "code": "loss-spike", "words": ""} for n in range(1, 8)])
    assert line_of(tmp_path) == "health  7 jumps of the loss (steps 1, 2, 3, 4 and 3 more)"


def test_a_log_without_losses_says_nothing(tmp_path):
    """The witness's log has none, and a run that never stepped has no log."""
    assert line_of(tmp_path) is None
    write(tmp_path, "log.jsonl", [{"step": 1, "learning_rate": 1e-3}])
    assert line_of(tmp_path) is None


def test_one_evaluation_is_one_number(tmp_path):
    """There is no from and to."""
    write(tmp_path, "log.jsonl", [{"step": 1, "loss": 2.0}])
    write(tmp_path, "evaluation.jsonl", [{"step": 1, "gap": 0.5}])
    assert line_of(tmp_path) == "health  no jumps of the loss, validation - training 0.500"


def test_the_latest_remark(tmp_path):
    """And how many stand before it; half a line, as a run that is killed leaves it, is passed over."""
    assert remark_line(read_remarks(tmp_path)) is None
    write(tmp_path, "remarks.jsonl", [{"step": 310, "code": "loss-spike", "words": "the loss has jumped"}])
    assert remark_line(read_remarks(tmp_path)) == "remark      step 310: the loss has jumped [loss-spike]"
    with (tmp_path / "remarks.jsonl").open("a") as file:
        file.write('{"step": 1313, "code": "loss-spike-over", "words": "it is back"}\n{"step": 13')
    found = remark_line(read_remarks(tmp_path))
    assert found == "remark      step 1,313: it is back [loss-spike-over] (1 more in remarks.jsonl)"
