"""The small systems: what their scripts build is what their recipes describe, and each trains here on two ranks."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.api import load_recipe, plan
from launcher.loading.headers import read_header

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
BUILDS = {
    "char-rnn": lambda script, made: script.CharacterModel(made.model),
    "classifier": lambda script, made: script.Classifier(made.model),
    "forecaster": lambda script, made: script.Forecaster(made.model),
    "regression": lambda script, made: script.Regression(made.model),
    "small-moe": lambda script, made: script.LanguageModel(made),
    "summarizer": lambda script, made: script.Summarizer(made),
}
TRAINED = [path for name in BUILDS for path in sorted((RECIPES / name).glob("*.yaml")) if path.stem != "16gb"]
CNN = RECIPES / "batch-norm-cnn/cpu-1x2.yaml"
GIB = 2**30


def planned(path, *changes):
    return plan(load_recipe(path, overrides=changes), environ={}, measured=False)


def script_of(folder):
    """A recipe's train.py as a module."""
    name = f"train_{folder.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, folder / "train.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.mark.torch
@pytest.mark.parametrize("path", TRAINED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_script_builds_what_the_recipe_describes(path):
    """Parameters one by one, their bytes, and two numbers of Adam's for each: exactly the plan's."""
    import torch

    made = planned(path)
    with torch.device("meta"):
        model = BUILDS[path.parent.name](script_of(path.parent), made)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert made.model.num_parameters == count
    parts = made.memory.components
    assert parts["parameters"] == 4 * count
    assert parts["optimizer_states"] == 2 * 4 * count


@pytest.mark.real
def test_the_traced_cnn_has_the_parameters_of_its_script(tmp_path):
    """A trace of `train:build` counts what the module has; without one the plan knows no number."""
    for name in ("cpu-1x2.yaml", "train.py"):
        (tmp_path / name).write_text((CNN.parent / name).read_text())
    assert planned(tmp_path / CNN.name).model.num_parameters is None
    code, words = batchwright("trace", tmp_path / CNN.name)
    assert code == 0, words
    made = planned(tmp_path / CNN.name)
    # three convolutions of 3 x 3 without bias, scale and shift of each batch norm, one linear layer
    count = 9 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 64 * 10 + 10
    assert made.model.num_parameters == count
    assert made.memory.components["parameters"] == 4 * count
    # SGD keeps one number of momentum for each
    assert made.memory.components["optimizer_states"] == 4 * count


def test_the_three_batches_of_the_mixture_take_the_same_memory():
    """Activations go by tokens, 26,624 or 24,576 of them; where attention keeps its scores they are far from equal."""
    sizes = {"26x1024": 26_624, "6x4096": 24_576, "104x256": 26_624}
    paths = {name: RECIPES / f"small-moe/rtx-4090-1x1-{name}.yaml" for name in sizes}
    made = {name: planned(path) for name, path in paths.items()}
    assert {name: each.batch.tokens_per_step for name, each in made.items()} == sizes
    bytes_of = {name: each.memory.components["activations"] for name, each in made.items()}
    per_token = [bytes_of[name] / sizes[name] for name in sizes]
    assert max(per_token) / min(per_token) < 1.01
    eager = {
        name: planned(path, "attention=eager").memory.components["activations"]
        for name, path in paths.items()
    }
    assert eager["6x4096"] > 2 * eager["26x1024"] > 3 * eager["104x256"] * 0.9
    for name, path in paths.items():
        head = read_header(path.read_text())
        words = " ".join(head.arithmetic)
        assert f"activations {bytes_of[name] / GIB:.1f} GiB" in words
        assert f"it is {eager[name] / GIB:.1f} GiB" in words
        assert made[name].verdict == "fits"


def test_the_mixture_keeps_the_published_batches_at_an_eighth_of_the_length():
    """The same numbers of sequences, an eighth of length and width: attention's scores are the same share, s / 8d."""
    for big, small in (("26x1024", "26x128"), ("6x4096", "6x512"), ("104x256", "104x32")):
        one = planned(RECIPES / f"small-moe/rtx-4090-1x1-{big}.yaml")
        other = planned(RECIPES / f"small-moe/cpu-1x2-{small}.yaml")
        assert one.batch.global_batch_size == other.batch.global_batch_size
        shares = [each.batch.sequence_length / (8 * each.model.hidden_size) for each in (one, other)]
        assert shares[0] == shares[1]
        assert other.learning_rate.total_steps * other.batch.tokens_per_step == 2_555_904


def test_the_two_recurrent_networks_keep_the_same_activations():
    """Half the width, twice the batch: the recurrent layer keeps as much, and both read the same characters."""
    both = [planned(RECIPES / f"char-rnn/cpu-1x2-hidden-{width}.yaml") for width in (1024, 2048)]
    kept = [made.batch.tokens_per_step * made.model.hidden_size for made in both]
    read = [made.learning_rate.total_steps * made.batch.tokens_per_step for made in both]
    assert kept[0] == kept[1]
    assert read == [327_680, 327_680]


def test_the_split_of_batch_norm_is_named():
    """The CNN's plans name batch norm; 2 images to a forward pass are warned of, 32 are not."""
    codes = {
        name: {problem.code: problem.severity for problem in planned(CNN.with_name(name)).problems}
        for name in ("cpu-1x2.yaml", "cpu-1x2-micro-2.yaml")
    }
    assert all(found["split-dependent"] == "note" for found in codes.values())
    assert codes["cpu-1x2-micro-2.yaml"]["batch-norm-small"] == "warning"
    assert codes["cpu-1x2-micro-2.yaml"]["batch-norm-accumulates"] == "warning"
    assert "batch-norm-small" not in codes["cpu-1x2.yaml"]
    hashes = {planned(CNN.with_name(name)).semantics_hash for name in codes}
    assert len(hashes) == 2


def test_the_summarizer_says_its_ways_out():
    """The header of the recipe that does not fit has the numbers of today's plan."""
    path = RECIPES / "summarizer/16gb.yaml"
    made = planned(path)
    words = " ".join(read_header(path.read_text()).arithmetic)
    memory = made.memory
    assert made.verdict == "does-not-fit"
    assert f"{memory.peak_bytes / GIB:.1f} GiB, worst {memory.high_bytes / GIB:.1f}" in words
    assert f"leaves {memory.usable_bytes / GIB:.1f}" in words
    for way in made.alternatives:
        assert f"{way.change}: {way.memory['peak_bytes'] / GIB:.1f} GiB" in words


def test_all_patients_in_every_step_leave_one_slot_idle():
    """353 is prime: two ranks have 354 slots, and the rate is scaled further than was published."""
    made = planned(RECIPES / "regression/cpu-1x2-batch-353.yaml")
    assert (made.batch.slots_per_step, made.batch.idle_slots) == (354, 1)
    assert "scaled-far" in {problem.code for problem in made.problems}
    assert made.learning_rate.peak_learning_rate == pytest.approx(1e-3 * (353 / 8) ** 0.5)


def test_scripts_are_short():
    """A script that people copy is read in one sitting."""
    for path in {path.with_name("train.py") for path in (*TRAINED, CNN)}:
        lines = path.read_text().splitlines()
        assert len(lines) < 130
        assert max(map(len, lines)) <= 120


SYSTEMS = [
    ("batch-norm-cnn/cpu-1x2", "torchrun", 30, 0.85),
    ("classifier/cpu-1x2", "accelerate", 200, 0.85),
    ("forecaster/cpu-1x2", "torchrun", 40, 0.75),
    ("regression/cpu-1x2-batch-64", "torchrun", 30, 0.85),
    ("char-rnn/cpu-1x2-hidden-1024", "torchrun", 8, 0.9),
    ("small-moe/cpu-1x2-26x128", "torchrun", 8, 0.9),
    ("summarizer/cpu-1x2", "torchrun", 8, 0.9),
    ("batch-norm-cnn/cpu-1x2-micro-2", "torchrun", 80, 0.9),
    ("char-rnn/cpu-1x2-hidden-2048", "torchrun", 6, 0.95),
    ("classifier/cpu-1x2", "deepspeed", 200, 0.85),
    ("classifier/cpu-1x2", "torchrun", 200, 0.85),
    ("regression/cpu-1x2-batch-64", "deepspeed", 30, 0.85),
    ("regression/cpu-1x2-batch-353", "accelerate", 30, 0.85),
    ("regression/cpu-1x2-batch-8", "torchrun", 60, 0.85),
    ("small-moe/cpu-1x2-104x32", "torchrun", 8, 0.9),
    ("small-moe/cpu-1x2-6x512", "torchrun", 8, 0.9),
]
EVERY_CHANGE = 7


def _marked(number, case):
    return pytest.param(
        *case, id=f"{case[0]}-{case[1]}", marks=[pytest.mark.full] if number >= EVERY_CHANGE else []
    )


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "engine", "steps", "share"), [_marked(number, case) for number, case in enumerate(SYSTEMS)]
)
def test_it_trains(name, engine, steps, share, tmp_path):
    """A few steps on two ranks by the command of its header: the loss falls to a share of its first, nothing is left."""
    path, folder = RECIPES / f"{name}.yaml", tmp_path / "run"
    assert read_header(path.read_text()).verified == "run"
    changes = [f"launch.engine={engine}", f"schedule.length={steps} steps", f"evaluation.every={steps} steps"]
    words = [word for change in (*changes, f"launch.python={sys.executable}") for word in ("--set", change)]
    code, printed = batchwright("run", path, "--no-selftest", "--no-preflight", "--run-dir", folder, *words)
    assert code == 0, printed
    assert "world   2 of 2 ranks agree" in printed
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert len(losses) == steps
    last_quarter = losses[-(steps // 4) :]
    assert sum(last_quarter) / len(last_quarter) < share * losses[0]
    (last,) = (json.loads(line) for line in (folder / "evaluation.jsonl").read_text().splitlines())
    assert last["validation_loss"] < losses[0]
    assert left(folder) == []


def batchwright(*words):
    """Exit code and output of a command, which goes with its whole process group."""
    code = "from launcher.cli.main import main; raise SystemExit(main())"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as job:
        try:
            printed, _ = job.communicate(timeout=240)  # DeepSpeed's first start compiles an operator
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGTERM)  # the launcher ends its ranks
            printed, _ = job.communicate(timeout=60)
        return job.returncode, printed


def left(folder):
    """Processes of a run that still live."""
    mark = f"BATCHWRIGHT_RUN={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found
