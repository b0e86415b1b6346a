"""`batchwright probe` with real jobs, and what `batchwright plan` makes of the measurement."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from launcher.cli.main import main
from launcher.errors import Problem

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BAD = ROOT / "tests" / "loading" / "bad"
QUICKSTART = ROOT / "recipes" / "quickstart"
LEFT_BEHIND = {".batchwright", "__pycache__"}
MIB = 2**20
LIMIT = 1000 * MIB
RECIPE = """\
global_batch_size: BATCH
sequence_length: 16
hidden_size: 64
model: {num_layers: 1, vocab_size: 32}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch:
  script: uneven.py
  args: [MORE"--micro", "{micro_batch_size}", "--accumulation", "{gradient_accumulation_steps}"]
"""


class Ran(NamedTuple):
    """One command of ours, run in this process."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def batchwright(*words):
    out, err = io.StringIO(), io.StringIO()
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    code = main(words, environ=environ, stdout=out, stderr=err)
    return Ran(code, out.getvalue(), err.getvalue())


def put_recipe(folder, *, batch=16, more=""):
    folder.mkdir(exist_ok=True)
    for name in ("uneven.py", "sizes.py"):
        shutil.copy(HERE / "scripts" / name, folder / name)
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.replace("BATCH", str(batch)).replace("MORE", more))
    return recipe


def left_of(folder):
    """Processes whose run folder lies in `folder`, or that were started in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.path.realpath(entry / "cwd").startswith(str(folder)):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A recipe that was probed, and what the probe printed."""
    recipe = put_recipe(tmp_path_factory.mktemp("probed").resolve())
    ran = batchwright("probe", str(recipe), "--limit", "1000MiB", "--json")
    assert ran.code == 0, ran.err
    return recipe, ran


@pytest.mark.real
def test_one_rank_out_of_memory_is_all_out_of_memory(probed):
    """Micro-batch 8 really fails, on rank 1 alone; 4 fits; the answer holds for every rank."""
    recipe, ran = probed
    found = ran.json
    trials = {trial["micro_batch_size"]: trial for trial in found["trials"]}
    assert list(trials) == [8, 4]  # the model knows of small rows only, and 8 is its guess
    assert trials[8]["outcome"] == "out-of-memory"
    assert trials[8]["words"].startswith("rank 1: RuntimeError")
    assert "DefaultCPUAllocator" in trials[8]["words"]
    assert trials[4]["outcome"] == "fits"
    assert (found["max_micro_batch_size"], found["gradient_accumulation_steps"]) == (4, 2)
    assert found["limit_bytes"] == LIMIT
    assert left_of(recipe.parent) == []


@pytest.mark.real
def test_every_rank_records_its_own_peak(probed):
    """Rank 1 holds some 20 tensors of 4 x 26 MiB less what is freed in between; rank 0 little beyond the libraries."""
    _, ran = probed
    (fits,) = [trial for trial in ran.json["trials"] if trial["outcome"] == "fits"]
    small, large = (rank["peak_bytes"] for rank in fits["peaks"])
    assert 100 * MIB < small < large <= LIMIT
    assert 300 * MIB < large - small < 700 * MIB
    assert [rank["rank"] for rank in fits["peaks"]] == [0, 1]


@pytest.mark.real
def test_the_measurement_lies_beside_the_recipe(probed):
    """One file, out of git's sight, with the hashes of the script and of what it imports from its folder."""
    recipe, ran = probed
    (file,) = (recipe.parent / ".batchwright" / "probe").glob("*.json")
    kept = json.loads(file.read_text())
    assert ran.json["file"] == str(file)
    assert kept == {key: ran.json[key] for key in kept}
    assert set(kept["code"]) == {"uneven.py", "sizes.py"}
    assert kept["made"].endswith("Z")
    assert set(kept["versions"]) >= {"python", "torch"}
    assert (recipe.parent / ".batchwright" / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in recipe.parent.iterdir() if path.name != "__pycache__") == [
        *(".batchwright", "recipe.yaml", "sizes.py", "uneven.py")
    ]


@pytest.mark.real
def test_the_plan_prefers_the_measurement(probed):
    """Micro-batch auto takes the largest that fitted; its peak is the measured one, and the plan says so."""
    recipe, ran = probed
    plan = batchwright("plan", str(recipe), "--json").json
    (fits,) = [trial for trial in ran.json["trials"] if trial["outcome"] == "fits"]
    memory = plan["memory"]
    assert plan["verdict"] == "fits"
    assert plan["batch"]["micro_batch_size"] == memory["max_micro_batch_size"] == 4
    assert memory["peak_bytes"] == memory["high_bytes"] == max(rank["peak_bytes"] for rank in fits["peaks"])
    assert memory["usable_bytes"] == LIMIT
    assert memory["evidence"] == f"probe of {ran.json['made'][:10]}, 2 trials"
    assert memory["predicted_bytes"] == fits["predicted_bytes"]
    assert sum(memory["components"].values()) == memory["peak_bytes"]
    for name in ("memory.peak_bytes", "memory.max_micro_batch_size", "batch.micro_batch_size"):
        assert plan["origins"][name]["origin"] == "measured"
    text = " ".join(batchwright("plan", str(recipe)).out.split())
    said = rf"from {memory['evidence']}; predicted [0-9.]+, measured [0-9.]+ [MG]iB: -[0-9.]+ %"
    assert re.search(said, text)
    refused = batchwright("plan", str(recipe), "--set", "micro_batch_size=8", "--json").json
    assert refused["verdict"] == "does-not-fit"
    assert batchwright("plan", str(recipe), "--set", "micro_batch_size=2", "--json").json["verdict"] == "fits"


@pytest.mark.real
def test_the_plan_reads_it_with_the_base_alone(probed):
    """An environment without torch plans by the measurement too."""
    python = Path(f"{sys.prefix}-base") / "bin" / "python"
    if not python.exists():
        pytest.skip("no base-only environment: `make test` builds one")
    recipe, _ = probed
    code = "import sys; from launcher.cli.main import main; sys.exit(main(sys.argv[1:]))"
    ran = subprocess.run(
        [python, "-c", code, "plan", str(recipe), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    assert json.loads(ran.stdout)["memory"]["evidence"].startswith("probe of ")


@pytest.mark.real
@pytest.mark.parametrize("name", ["uneven.py", "sizes.py"])
def test_an_edit_makes_it_stale(probed, name):
    """After an edit of the script, or of what it imports, the plan notes the measurement and does not use it."""
    recipe, ran = probed
    file = recipe.parent / name
    before = file.read_text()
    try:
        file.write_text(f"{before}\n# changed\n")
        plan = batchwright("plan", str(recipe), "--json").json
    finally:
        file.write_text(before)
    assert not plan["memory"]["evidence"].startswith("probe")
    assert plan["memory"]["predicted_bytes"] is None
    (note,) = [problem for problem in plan["problems"] if problem["code"] == "probe-stale"]
    text = f"{note['severity']}: {Problem(**note)}\n".replace(str(recipe.parent), "HERE")
    text = text.replace(ran.json["made"][:10], "DATE").replace(Path(ran.json["file"]).stem, "KEY")
    assert text.replace(name, "uneven.py") == (BAD / "probe-stale.txt").read_text()
    assert batchwright("plan", str(recipe), "--json").json["memory"]["evidence"].startswith("probe")


@pytest.mark.real
def test_another_setting_is_another_question(probed):
    """A measurement of other sizes is neither used nor called stale."""
    recipe, _ = probed
    plan = batchwright("plan", str(recipe), "--json", "--set", "sequence_length=32").json
    assert not plan["memory"]["evidence"].startswith("probe")
    assert "probe-stale" not in {problem["code"] for problem in plan["problems"]}


@pytest.mark.real
def test_the_table_is_readable(probed):
    """The answer comes first, and no line is longer than 100 characters."""
    from launcher.reporting.probe_text import ProbeResult, probe_text
    from launcher.spec.measurement import Measurement
    from launcher.spec.plain import from_plain

    _, ran = probed
    found = ProbeResult(
        measurement=from_plain(Measurement, ran.json),
        max_micro_batch_size=4,
        gradient_accumulation_steps=2,
        file=".batchwright/probe/0123456789abcdef.json",
    )
    lines = probe_text(found)
    assert lines[0] == "largest micro-batch that fits 1000 MiB for each process: 4, with accumulation 2"
    assert lines[2].split() == [
        "micro",
        "accumulation",
        "outcome",
        "peak",
        "GiB",
        "predicted",
        "GiB",
        "error",
        "seconds",
    ]
    assert [line.split()[:3] for line in lines[3:5]] == [["4", "2", "fits"], ["8", "1", "out"]]
    assert max(map(len, lines)) <= 100
    assert "trial 2  micro 4 x 2 accumulation: fits, peak 0." in ran.err


@pytest.mark.real
def test_another_failure_stops_the_probe(tmp_path):
    """An error of the script on one rank is no lack of memory: nothing is measured, and its own words are shown."""
    recipe = put_recipe(tmp_path, batch=2, more='"--fail-at", "2", ')
    ran = batchwright("probe", str(recipe), "--limit", "2GiB", "--steps", "2")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.replace(str(tmp_path), "HERE") == (BAD / "probe-failed.txt").read_text()
    assert not (tmp_path / ".batchwright").exists()


@pytest.mark.real
def test_a_script_that_ends_too_soon(tmp_path):
    """A job without the optimizer steps that were asked for measures nothing."""
    recipe = put_recipe(tmp_path, batch=2, more='"--steps", "1", ')
    ran = batchwright("probe", str(recipe), "--limit", "2GiB")
    assert ran.code == 1
    assert ran.err.replace(str(tmp_path), "HERE") == (BAD / "probe-no-steps.txt").read_text()


def probe_quickstart(folder, *words):
    """One trial, at the micro-batch that takes a rank's whole share."""
    shutil.copytree(QUICKSTART, folder, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    return batchwright(
        *("probe", str(folder / "cpu-1x2.yaml"), "--limit", "2GiB", "--steps", "2", "--json"),
        *("--set", "global_batch_size=4", *words),
    )


@pytest.mark.real
def test_a_training_loop_of_the_runtime_is_probed_too(tmp_path):
    """The quickstart ends after the steps that were asked for, with every rank's peak; nothing is saved."""
    ran = probe_quickstart(tmp_path / "quickstart")
    assert ran.code == 0, ran.err
    (trial,) = ran.json["trials"]
    assert (trial["micro_batch_size"], trial["outcome"]) == (2, "fits")
    assert len(trial["peaks"]) == 2
    assert ran.json["steps"] == 2
    assert set(ran.json["code"]) == {"train.py"}
    here = {path.name for path in (tmp_path / "quickstart").iterdir()}
    assert here - {".batchwright"} == {path.name for path in QUICKSTART.iterdir()} - LEFT_BEHIND


@pytest.mark.real
@pytest.mark.full
@pytest.mark.parametrize("engine", ["accelerate", "deepspeed"])
def test_the_other_engines(tmp_path, engine):
    """A probe under Accelerate and DeepSpeed measures as under torchrun."""
    ran = probe_quickstart(tmp_path / engine, "--set", f"launch.engine={engine}")
    assert ran.code == 0, ran.err
    (trial,) = ran.json["trials"]
    assert trial["outcome"] == "fits"
    assert {"torch", engine} <= set(ran.json["versions"])
