"""DeepSpeed's file and command."""

import base64
import json

import pytest

from launcher.engines.deepspeed import ENGINE
from launcher.engines.formats.read_back import differences
from launcher.errors import EngineError
from launcher.spec.bundle import MAIN_ADDRESS, MAIN_PORT, PYTHON, RUN_DIR
from launcher.testing import HOSTILE, changed, sample_plans

PLANS = sample_plans()


def config_of(plan):
    hosts = [f"h{rank}" for rank in range(plan.layout.num_nodes)]
    return json.loads(ENGINE.render(plan, hosts).files["deepspeed.json"])


def errors(plan):
    return [(p.code, p.path) for p in ENGINE.check(plan) if p.severity == "error"]


def zero(plan, stage, **layout):
    return changed(plan, layout={"data_strategy": "zero", "zero_stage": stage, **layout})


def test_the_batch_is_the_slots_of_a_step():
    """Idle slots are trained through with weight zero, so DeepSpeed counts them."""
    config = config_of(PLANS["cpu-1x2-idle"])
    assert config["train_batch_size"] == 11 + 1 == 2 * 3 * 2
    assert (config["train_micro_batch_size_per_gpu"], config["gradient_accumulation_steps"]) == (2, 3)


def test_no_clipping_is_written_as_zero():
    """DeepSpeed clips at 1.0 where the key is absent (runtime/constants.py:GRADIENT_CLIPPING_DEFAULT)."""
    assert config_of(PLANS["cpu-1x2-bare"])["gradient_clipping"] == 0.0
    assert config_of(PLANS["cpu-1x2"])["gradient_clipping"] == 1.0


def test_whole_copies_are_stage_zero():
    """Strategy ddp is DeepSpeed without sharding, and never its default."""
    assert config_of(PLANS["cpu-1x2"])["zero_optimization"]["stage"] == 0


@pytest.mark.parametrize(
    ("stage", "compute", "expected"), [(0, "bf16", "bf16"), (0, "fp32", "fp32"), (2, "bf16", "fp32")]
)
def test_gradients_are_summed_in_fp32_where_deepspeed_can(stage, compute, expected):
    """Stage 0 refuses another format than the model's; everywhere else sums are exact."""
    config = config_of(changed(zero(PLANS["cpu-1x2"], stage), precision={"compute": compute}))
    assert config["data_types"]["grad_accum_dtype"] == expected
    assert config["communication_data_type"] == "fp32"


def test_written_formats_are_used():
    """Numbers a person wrote win over our defaults."""
    plan = changed(
        zero(PLANS["gpu-1x2-devices"], 2), precision={"gradient_dtype": "bf16", "reduce_dtype": "bf16"}
    )
    config = config_of(plan)
    assert config["data_types"]["grad_accum_dtype"] == config["communication_data_type"] == "bf16"


def test_the_gradient_stays_the_mean_over_ranks():
    """No key that scales gradients before or after the reduction is ever written, nor a scheduler."""
    for plan in PLANS.values():
        if not errors(plan):
            config = config_of(plan)
            assert not {"prescale_gradients", "gradient_predivide_factor", "scheduler"} & set(config)


def test_buckets_are_even_and_fit_the_model():
    """DeepSpeed asserts an even allgather bucket; a small model gets no buffer of 5e8 elements."""
    plan = changed(zero(PLANS["gpu-1x2-devices"], 2), model={"num_parameters": 90_000_001})
    assert config_of(plan)["zero_optimization"]["allgather_bucket_size"] == 91_000_000
    plan = changed(plan, model={"num_parameters": 7_000_000_000})
    assert config_of(plan)["zero_optimization"]["reduce_bucket_size"] == 500_000_000


@pytest.mark.parametrize(
    ("name", "device", "kind", "params"),
    [
        (
            "adamw",
            "cpu",
            "AdamW",
            {"adam_w_mode": True, "torch_adam": True, "betas": [0.9, 0.95], "eps": 1e-8},
        ),
        (
            "adam",
            "cuda",
            "Adam",
            {"adam_w_mode": False, "torch_adam": False, "betas": [0.9, 0.95], "eps": 1e-8},
        ),
        ("sgd", "cpu", "SGD", {"momentum": 0.5, "nesterov": True}),
        ("rmsprop", "cpu", "RMSprop", {"momentum": 0.5, "eps": 1e-8, "alpha": 0.99}),
        ("lion", "cuda", "Lion", {"betas": [0.9, 0.95]}),
    ],
)
def test_the_engines_optimizer_has_every_number(name, device, kind, params):
    """Adam is Adam only with adam_w_mode false; no parameter is left to DeepSpeed."""
    plan = changed(
        PLANS["cpu-1x2"],
        layout={"device_kind": device},
        optimizer={"owner": "engine", "name": name, "momentum": 0.5, "nesterov": True},
    )
    expected = {"lr": 0.1 + 0.2, "weight_decay": 0.1, **params}
    assert config_of(plan)["optimizer"] == {"type": kind, "params": expected}


def test_the_scripts_optimizer_is_in_no_file():
    """Two optimizers would be a ValueError under Accelerate and a silent choice under DeepSpeed."""
    assert "optimizer" not in config_of(PLANS["cpu-1x2"])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"layout": {"data_strategy": "fsdp", "zero_stage": 3}}, "parallel.data.strategy"),
        ({"precision": {"compute": "fp8"}}, "precision"),
        ({"precision": {"compute": "fp16"}}, "precision"),
        (
            {"layout": {"data_strategy": "zero", "zero_stage": 3, "offload": "optimizer"}},
            "parallel.data.offload",
        ),
        ({"optimizer": {"owner": "engine", "name": "muon"}}, "optimizer.name"),
        ({"optimizer": {"owner": "engine", "name": "lion"}}, "optimizer.name"),
        ({"precision": {"compute": "bf16", "parameter_dtype": "fp32"}}, "precision.parameter_dtype"),
        ({"precision": {"compute": "bf16", "master_weights": False}}, "precision.master_weights"),
        ({"precision": {"compute": "bf16", "autocast": True}}, "precision.autocast"),
        ({"precision": {"compute": "bf16", "gradient_dtype": "fp32"}}, "precision.gradient_dtype"),
    ],
)
def test_what_deepspeed_cannot_do_on_cpu_is_refused_when_planning(changes, path):
    """No plan is rendered that DeepSpeed would carry out differently."""
    assert errors(changed(PLANS["cpu-1x2"], **changes)) == [("engine-cannot", path)]


@pytest.mark.parametrize(
    ("plan", "path"),
    [
        (zero(PLANS["gpu-1x2-devices"], 2, offload="parameters"), "parallel.data.offload"),
        (zero(PLANS["gpu-1x2-devices"], 0, offload="optimizer"), "parallel.data.offload"),
        (changed(PLANS["gpu-1x2-devices"], precision={"compute": "fp8"}), "precision"),
        (
            changed(PLANS["gpu-1x2-devices"], precision={"compute": "fp16", "loss_scale_initial": 1000.0}),
            "precision.loss_scale.initial",
        ),
    ],
)
def test_what_deepspeed_cannot_do_on_gpus_is_refused_when_planning(plan, path):
    """The same on GPUs."""
    assert errors(plan) == [("engine-cannot", path)]


def test_an_optimizer_without_a_rate_is_refused():
    """DeepSpeed would train at its own default."""
    from dataclasses import replace

    plan = replace(changed(PLANS["cpu-1x2-bare"], optimizer={"owner": "engine"}), learning_rate=None)
    assert errors(plan) == [("engine-cannot", "optimizer.owner")]


def test_a_plan_without_a_script_is_legal_and_not_rendered():
    """Planning needs no script; starting does."""
    plan = changed(PLANS["cpu-1x2"], launch={"script": None})
    assert not errors(plan)
    with pytest.raises(EngineError) as raised:
        ENGINE.render(plan, ["h"])
    assert [p.code for p in raised.value.problems] == ["missing-script"]


def test_one_node_never_reads_a_hostfile():
    """A file at /job/hostfile would make DeepSpeed start on other machines."""
    (command,) = ENGINE.render(PLANS["cpu-1x2"], ["h"]).commands
    assert command.argv[:3] == ("deepspeed", "--hostfile", "/dev/null")
    assert "--no_local_rank" in command.argv


def test_the_port_is_the_run_folders_unless_written():
    """Two runs of one plan at once do not meet; a written port is kept."""
    (command,) = ENGINE.render(PLANS["cpu-1x2"], ["h"]).commands
    assert command.argv[command.argv.index("--master_port") + 1] == MAIN_PORT
    bundle = ENGINE.render(PLANS["cpu-1x2"], ["h"])
    ports = {bundle.placed(f"/runs/{n}").commands[0].argv[11] for n in range(5)}
    assert len(ports) == 5
    assert all(20_000 <= int(port) < 30_000 for port in ports)
    plan = changed(PLANS["cpu-1x2"], launch={"main_port": 6001})
    (command,) = ENGINE.render(plan, ["h"]).placed("/r").commands
    assert command.argv[command.argv.index("--master_port") + 1] == "6001"


def nodes_of(plan):
    return ENGINE.render(plan, [f"n{rank}" for rank in range(plan.layout.num_nodes)])


def world_of(command):
    word = command.argv[command.argv.index("--world_info") + 1]
    return json.loads(base64.urlsafe_b64decode(word))


def test_several_nodes_are_one_command_each():
    """Each node starts DeepSpeed's per-node launcher: it knows its number, all nodes' devices and where they meet."""
    bundle = nodes_of(PLANS["gpu-8x8-zero3"])
    assert set(bundle.files) == {"deepspeed.json"}
    for rank, command in enumerate(bundle.commands):
        assert (command.node_rank, command.host) == (rank, f"n{rank}")
        assert command.argv[:3] == (PYTHON, "-m", "deepspeed.launcher.launch")
        assert world_of(command) == {f"node-{n}": list(range(8)) for n in range(8)}
        flags = command.argv[5:11]
        assert flags == ("--node_rank", str(rank), "--no_local_rank", "--master_addr", "n0", "--master_port")
        assert command.env["LAUNCHER_PLAN"] == f"{RUN_DIR}/plan.json"


def test_devices_of_several_nodes_are_named():
    """`cluster.devices` holds on every node; the launcher shows each rank those."""
    plan = changed(PLANS["gpu-8x8-zero3"], layout={"devices": tuple(range(8, 16))})
    assert world_of(nodes_of(plan).commands[1])["node-1"] == list(range(8, 16))


def test_the_runners_flags_are_refused_over_several_nodes():
    """What only DeepSpeed's runner reads would end each node's launcher with a usage error."""
    plan = changed(PLANS["gpu-8x8-zero3"], launch={"native_argv": ("--ssh_port=2222",)})
    assert errors(plan) == [("native-owns-key", "launch.native.argv.0")]
    assert not errors(changed(plan, launch={"native_argv": ("--bind_cores_to_rank",)}))


def test_the_hostile_words_are_fine_over_several_nodes():
    """No shell and no second parser stands between the launcher and its ranks."""
    assert not errors(changed(PLANS["gpu-8x8-zero3"], launch={"args": HOSTILE}))


ITSELF = changed(PLANS["gpu-8x8-zero3"], launch={"native_argv": ("--launcher", "pdsh")})


def test_deepspeeds_own_pdsh_is_rendered_on_request():
    """DeepSpeed's runner reaches the others itself, and finds their environment in a file of the bundle."""
    bundle = nodes_of(ITSELF)
    (command,) = bundle.commands
    assert bundle.files["hostfile"].splitlines() == [f"n{rank} slots=8" for rank in range(8)]
    assert f"LAUNCHER_PLAN={RUN_DIR}/plan.json" in bundle.files["deepspeed.env"].splitlines()
    assert command.env["DS_ENV_FILE"] == f"{RUN_DIR}/deepspeed.env"
    assert command.argv[0] == "deepspeed"
    assert command.argv[command.argv.index("--master_addr") + 1] == "n0"
    assert command.argv[command.argv.index("--launcher") + 1] == "pdsh"
    assert differences(ITSELF, bundle) == ()


def test_its_bundle_is_the_golden_one(golden):
    """The same bytes as when a person last looked at them."""
    placed = nodes_of(ITSELF).placed("/runs/sample")
    (command,) = placed.commands
    shown = {"argv": command.argv, "env": dict(command.env)}
    golden(
        "gpu-8x8-zero3/deepspeed-pdsh", {**placed.files, "command.json": json.dumps(shown, indent=1) + "\n"}
    )


def test_devices_of_several_nodes_are_included_by_name():
    """With the runner too, `cluster.devices` holds on every node; slots cover the highest of them."""
    bundle = nodes_of(changed(ITSELF, layout={"devices": tuple(range(8))}))
    (command,) = bundle.commands
    include = command.argv[command.argv.index("--include") + 1]
    assert include.split("@")[1] == "n1:0,1,2,3,4,5,6,7"


def test_its_pdsh_needs_names():
    """Where only the job knows its hosts, there is nothing to write into the runner's hostfile."""
    with pytest.raises(EngineError) as raised:
        ENGINE.render(ITSELF, [MAIN_ADDRESS, *(f"node-{rank}" for rank in range(1, 8))])
    assert [(p.code, p.hint) for p in raised.value.problems] == [("engine-cannot", "write cluster.hostfile")]


def test_another_launcher_of_its_is_the_executors_business():
    """Only pdsh can be asked for, and only where there is more than one node."""
    owned = [("native-owns-key", "launch.native.argv.0")]
    assert errors(changed(ITSELF, launch={"native_argv": ("--launcher=openmpi",)})) == owned
    assert errors(changed(PLANS["cpu-1x2"], launch={"native_argv": ("--launcher", "pdsh")})) == owned


@pytest.mark.parametrize("word", [word for word in HOSTILE if word not in {"--", "--no", "--log=5", "-m"}])
def test_words_a_remote_shell_would_read_are_refused(word):
    """Its pdsh hands words on unquoted: `$(id)` would run on every node."""
    plan = changed(ITSELF, launch={"args": ("--note", word)})
    assert errors(plan) == [("engine-cannot", "launch.args.1")]


def test_the_same_words_are_fine_on_one_node():
    """No shell stands between the runner and its processes there."""
    assert not errors(PLANS["cpu-1x2-hostile"])


def test_another_interpreter_runs_the_runner_as_a_module():
    """`launch.python` is the interpreter of the runner and, with it, of every rank."""
    plan = changed(PLANS["cpu-1x2"], launch={"python": "/opt/py/bin/python"})
    (command,) = ENGINE.render(plan, ["h"]).commands
    assert command.argv[:3] == ("/opt/py/bin/python", "-m", "deepspeed.launcher.runner")
