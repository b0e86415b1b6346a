"""The quickstart trains under every engine, by its rendered command alone, and the same each time."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.api import render

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "cpu-1x2.yaml"
RAMP = RECIPE.with_name("ramp-1x2.yaml")
ENGINES = ("torchrun", "accelerate", "deepspeed")
STEPS = 12


def train(engine, folder, environ, *, path=RECIPE, changes=(f"schedule.length={STEPS} steps",)):
    """Runs the rendered command in a folder of its own."""
    changes = (*changes, f"launch.engine={engine}", "evaluation.every=6 steps")
    recipe = load_recipe(path, overrides=[*changes, f"launch.python={sys.executable}"])
    plan = make_plan(recipe)
    bundle = render(recipe, plan).placed(str(folder))
    for name, text in {**bundle.files, "plan.json": json.dumps(plan.to_dict())}.items():
        (folder / name).write_text(text)
    (command,) = bundle.commands
    job = subprocess.Popen(
        command.argv,
        cwd=plan.launch.workdir,
        env={**environ, **command.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        words, _ = job.communicate(timeout=240)  # DeepSpeed's first start compiles an operator
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == 0, words
    return words


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.real
def test_the_quickstart_under_every_engine(tmp_path, job_environ):
    """Loss falls from ln(96); every engine leaves the same losses, validation losses and a checkpoint."""
    losses, validation = {}, {}
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        words = train(engine, folder, job_environ)
        assert "world   2 of 2 ranks agree" in words
        assert f"step {STEPS}/{STEPS}  validation loss" in words
        losses[engine] = [entry["loss"] for entry in lines_of(folder / "log.jsonl")]
        validation[engine] = [entry["validation_loss"] for entry in lines_of(folder / "evaluation.jsonl")]
        assert list((folder / "checkpoints").iterdir())
    assert losses["torchrun"][0] == pytest.approx(math.log(96), abs=0.1)
    assert losses["torchrun"][-1] < 3.6
    assert len(losses["torchrun"]) == STEPS
    assert len(validation["torchrun"]) == 2
    for engine in ENGINES:
        assert losses[engine] == pytest.approx(losses["torchrun"], rel=1e-3)
        assert validation[engine] == pytest.approx(validation["torchrun"], rel=1e-3)


@pytest.mark.real
def test_the_ramp_under_every_engine(tmp_path, job_environ):
    """4 steps of 8 sequences, 4 of 16, 5 of 32: every engine leaves the same losses and says when a stage begins."""
    stages = "{until: 32 samples, global_batch_size: 8}, {until: 96 samples, global_batch_size: 16}, {}"
    changes = (f"stages=[{stages}]", "schedule.length=256 samples")
    logs = {}
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        words = train(engine, folder, job_environ, path=RAMP, changes=changes)
        assert "stage 2 of 3 from sample 32: 16 sequences = 8 x 1 x 2" in words
        assert "stage 3 of 3 from sample 96: 32 sequences = 8 x 2 x 2" in words
        logs[engine] = lines_of(folder / "log.jsonl")
    log = logs["torchrun"]
    assert [entry["samples"] for entry in log] == [8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256]
    assert log[0]["loss"] == pytest.approx(math.log(96), abs=0.1)
    for name in ("loss", "learning_rate", "weight", "stage"):
        for engine in ENGINES:
            found, expected = ([entry[name] for entry in logs[each]] for each in (engine, "torchrun"))
            assert found == pytest.approx(expected, rel=1e-3)


def test_the_quickstart_is_short():
    """A first example is read in one sitting."""
    script = RECIPE.with_name("train.py").read_text().splitlines()
    assert len(script) < 145
    assert max(map(len, script)) <= 110
