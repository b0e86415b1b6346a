"""`batchwright rehearse` with real jobs of two ranks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

MIB = 2**20
MESSAGES = Path(__file__).parent / "messages"


@pytest.mark.real
def test_the_quickstart_is_rehearsed_and_then_run(place):
    """All parts pass, with numbers; nothing of the rehearsal stays, and only then the long run starts."""
    recipe = place.quickstart()
    long_run = ("--run-dir", place.folder / "run", "--set", "schedule.length=4 steps")
    ran = place.batchwright("run", recipe, "--rehearse", *long_run, "--set", "checkpoint.directory=mine")
    assert ran.code == 0, ran.err
    before, _, after = ran.err.partition("passed in ")
    rows = {line[:18].strip(): line.split()[-1] for line in before.splitlines() if line.endswith("passed")}
    assert set(rows) == {
        *("longest batch", "optimizer steps", "evaluation", "save", "reload", "step 3 again"),
        *("memory of a rank", "memory of a node"),
    }
    assert "65 long; shortest 65, of 4096 samples" in before
    assert re.search(r"save +after step 2 +64\.pt, 4\.\d MiB", before)
    once, again = re.search(r"loss ([\d.]+) and ([\d.]+) ", before).groups()
    assert once == again
    assert re.search(r"reload +from step 2 +every bit, in", before)
    assert "run     " in after  # the run's own header comes later
    steps = [
        json.loads(line)["step"] for line in (place.folder / "run" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3, 4]
    assert [path.name for path in (place.folder / "run" / "mine").iterdir()] == ["128.pt"]
    assert sorted(path.name for path in place.folder.iterdir()) == ["q", "run"]
    known = json.loads((recipe.parent / ".batchwright" / "versions.json").read_text())
    assert set(known["cpu-1x2.yaml"]) >= {"torch"}
    assert place.left() == []


@pytest.mark.real
def test_an_optimizer_that_is_not_restored_is_caught(place):
    """The loss of the next step would be the same: it is the optimizer's state that tells. No run follows."""
    recipe = place.quickstart(without='optimizer.load_state_dict(state["optimizer"])', instead="pass")
    ran = place.batchwright("run", recipe, "--rehearse")
    assert ran.code == 78
    said = ran.err[ran.err.index(str(recipe)) :]
    (kept,) = (place.folder / "runs").iterdir()
    told = said.replace(str(kept), "KEPT").replace(str(place.folder), "HERE")
    assert told == (MESSAGES / "rehearsal-failed.txt").read_text()
    assert (kept / "start-1" / "checkpoints" / "64.pt").exists()
    assert place.left() == []


@pytest.mark.real
def test_what_cannot_be_rehearsed_is_said(place):
    """A script without the runtime, evaluation, save or resume: two steps and memory are all that passes."""
    ran = place.batchwright("rehearse", place.ragged(), "--json")
    assert ran.code == 0, ran.err
    parts = {part["name"]: part for part in ran.json["parts"]}
    not_rehearsed = {name for name, part in parts.items() if part["verdict"] == "not rehearsed"}
    assert not_rehearsed == {"longest batch", "evaluation", "save", "reload"}
    assert all(parts[name]["words"] for name in not_rehearsed)
    assert parts["optimizer steps"]["verdict"] == "passed"
    assert 100 * MIB < ran.json["peak_bytes"] < 2000 * MIB
    assert ran.json["host_bytes"] > 1.5 * ran.json["peak_bytes"]
    assert ran.json["passed"] is True
    assert ran.json["folder"] is None


@pytest.mark.real
def test_a_job_that_fails_is_named_by_its_step(place):
    """The rank's own words, and the step, in the row of what failed; the exit code is 1."""
    broken = "run.backward(model(micro.batch), micro); 1 / (step.number < 2)"
    recipe = place.quickstart(without="run.backward(model(micro.batch), micro)", instead=broken)
    ran = place.batchwright("rehearse", recipe)
    assert ran.code == 1
    assert re.search(r"^optimizer steps +2 +1, loss 4\.\d+ +failed$", ran.out, re.MULTILINE)
    assert re.search(r"^failed: optimizer steps: step 2: rank \d: ZeroDivisionError", ran.out, re.MULTILINE)
    assert re.search(r"^failed after \d+.* s: optimizer steps; kept in ", ran.out, re.MULTILINE)
