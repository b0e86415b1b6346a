"""`batchwright run` where another stack owns the schedule: whole jobs, every rate of the log the plan's curve."""

import json
import os
import sys
from pathlib import Path

import pytest
from rank_jobs import run_group

from launcher.planning.schedulers.drawing import compiled_rate
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / "tests/witness/scripts/hf_trainer.py"
QUICKSTART = ROOT / "recipes/quickstart/cpu-1x2.yaml"

RECIPE = """\
global_batch_size: 8
sequence_length: 16
hidden_size: 64
micro_batch_size: 2
gradient_accumulation_steps: 2
optimizer: {learning_rate: 1e-3, gradient_clipping: 1.0}
schedule: {warmup: 4 steps, decay: linear, length: 12 steps, owner: engine:WarmupDecayLR}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch:
  engine: deepspeed
  script: train.py
  args: ["{deepspeed_config}", "{peak_learning_rate}"]
  timeouts: {grace: 10 s}
"""
SCRIPT = """\
import sys
import deepspeed
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # it would have to be compiled
deepspeed.init_distributed()
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=float(sys.argv[2]))
OWN
engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=sys.argv[1], lr_scheduler=scheduler)
data = TensorDataset(torch.ones(96, 4))
loader = DataLoader(data, batch_size=2, sampler=DistributedSampler(data))
for (batch,) in loader:
    engine.backward(engine(batch).sum())
    engine.step()
"""
LOGARITHMIC = (
    "from deepspeed.runtime.lr_schedules import WarmupDecayLR\n"
    "scheduler = WarmupDecayLR(optimizer, total_num_steps=12, warmup_max_lr=1e-3, warmup_num_steps=4)"
)


def run(folder, recipe, *overrides, seconds=240):
    """Exit code and output of the command; the run's folder is folder/run."""
    command = [
        str(Path(sys.executable).with_name("batchwright")),
        "run",
        str(recipe),
        "--run-dir",
        str(folder / "run"),
    ]
    changes = [f"launch.python={sys.executable}", *overrides]
    for change in changes:
        command += ["--set", change]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return run_group(command, environ=environ, seconds=seconds)


def rates_of(folder):
    """Rates of the log, and the plan's curve, by optimizer step."""
    plan = from_plain(RunPlan, json.loads((folder / "run/plan.json").read_text()))
    lines = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    rates = plan.learning_rate
    used = [line["learning_rate"] for line in lines if "learning_rate" in line]
    steps = range(1, rates.total_steps + 1)
    curve = [compiled_rate(rates.compiled, peak=rates.peak_learning_rate, step=step) for step in steps]
    return used, curve, next((line["witness"] for line in lines if "witness" in line), None)


def follows(used, curve):
    return used == pytest.approx(curve, rel=1e-7, abs=1e-12)


def test_deepspeeds_own_schedule_under_the_witness(tmp_path):
    """The rendered file is all that the script has of the schedule; every step is the plan's, two behind the asked one."""
    (tmp_path / "train.py").write_text(SCRIPT.replace("OWN", "scheduler = None"))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    code, text = run(tmp_path, tmp_path / "recipe.yaml")
    assert code == 0, text
    used, curve, witness = rates_of(tmp_path)
    assert len(used) == 12
    assert follows(used, curve)
    assert used[:2] == [0, 0]
    assert witness["learning_rate"] == "as WarmupDecayLR draws it"
    assert witness["unseen"] == []


def test_a_script_with_a_scheduler_of_its_own_is_stopped(tmp_path):
    """DeepSpeed takes a script's scheduler over the file's; its logarithmic warmup is named at the third step."""
    (tmp_path / "train.py").write_text(SCRIPT.replace("OWN", LOGARITHMIC))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    code, text = run(tmp_path, tmp_path / "recipe.yaml")
    assert code != 0
    assert "planned learning rate 0.00025 at optimizer step 3, found 0.0005 [learning-rate-differs]" in text
    assert "its warmup is log" in text
    assert "planned: WarmupDecayLR with total_num_steps: 12" in text


ARGS = [
    *("--output_dir", "{run_dir}/out", "--use_cpu", "true", "--report_to", "none", "--save_strategy", "no"),
    *("--per_device_train_batch_size", "{micro_batch_size}"),
    *("--gradient_accumulation_steps", "{gradient_accumulation_steps}"),
    *("--learning_rate", "{peak_learning_rate}", "--max_grad_norm", "{gradient_clipping}"),
    *("--warmup_steps", "{scheduler_warmup_steps}", "--max_steps", "{scheduler_total_steps}"),
]
BY_TRAINER = [
    *("--lr_scheduler_type", "{scheduler_name}", "--lr_scheduler_kwargs", "{scheduler_arguments}"),
]
MIN = ["schedule.owner=script:trainer", "schedule.decay=cosine", "schedule.final_learning_rate_ratio=0.1"]
ZERO_2 = ["parallel.data.strategy=zero", "parallel.data.stage=2"]
FILE = ["--deepspeed", "{deepspeed_config}"]


@pytest.mark.parametrize(
    ("engine", "args", "changes", "name"),
    [
        ("torchrun", BY_TRAINER, MIN, "cosine_with_min_lr"),
        pytest.param(
            "accelerate",
            BY_TRAINER,
            ["schedule.owner=script:trainer", "schedule.decay=wsd", "schedule.decay_length=4 steps"],
            "warmup_stable_decay",
            marks=pytest.mark.full,
        ),
        pytest.param(
            *("deepspeed", [*BY_TRAINER, *FILE], [*MIN, *ZERO_2], "cosine_with_min_lr"),
            marks=pytest.mark.full,
        ),
        ("deepspeed", FILE, ZERO_2, "WarmupDecayLR"),
    ],
    ids=["torchrun", "accelerate", "DeepSpeed ZeRO-2", "DeepSpeed's own scheduler"],
)
def test_the_trainer(engine, args, changes, name, tmp_path):
    """A Trainer that is given the placeholders, or DeepSpeed's file, trains every step of the run at the plan's rate.

    Source: transformers@5.23.0 trainer.py:Trainer._inner_training_loop, create_scheduler.
    """
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    words = json.dumps([*ARGS, *args])
    code, text = run(
        tmp_path,
        tmp_path / "recipe.yaml",
        f"launch.engine={engine}",
        f"launch.script={TRAINER}",
        f"launch.args={words}",
        *changes,
    )
    assert code == 0, text
    used, curve, witness = rates_of(tmp_path)
    assert len(used) == 12
    assert follows(used, curve)
    assert witness["learning_rate"] == f"as {name} draws it"
    assert witness["departures"] == []


def test_the_runtime_beside_deepspeeds_own_schedule(tmp_path):
    """A script that uses the runtime: it sets no rate, compares each one, and logs the one that was used."""
    code, text = run(
        tmp_path,
        QUICKSTART,
        "launch.engine=deepspeed",
        "schedule.owner=engine:WarmupDecayLR",
        "schedule.warmup=3 steps",
        "schedule.decay=linear",
        "schedule.final_learning_rate_ratio=0.0",
        "schedule.length=10 steps",
        "evaluation.every=5 steps",
    )
    assert code == 0, text
    used, curve, _ = rates_of(tmp_path)
    assert len(used) == 10
    assert follows(used, curve)


PREPARED = """
    from transformers import get_scheduler
    told = plan.learning_rate.compiled
    schedule = carrier.prepare(get_scheduler(told.scheduler, optimizer.optimizer, **told.arguments))
    for step in run.steps("""


def test_the_runtime_beside_a_schedule_that_accelerate_prepares(tmp_path):
    """A script that steps its prepared schedule after run.apply trains at the plan's rates, and is stopped where it does not.

    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step.
    """
    script = QUICKSTART.with_name("train.py").read_text().replace("\n    for step in run.steps(", PREPARED)
    for stepped, right in (("schedule.step()", True), ("schedule.scheduler.step()", False)):
        folder = tmp_path / str(right)
        folder.mkdir()
        (folder / "train.py").write_text(
            script.replace("run.apply(optimizer)\n", f"run.apply(optimizer)\n        {stepped}\n")
        )
        (folder / "recipe.yaml").write_text(QUICKSTART.read_text())
        code, text = run(
            folder,
            folder / "recipe.yaml",
            "launch.engine=accelerate",
            "schedule.owner=script:accelerate",
            "schedule.warmup=3 steps",
            "schedule.length=8 steps",
            "evaluation.every=8 steps",
        )
        used, curve, _ = rates_of(folder)
        if right:
            assert code == 0, text
            assert len(used) == 8
            assert follows(used, curve)
        else:
            assert code != 0
            assert "planned learning rate 0.00133333 at optimizer step 2, found 0.000666667" in text
