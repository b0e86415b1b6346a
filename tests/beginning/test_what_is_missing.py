"""The list of what a bundle does not say, entry by entry, and the numbers that it does say."""

import json
from pathlib import Path

import pytest
from round_trips import ENVIRON, at, begun, rendered
from test_round_trip import CASES

from launcher.api import plan
from launcher.cli.beginning import begin
from launcher.testing import sample_plans

GOLDEN = Path(__file__).parents[1] / "golden"
ALWAYS = {
    "name", "global_batch_size", "sequence_length", "hidden_size", "model", "data", "stages", "activation_checkpointing",
    "attention", "compile", "loss", "gradient_noise", "cluster.backend", "cluster.hostfile", "launch.pass_env", "launch.network.interface",
    "launch.runtime", "launch.script_applies", "launch.slurm", "launch.template", "launch.timeouts", "evaluation",
    "checkpoint", "resume", "seed", "launch.args.3",
}  # fmt: skip
FORMATS = {
    "precision.parameter_dtype", "precision.gradient_dtype", "precision.reduce_dtype", "precision.master_weights",
    "precision.autocast", "precision.loss_scale",
}  # fmt: skip
OTHER_AXES = {"parallel.virtual_pipeline", "parallel.expert", "parallel.sequence"}
AXES = {"parallel.tensor", "parallel.pipeline", "parallel.context"}
NO_BATCH = {
    "global_batch_tokens", "micro_batch_size", "gradient_accumulation_steps", "cluster.host_memory", "cluster.reserve",
}  # fmt: skip
REFERENCE = {
    "optimizer.reference_learning_rate", "optimizer.reference_batch_size", "optimizer.reference_batch_tokens",
    "optimizer.reference_sequence_length", "optimizer.scaling", "optimizer.rescale", "optimizer.implementation",
    "optimizer.weight_average_decay",
}  # fmt: skip
OPTIMIZER = REFERENCE | {
    "optimizer.name", "optimizer.learning_rate", "optimizer.betas", "optimizer.momentum", "optimizer.nesterov",
    "optimizer.epsilon", "optimizer.weight_decay",
}  # fmt: skip
SCHEDULE = {
    "launch.native.deepspeed.scheduler", "schedule.arguments", "schedule.clock", "schedule.decay_at",
    "schedule.decay_ends", "schedule.decay_factor", "schedule.decay_length", "schedule.decay_power",
    "schedule.decay_shape", "schedule.decay_starts", "schedule.first_step", "schedule.length", "schedule.warmup",
    "schedule.warmup_keeps",
}  # fmt: skip
NATIVE = {"launch.native.accelerate", "launch.native.deepspeed"}
UNSTAGED = {"parallel.data.strategy", "parallel.data.stage"}  # ZeRO stage 0 or ddp
TORCHRUN = ALWAYS | NO_BATCH | NATIVE | {"optimizer", "schedule", "precision", "parallel"}
DEEPSPEED = ALWAYS | NO_BATCH | FORMATS | OTHER_AXES | OPTIMIZER | {"schedule", "launch.native.accelerate"}
ACCELERATE = (
    ALWAYS | NO_BATCH | FORMATS | OTHER_AXES | AXES | {"optimizer", "schedule", "launch.native.deepspeed"}
)
WITH_ZERO = ALWAYS | NO_BATCH | FORMATS | OTHER_AXES
DEVICE = {"cluster.device"}
ALONE = {"launch.network.main_address"}  # of one machine, torchrun is told none
SEVERAL = DEVICE | {"launch.network.main_address"}

WRAPPED = {"launch.setup", "launch.container"}
EXACTLY = {
    "torchrun-cpu": TORCHRUN | ALONE,
    "torchrun-gpu": TORCHRUN | SEVERAL,
    "torchrun-port": TORCHRUN,
    "torchrun-far-port": TORCHRUN | SEVERAL,
    "torchrun-devices": TORCHRUN | DEVICE | ALONE,
    "torchrun-odd-words": TORCHRUN - {"launch.args.3"}
    | ALONE
    | {"launch.args.1", "launch.args.8", "launch.args.9", "launch.env.STEPS"},
    "torchrun-module-runtime": TORCHRUN | ALONE,
    "torchrun-reference": TORCHRUN | ALONE,
    "deepspeed-cpu": DEEPSPEED | UNSTAGED,
    "deepspeed-idle": DEEPSPEED | UNSTAGED,
    "deepspeed-stage-0": DEEPSPEED | UNSTAGED,
    "deepspeed-zero3-bf16": DEEPSPEED | SEVERAL | {"cluster.devices", "launch.python"},
    "deepspeed-zero2-fp16-offload": DEEPSPEED - OPTIMIZER - {"precision.loss_scale"}
    | REFERENCE
    | DEVICE
    | {"optimizer.momentum", "optimizer.nesterov", "precision.loss_scale.static"},
    "deepspeed-static-scale": DEEPSPEED | DEVICE,
    "deepspeed-native": DEEPSPEED | DEVICE,
    "deepspeed-cosine": DEEPSPEED - OPTIMIZER - {"schedule"}
    | REFERENCE
    | SCHEDULE
    | {"optimizer.momentum", "optimizer.nesterov"},
    "deepspeed-linear": DEEPSPEED - OPTIMIZER - {"schedule"}
    | REFERENCE
    | SCHEDULE
    | UNSTAGED
    | {"optimizer.momentum", "optimizer.nesterov"},
    "deepspeed-constant-no-warmup": DEEPSPEED - OPTIMIZER - {"schedule"}
    | REFERENCE
    | SCHEDULE
    | UNSTAGED
    | {"optimizer.betas", "optimizer.epsilon", "schedule.final_learning_rate_ratio"},
    "accelerate-cpu": ACCELERATE | {"precision.compute"},
    "accelerate-autocast-off": ACCELERATE | DEVICE | {"precision.compute"},
    "accelerate-ddp-fp16": ACCELERATE | SEVERAL,
    "accelerate-fsdp2": ACCELERATE | DEVICE,
    "accelerate-fsdp1": ACCELERATE | SEVERAL,
    "accelerate-zero3": WITH_ZERO - {"launch.args.3"}
    | OPTIMIZER
    | SEVERAL
    | {"schedule", "launch.args.1", "launch.args.2"},
    "accelerate-zero2-cosine": WITH_ZERO
    | REFERENCE
    | SCHEDULE
    | DEVICE
    | {"optimizer.momentum", "optimizer.nesterov"},
    "tensor-parallel": DEEPSPEED | AXES | DEVICE,
    "setup": TORCHRUN | ALONE | DEVICE | {"launch.setup", "launch.container"},
    "slurm": TORCHRUN | DEVICE | WRAPPED,
    "slurm-deepspeed": DEEPSPEED | DEVICE | WRAPPED | {"cluster.devices", "launch.python"},
    "ssh": DEEPSPEED | SEVERAL | WRAPPED | {"cluster.devices", "launch.python"},
    "kubernetes": ACCELERATE | SEVERAL | WRAPPED | {"launch.network.port"},
    "container": TORCHRUN | ALONE | DEVICE | WRAPPED,
    "ramp": TORCHRUN | ALONE,
    "ramp-deepspeed": DEEPSPEED | UNSTAGED,
}


def test_every_case_has_its_list():
    """No bundle is begun without saying what it lacks."""
    assert EXACTLY.keys() == CASES.keys()


@pytest.mark.parametrize("case", EXACTLY)
def test_what_is_missing_is_said_exactly(case, tmp_path):
    """Every key that the files leave open, and none that they settle."""
    rendered(CASES[case], tmp_path / "bundle")
    found = begun(tmp_path / "bundle")
    paths = [entry["path"] for entry in found["missing"]]
    assert set(paths) == EXACTLY[case]
    assert len(paths) == len(set(paths))
    assert found["not_carried"] == []


@pytest.mark.parametrize("case", CASES)
def test_every_number_of_the_files_is_back(case, tmp_path):
    """Batch, machines, sharding, clipping, precision: as the plan that was rendered has them."""
    recipe, _ = rendered(CASES[case], tmp_path / "bundle")
    values = begun(tmp_path / "bundle")["recipe"]
    planned = plan(recipe, environ=ENVIRON)
    engine, layout = planned.launch.engine, planned.layout
    per_node = len(at(values, "cluster.devices") or ()) or at(values, "cluster.devices_per_node")
    assert (at(values, "cluster.nodes"), per_node) == (layout.num_nodes, layout.devices_per_node)
    assert at(values, "cluster.devices") == (list(layout.devices) if layout.devices else None)
    assert at(values, "cluster.device") == ("cpu" if layout.device_kind == "cpu" else None)
    assert values["launch"]["engine"] == engine
    if layout.data_strategy != "ddp":
        strategy = {"strategy": layout.data_strategy, "stage": layout.zero_stage}
        if layout.zero_stage:
            assert strategy.items() <= at(values, "parallel.data").items()
        assert (at(values, "parallel.data.offload") or "none") == layout.offload
    if engine == "deepspeed" or layout.data_strategy == "zero":
        of_first_stage = planned.stages[0].batch if planned.stages else planned.batch
        assert values["global_batch_size"] == of_first_stage.slots_per_step
        assert values["micro_batch_size"] == of_first_stage.micro_batch_size
        assert values["gradient_accumulation_steps"] == of_first_stage.gradient_accumulation_steps
        assert at(values, "optimizer.gradient_clipping") == planned.optimizer.gradient_clipping
        precision = (
            values["precision"] if isinstance(values["precision"], str) else values["precision"]["compute"]
        )
        assert precision == planned.precision.compute
    if planned.optimizer.owner == "engine":
        assert values["optimizer"]["learning_rate"] == planned.learning_rate.peak_learning_rate
        assert (at(values, "optimizer.weight_decay") or 0.0) == planned.optimizer.weight_decay
    if planned.learning_rate.owner.startswith("engine:") and planned.learning_rate.warmup_steps:
        assert values["schedule"]["warmup"] == f"{planned.learning_rate.warmup_steps} steps"


BUNDLES = sorted(
    path.parent
    for path in GOLDEN.glob("*/*/commands.json")
    if json.loads(path.read_text()) and path.parts[-2] != "deepspeed-pdsh"
)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_golden_bundles_say_their_numbers(folder, tmp_path):
    """The bundles of the sample plans, all engines: ranks, batch, sharding and words as the plan has them."""
    sample = sample_plans()[folder.parent.name]
    for path in folder.glob("*.json"):
        if path.name != "commands.json":
            (tmp_path / path.name).write_text(path.read_text())
    commands = json.loads((folder / "commands.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps({"bundle_hash": "", "commands": commands, "nodes": []}))
    found = begin([str(tmp_path)])
    layout, values = sample.layout, found.values
    per_node = len(at(values, "cluster.devices") or ()) or at(values, "cluster.devices_per_node")
    assert at(values, "cluster.nodes") * per_node == layout.world_size
    assert at(values, "launch.engine") == folder.name
    assert found.not_carried == ()
    if (folder / "deepspeed.json").exists():
        assert values["global_batch_size"] == sample.batch.slots_per_step
        assert values["micro_batch_size"] == sample.batch.micro_batch_size
        assert at(values, "optimizer.gradient_clipping") == sample.optimizer.gradient_clipping
        assert (at(values, "launch.native.deepspeed") or {}) == sample.launch.native_deepspeed
    if (folder / "accelerate.json").exists():
        assert (at(values, "launch.native.accelerate") or {}) == sample.launch.native_accelerate
    if layout.data_strategy != "ddp" and folder.name != "torchrun":
        assert at(values, "parallel.data.stage") == layout.zero_stage
    if sample.launch.main_port is not None:
        assert at(values, "launch.network.port") == sample.launch.main_port
    missing = {each.path for each in found.missing}
    for word, written in zip(at(values, "launch.args") or [], sample.launch.args, strict=True):
        known = written if "{" not in written.replace("{{", "").replace("}}", "") else word
        assert word == known
    assert {"sequence_length", "hidden_size"} <= missing
