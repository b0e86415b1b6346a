"""What the processes of a job find in their environment."""

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.engines.formats.environment import environment_problems, visible_devices
from launcher.spec.bundle import RUN_DIR
from launcher.testing import changed, sample_plans

PLANS = sample_plans()


def env_of(engine, plan):
    return find_plugin("launcher.engines", engine).render(plan, ["h"] * plan.layout.num_nodes).commands[0].env


@pytest.mark.parametrize("engine", ["torchrun", "accelerate", "deepspeed"])
def test_every_job_finds_plan_run_and_hash(engine):
    """Trackers, witness and runtime find what they need, and the number of threads is never a tool's own choice."""
    env = env_of(engine, PLANS["cpu-1x2"])
    assert env["LAUNCHER_PLAN"] == f"{RUN_DIR}/plan.json"
    assert env["BATCHWRIGHT_RUN"] == RUN_DIR
    assert env["BATCHWRIGHT_PLAN_HASH"] == PLANS["cpu-1x2"].plan_hash
    assert env["OMP_NUM_THREADS"] == "1"
    assert env["STEPS"] == "400"


def test_written_threads_win():
    """A number that a person wrote is the one that is used."""
    assert (
        env_of("torchrun", changed(PLANS["cpu-1x2"], launch={"env": {"OMP_NUM_THREADS": "4"}}))[
            "OMP_NUM_THREADS"
        ]
        == "4"
    )


def test_variables_passed_by_name_are_not_written():
    """A secret's name is in the recipe, its value is nowhere."""
    assert "HF_TOKEN" not in env_of("torchrun", changed(PLANS["cpu-1x2"], launch={"pass_env": ("HF_TOKEN",)}))


def test_accelerate_on_cpu_is_told_so():
    """Without this variable Accelerate starts lone trainings of one rank, exit code 0."""
    assert env_of("accelerate", PLANS["cpu-1x2"])["ACCELERATE_USE_CPU"] == "true"
    assert "ACCELERATE_USE_CPU" not in env_of("accelerate", PLANS["gpu-1x2-devices"])


def test_deepspeed_is_told_its_accelerator():
    """DeepSpeed does not guess from what it finds installed."""
    assert env_of("deepspeed", PLANS["cpu-1x2"])["DS_ACCELERATOR"] == "cpu"
    assert env_of("deepspeed", PLANS["gpu-8x8"])["DS_ACCELERATOR"] == "cuda"


@pytest.mark.parametrize(
    ("kind", "devices", "expected"),
    [
        ("cpu", None, {"CUDA_VISIBLE_DEVICES": ""}),
        ("cpu", (0, 1), {"CUDA_VISIBLE_DEVICES": ""}),
        ("cuda", None, {}),
        ("cuda", (0, 3), {"CUDA_VISIBLE_DEVICES": "0,3"}),
        ("rocm", (1,), {"HIP_VISIBLE_DEVICES": "1"}),
        ("hpu", (1, 2), {"HABANA_VISIBLE_MODULES": "1,2"}),
    ],
)
def test_a_job_sees_the_devices_of_its_plan(kind, devices, expected):
    """Those that are named, none for a plan on CPU, and where none are named the machine's."""
    layout = changed(PLANS["cpu-1x2"], layout={"device_kind": kind, "devices": devices}).layout
    assert visible_devices(layout) == expected


def test_deepspeed_takes_devices_by_include():
    """DeepSpeed's runner deletes CUDA_VISIBLE_DEVICES where a number of devices is given."""
    plan = PLANS["gpu-1x2-devices"]
    (command,) = find_plugin("launcher.engines", "deepspeed").render(plan, ["h"]).commands
    assert command.argv[command.argv.index("--include") + 1] == "localhost:2,3"
    assert "CUDA_VISIBLE_DEVICES" not in command.env
    assert env_of("torchrun", plan)["CUDA_VISIBLE_DEVICES"] == "2,3"


@pytest.mark.parametrize(
    "name",
    ["LAUNCHER_PLAN", "WORLD_SIZE", "MASTER_PORT", "CUDA_VISIBLE_DEVICES", "PET_NNODES", "FSDP_VERSION"],
)
def test_variables_that_the_plan_owns_are_refused(name):
    """The environment is no side door either."""
    plan = changed(PLANS["cpu-1x2"], launch={"env": {name: "1"}})
    (problem,) = environment_problems(plan, {})
    assert (problem.code, problem.path) == ("native-owns-key", f"launch.env.{name}")
    assert problem.hint


def test_accumulation_may_be_handed_to_a_bare_accelerator():
    """The one variable that accelerator.accumulate() reads can be set by placeholder."""
    name = "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"
    plan = changed(PLANS["cpu-1x2"], launch={"env": {name: "{gradient_accumulation_steps}"}})
    assert env_of("accelerate", plan)[name] == "3"
    assert name not in env_of("accelerate", PLANS["cpu-1x2"])
