"""Accelerate's file and command."""

import json

import pytest

from launcher.engines.accelerate import ENGINE
from launcher.spec.bundle import MAIN_PORT, RUN_DIR
from launcher.testing import changed, sample_plans

PLANS = sample_plans()


def rendered(plan):
    hosts = [f"h{rank}" for rank in range(plan.layout.num_nodes)]
    bundle = ENGINE.render(plan, hosts)
    return json.loads(bundle.files["accelerate.json"]), bundle


def errors(plan):
    return [(p.code, p.path) for p in ENGINE.check(plan) if p.severity == "error"]


def test_cpu_ranks_come_from_the_gpu_launch_path():
    """MULTI_CPU in this file starts one process; MULTI_GPU with ACCELERATE_USE_CPU starts them all."""
    config, bundle = rendered(PLANS["cpu-1x2"])
    assert (config["distributed_type"], config["num_processes"], config["use_cpu"]) == ("MULTI_GPU", 2, True)
    assert bundle.commands[0].env["ACCELERATE_USE_CPU"] == "true"


def test_processes_are_the_total():
    """num_processes counts all machines together; each machine has its rank on its command line."""
    config, bundle = rendered(PLANS["gpu-8x8"])
    assert (config["num_machines"], config["num_processes"]) == (8, 64)
    ranks = [c.argv[c.argv.index("--machine_rank") + 1] for c in bundle.commands]
    assert ranks == [str(rank) for rank in range(8)]


def test_ports():
    """Accelerate picks a free one on a single node; over several the run folder's, or the written one, is on every line."""
    assert rendered(PLANS["cpu-1x2"])[0]["main_process_port"] == 0
    config, bundle = rendered(PLANS["gpu-8x8-zero3"])
    assert not {"main_process_ip", "main_process_port"} & set(config)
    for command in bundle.commands:
        at = command.argv.index("--main_process_ip")
        assert command.argv[at : at + 4] == ("--main_process_ip", "h0", "--main_process_port", MAIN_PORT)
    command = rendered(PLANS["gpu-8x8"])[1].commands[7]
    at = command.argv.index("--main_process_ip")
    assert command.argv[at : at + 4] == ("--main_process_ip", "10.0.0.7", "--main_process_port", "6000")


def test_zero_is_deepspeeds_file_and_nothing_beside_it():
    """Accelerate refuses any number beside a DeepSpeed file, precision included; that goes on the command line."""
    config, bundle = rendered(PLANS["gpu-8x8-zero3"])
    assert config["distributed_type"] == "DEEPSPEED"
    assert config["deepspeed_config"] == {
        "deepspeed_config_file": f"{RUN_DIR}/deepspeed.json",
        "deepspeed_multinode_launcher": "standard",
        "zero3_init_flag": True,
    }
    assert "mixed_precision" not in config
    argv = bundle.commands[0].argv
    assert argv[argv.index("--mixed_precision") + 1] == "bf16"
    assert json.loads(bundle.files["deepspeed.json"])["train_batch_size"] == 2 * 3 * 64


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("gpu-1x2-fsdp2", {"fsdp_version": 2, "fsdp_reshard_after_forward": True}),
        ("gpu-8x8-fsdp1", {"fsdp_version": 1, "fsdp_sharding_strategy": "SHARD_GRAD_OP"}),
    ],
)
def test_fsdp_shards_as_planned(case, expected):
    """Stage 3 shards parameters too, stage 2 keeps them whole; each version has its own words for it."""
    config, _ = rendered(PLANS[case])
    assert config["distributed_type"] == "FSDP"
    assert {key: config["fsdp_config"][key] for key in expected} == expected


def test_accumulation_is_not_rendered():
    """ACCELERATE_GRADIENT_ACCUMULATION_STEPS would divide the loss again in a script that accumulates itself."""
    config, bundle = rendered(PLANS["cpu-1x2"])
    assert "gradient_accumulation_steps" not in json.dumps(config)
    assert not [name for name in bundle.commands[0].env if "ACCUMULATION" in name]


def test_a_model_that_the_script_casts_is_not_cast_again():
    """`precision.autocast: false` is Accelerate's `no`."""
    plan = changed(PLANS["gpu-1x2-devices"], precision={"autocast": False})
    assert rendered(plan)[0]["mixed_precision"] == "no"
    assert rendered(PLANS["gpu-1x2-devices"])[0]["mixed_precision"] == "bf16"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"layout": {"data_strategy": "zero", "zero_stage": 2}}, "parallel.data.strategy"),
        ({"layout": {"data_strategy": "fsdp", "zero_stage": 3, "fsdp_version": 2}}, "parallel.data.strategy"),
        ({"precision": {"compute": "fp16"}}, "precision"),
        ({"precision": {"compute": "fp8"}}, "precision"),
        ({"optimizer": {"owner": "engine"}}, "optimizer.owner"),
    ],
)
def test_what_accelerate_cannot_do_on_cpu_is_refused_when_planning(changes, path):
    """Where Accelerate would start lone trainings or drop a setting without a word, the plan is refused."""
    assert errors(changed(PLANS["cpu-1x2"], **changes)) == [("engine-cannot", path)]


@pytest.mark.parametrize(
    ("plan", "path"),
    [
        (changed(PLANS["gpu-1x2-fsdp2"], layout={"offload": "optimizer"}), "parallel.data.offload"),
        (changed(PLANS["gpu-1x2-devices"], precision={"compute": "fp8"}), "precision"),
        (changed(PLANS["gpu-8x8-zero3"], precision={"compute": "fp8"}), "precision"),
    ],
)
def test_what_accelerate_cannot_do_on_gpus_is_refused_when_planning(plan, path):
    """The same on GPUs."""
    assert errors(plan) == [("engine-cannot", path)]


def test_another_interpreter_runs_the_launcher_as_a_module():
    """`launch.python` decides which installation of Accelerate starts the job."""
    _, bundle = rendered(changed(PLANS["cpu-1x2"], launch={"python": "/opt/py/bin/python"}))
    assert bundle.commands[0].argv[:3] == ("/opt/py/bin/python", "-m", "accelerate.commands.launch")
