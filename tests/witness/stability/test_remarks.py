"""RUN/remarks.jsonl: kept whole, shown while it is not too much, and known again after a resume."""

from __future__ import annotations

import json

from batchwright_witness.stability.remarks import Remarks
from batchwright_witness.stability.watching import Stability


def entry(step, **changes):
    return {"step": step, "loss": 2.0, "gradient_norm": 0.5, "skipped": False, **changes}


def remarks_of(folder, said, *, resumed=False, max_norm=None):
    return Remarks(folder, stability=Stability(max_norm=max_norm), say=said.append, resumed=resumed)


def kept(folder):
    return [json.loads(line) for line in (folder / "remarks.jsonl").read_text().splitlines()]


def jumps(remarks, *, first, count, every=200):
    for step in range(first, first + count * every):
        remarks.step(entry(step, loss=5.0 if step % every == 150 else 2.0 + step % 7 / 100))


def test_what_is_said_is_kept(tmp_path):
    """One line on stdout, one object in the file."""
    said = []
    jumps(remarks_of(tmp_path, said), first=1, count=1)
    assert [each["code"] for each in kept(tmp_path)] == ["loss-spike", "loss-spike-over"]
    assert said[0].startswith("remark  step 150: the loss has jumped to 5, ")
    assert said[0].endswith("[loss-spike]")


def test_the_eleventh_of_a_kind_is_only_kept(tmp_path):
    """A training that jumps all the time does not fill the screen; numbers 20 and 40 are shown again."""
    said = []
    jumps(remarks_of(tmp_path, said), first=1, count=40)
    spikes = [line for line in said if line.startswith("remark") and "[loss-spike]" in line]
    assert len([each for each in kept(tmp_path) if each["code"] == "loss-spike"]) == 40
    assert len(spikes) == 12
    assert spikes[-1].endswith("(40 of these by now; all in remarks.jsonl)")


def test_a_fresh_run_begins_its_remarks_anew(tmp_path):
    """As it does its log; a resumed one goes on with them."""
    jumps(remarks_of(tmp_path, []), first=1, count=1)
    jumps(remarks_of(tmp_path, [], resumed=True), first=201, count=1)
    assert len(kept(tmp_path)) == 4
    remarks_of(tmp_path, [])
    assert not (tmp_path / "remarks.jsonl").exists()


def test_a_resumed_run_knows_what_went_before(tmp_path):
    """Its first step is held against the log, and nothing of the log is said again."""
    steps = [entry(step, loss=9.0 if step == 50 else 2.0 + step % 7 / 100) for step in range(1, 101)]
    lines = [json.dumps(each) for each in steps] + ["{half a li"]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    said = []
    remarks = remarks_of(tmp_path, said, resumed=True)
    assert said == []
    remarks.step(entry(101, loss=4.0))
    assert [line.split()[2] for line in said] == ["101:"]


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path):
    """The training is worth more than what is said of it."""
    said = []
    jumps(remarks_of(tmp_path / "absent", said), first=1, count=1)
    assert len(said) == 2


def test_another_stage_begins_afresh(tmp_path):
    """The log names the stage where there are several."""
    said = []
    remarks = remarks_of(tmp_path, said)
    for step in range(1, 400):
        stage = 1 + (step > 200)
        remarks.step(entry(step, loss=stage * 2.0 + step % 7 / 100, stage=stage))
    assert said == []


def test_an_evaluation_gets_its_gap(tmp_path):
    """Against the training losses before it."""
    remarks = remarks_of(tmp_path, [])
    for step in range(1, 21):
        remarks.step(entry(step))
    found = remarks.evaluation({"step": 20, "samples": 240, "validation_loss": 2.5})
    assert found == {"training_loss": 2.0, "gap": 0.5}
