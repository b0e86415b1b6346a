"""A run in parts trains what the same run trains in one job: other ranks, ZeRO stages and recomputation on the way."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

QUICKSTART = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "train.py"
NOTES = """\
def note(step, micro):
    import os

    if checkpoint_given and Path("broken").exists():
        raise SystemExit(9)
    with open(f"{os.environ['BATCHWRIGHT_RUN']}/read.jsonl", "a") as file:
        file.write(f"[{step.number}, {list(micro.indices)}]\\n")


def main():
"""
RECIPE = """\
name: parts
global_batch_size: 16
sequence_length: 32
hidden_size: 32
model: {{num_layers: 1, num_attention_heads: 2, vocab_size: 96, tie_word_embeddings: false}}
optimizer: {{name: adamw, learning_rate: 2e-3, gradient_clipping: 1.0}}
schedule: {{warmup: 5 %, decay: cosine, length: 256 samples}}
stages:
  - {{until: 64 samples, global_batch_size: 8{first}}}
  - {{until: 128 samples, global_batch_size: 16{second}}}
  - {{global_batch_size: 16{third}}}
cluster: {{nodes: 1, devices_per_node: 2, device: cpu}}
launch: {{script: train.py, runtime: true, engine: {engine}, timeouts: {{grace: 5 s}}}}
evaluation: {{every: 400 steps}}
checkpoint: {{every: 400 steps}}
resume: {{args: ["--resume", "{{latest_checkpoint}}"]}}
"""
ALONE = ", cluster: {devices_per_node: 1}, activation_checkpointing: full"


def zero(stage):
    return f", parallel: {{data: {{strategy: zero, stage: {stage}}}}}"


def run(folder, *words, expected=0):
    """What `batchwright run` says; after three minutes its whole group is ended."""
    program = Path(sys.executable).with_name("batchwright")
    job = subprocess.Popen(
        [program, "run", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = job.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGTERM)
        said, _ = job.communicate(timeout=30)
    assert job.returncode == expected, said
    return said


def steps_of(*folders):
    """By step, over all folders: loss, rate, samples and stage of the log, and the samples that all ranks read."""
    entries = [
        json.loads(line) for folder in folders for line in (folder / "log.jsonl").read_text().splitlines()
    ]
    read = {}
    for folder in folders:
        for line in (folder / "read.jsonl").read_text().splitlines():
            number, indices = json.loads(line)
            read[number] = sorted([*read.get(number, []), *indices])
    assert [entry["step"] for entry in entries] == list(range(1, len(entries) + 1))
    return entries, [read[entry["step"]] for entry in entries]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The quickstart's script, which also keeps what it reads and can be made to fail, and a run in one job."""
    place = tmp_path_factory.mktemp("parts")
    script = QUICKSTART.read_text().replace("def main():\n", NOTES)
    script = script.replace(
        "            run.backward(", "            note(step, micro)\n            run.backward("
    )
    script = script.replace(
        "    plan = runtime.read_plan()\n",
        "    globals()['checkpoint_given'] = checkpoint\n    plan = runtime.read_plan()\n",
    )
    (place / "train.py").write_text(script)
    write(place, "whole")
    run(place, "whole.yaml", "--run-dir", "WHOLE")
    return place


def write(place, name, *, engine="torchrun", first="", second="", third=""):
    text = RECIPE.format(engine=engine, first=first, second=second, third=third)
    (place / f"{name}.yaml").write_text(text)


def same_training(found, whole):
    """Order, rates, samples and stages are equal to the last bit, losses as far as sums of fp32 are."""
    (entries, read), (expected, expected_read) = found, whole
    assert read == expected_read
    for name in ("learning_rate", "samples", "stage", "weight"):
        assert [entry[name] for entry in entries] == [entry[name] for entry in expected]
    losses = [entry["loss"] for entry in expected]
    assert [entry["loss"] for entry in entries] == pytest.approx(losses, rel=1e-5)


def test_fewer_ranks_after_a_stop(folder):
    """Two ranks, then one; the second part fails, the command that was printed goes on, and nothing tells the difference."""
    write(folder, "fewer", second=ALONE, third=ALONE)
    (folder / "broken").touch()
    said = run(folder, "fewer.yaml", "--run-dir", "FEWER", expected=9)
    (folder / "broken").unlink()
    assert "part    1 of 2: stage 1, steps 1 to 8\n" in said
    assert "part    2 of 2: stages 2 to 3, steps 9 to 20; other activation_checkpointing, cluster\n" in said
    assert "parts   1 of 2 done, part 2 was not\n" in said
    (command,) = re.findall(r"next    batchwright run (.*)", said)
    assert command == "fewer.yaml --stage 2 --resume FEWER"
    run(folder, *shlex.split(command), "--run-dir", "REST")
    assert json.loads((folder / "REST" / "plan.json").read_text())["layout"]["world_size"] == 1
    same_training(steps_of(folder / "FEWER", folder / "REST"), steps_of(folder / "WHOLE"))


def test_other_zero_stages_under_deepspeed(folder):
    """ZeRO 1, then 2 for the rest, from DeepSpeed's own checkpoint: one command, and the losses of torchrun."""
    write(folder, "zero", engine="deepspeed", first=zero(1), second=zero(2), third=zero(2))
    said = run(folder, "zero.yaml", "--run-dir", "ZERO")
    assert "stage 3 of 3 from sample 128" in said
    stages = [
        json.loads((folder / name / "deepspeed.json").read_text())["zero_optimization"]["stage"]
        for name in ("ZERO", "ZERO-part2")
    ]
    assert stages == [1, 2]
    same_training(steps_of(folder / "ZERO", folder / "ZERO-part2"), steps_of(folder / "WHOLE"))
