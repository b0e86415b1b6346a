"""What is said of a run on two real ranks, under each engine: while it trains, at its end, and by status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

SCRIPT = Path(__file__).parent / "scripts" / "mishaps.py"
RECIPE = f"""\
global_batch_size: 12
hidden_size: 64
model: {{kind: mlp, num_layers: 1, input_size: 4, output_size: 1}}
data: {{num_samples: 5000}}
optimizer: {{name: sgd, learning_rate: 1e-3, gradient_clipping: 1.0}}
schedule: {{length: 260 steps}}
loss: {{weighting: samples}}
cluster: {{nodes: 1, devices_per_node: 2, device: cpu}}
launch: {{script: {SCRIPT}, runtime: true, timeouts: {{grace: 5 s}}}}
"""


def batchwright(folder, *words, environ):
    """Output of a command, which is asked to end, with all it started, after three minutes."""
    command = [str(Path(sys.executable).with_name("batchwright")), *words]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            text, _ = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            text, _ = process.communicate(timeout=30)
        return process.returncode, text


@pytest.mark.parametrize(
    ("engine", "stage", "knows_the_norm"),
    [("torchrun", None, True), ("accelerate", None, True), ("deepspeed", 0, False), ("deepspeed", 2, True)],
)
def test_what_moves_is_named_on_real_ranks(tmp_path, job_environ, engine, stage, knows_the_norm):
    """One jump and the worse validation, each once, by rank 0 alone; the norm, where the engine keeps one."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    environ = {**job_environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [f"--set=launch.engine={engine}"]
    words += [f"--set=parallel.data={{strategy: zero, stage: {stage}}}"] if stage else []
    code, text = batchwright(
        tmp_path, "run", "recipe.yaml", "--run-dir", "run", "--no-selftest", *words, environ=environ
    )
    assert code == 0, text
    kept = [json.loads(line) for line in (tmp_path / "run" / "remarks.jsonl").read_text().splitlines()]
    found = [(each["step"], each["code"]) for each in kept if each["code"] != "norm-unknown"]
    assert found == [
        (150, "loss-spike"),
        (154, "loss-spike-over"),
        (220, "validation-worse"),
        (220, "gap-wider"),
        (260, "validation-worse"),  # and as much again
        (260, "gap-wider"),
    ], text
    assert [each["code"] == "norm-unknown" for each in kept][:1] == [not knows_the_norm]
    said = [line for line in text.splitlines() if "remark  step" in line]
    assert len(said) == len(kept), text
    steps = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {step["clipped"] for step in steps} == ({False} if knows_the_norm else {None})
    evaluations = (tmp_path / "run" / "evaluation.jsonl").read_text().splitlines()
    assert json.loads(evaluations[0])["gap"] == pytest.approx(0.1, abs=0.05)
    [health] = [line for line in text.splitlines() if line.startswith("health")]
    assert health.startswith("health  1 jump of the loss (step 150), ")
    assert ("0.0 % of steps clipped" in health) == knows_the_norm
    assert health.endswith("validation got worse (steps 220, 260), the gap widened (steps 220, 260)")
    status = batchwright(tmp_path, "status", "run", environ=environ)[1]
    assert "remark      step 260: validation - training loss " in status
