"""Rendered files and words, read by the engines' own code."""

import base64
import json
import os
import sys
from types import SimpleNamespace

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.testing import HOSTILE, sample_plans

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

PLANS = sample_plans()
GIVEN = [word.replace("{{", "{").replace("}}", "}") for word in HOSTILE]


def cases(engine):
    check = find_plugin("launcher.engines", engine).check
    return [case for case, plan in PLANS.items() if not [p for p in check(plan) if p.severity == "error"]]


def placed(engine, case, folder):
    """The bundle, written into a folder."""
    plan = PLANS[case]
    hosts = [f"h{rank}" for rank in range(plan.layout.num_nodes)]
    bundle = find_plugin("launcher.engines", engine).render(plan, hosts).placed(str(folder))
    for name, text in bundle.files.items():
        (folder / name).write_text(text)
    return bundle


def script_of(case):
    launch = PLANS[case].launch
    return ["--module", launch.module] if launch.script is None else [launch.script]


@pytest.fixture
def cpu(monkeypatch):
    """DeepSpeed imported on a machine without accelerator."""
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("case", cases("deepspeed"))
def test_deepspeed_config_reads_the_file(case, tmp_path, monkeypatch):
    """DeepSpeed's own class finds the plan's batch, stage, clipping and formats, on the plan's number of ranks."""
    from deepspeed.runtime.config import DeepSpeedConfig

    plan = PLANS[case]
    placed("deepspeed", case, tmp_path)
    ranks = SimpleNamespace(
        get_rank=lambda: 0, get_world_size=lambda group=None: plan.batch.data_parallel_size
    )
    monkeypatch.setattr("deepspeed.runtime.config.dist", ranks)
    config = DeepSpeedConfig(str(tmp_path / "deepspeed.json"))
    assert config.world_size == plan.batch.data_parallel_size
    assert config.train_batch_size == plan.batch.slots_per_step
    assert config.train_micro_batch_size_per_gpu == plan.batch.micro_batch_size
    assert config.gradient_accumulation_steps == plan.batch.gradient_accumulation_steps
    assert config.gradient_clipping == (plan.optimizer.gradient_clipping or 0)
    assert config.zero_optimization_stage == (
        plan.layout.zero_stage if plan.layout.data_strategy == "zero" else 0
    )
    assert config.float16_config.enabled == (plan.precision.compute == "fp16")
    assert config.bfloat16_config.enabled == (plan.precision.compute == "bf16")
    assert (config.optimizer_name is None) == (plan.optimizer.owner == "script")
    assert config.scheduler_name is None
    assert not config.prescale_gradients


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(("case", "ranks"), [("cpu-1x2", 1), ("cpu-1x2", 3), ("gpu-8x8-zero3", 63)])
def test_deepspeed_config_refuses_the_file_on_other_ranks(case, ranks, tmp_path, monkeypatch):
    """The batch identity is really checked: another number of ranks is an assertion, not another batch."""
    from deepspeed.runtime.config import DeepSpeedConfig

    placed("deepspeed", case, tmp_path)
    world = SimpleNamespace(get_rank=lambda: 0, get_world_size=lambda group=None: ranks)
    monkeypatch.setattr("deepspeed.runtime.config.dist", world)
    with pytest.raises(AssertionError, match="Check batch related parameters"):
        DeepSpeedConfig(str(tmp_path / "deepspeed.json"))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("case", cases("deepspeed"))
def test_deepspeeds_two_parsers_read_the_words(case, tmp_path, monkeypatch):
    """Through both, or the launcher alone, the script's arguments stay the script's, `--no` and `--` among them."""
    from deepspeed.launcher import launch, runner

    plan = PLANS[case]
    command = placed("deepspeed", case, tmp_path).commands[-1]
    if plan.layout.num_nodes == 1:
        outer = runner.parse_args(list(command.argv[3 if plan.launch.python != "python3" else 1 :]))
        assert runner.fetch_hostfile(outer.hostfile) is None
        assert outer.module
        assert outer.no_local_rank
        inner = ["--world_info=e30=", "--module", "--no_local_rank", outer.user_script, *outer.user_args]
    else:
        inner = list(command.argv[3:])
    monkeypatch.setattr(sys, "argv", ["launch", *inner])
    read = launch.parse_args()
    assert (read.module, read.no_local_rank) == (True, True)
    if plan.layout.num_nodes > 1:
        world = json.loads(base64.urlsafe_b64decode(read.world_info))
        layout = plan.layout
        assert [len(devices) for devices in world.values()] == [layout.devices_per_node] * layout.num_nodes
        address = "10.0.0.7" if case == "gpu-8x8" else "h0"
        assert (read.node_rank, read.master_addr) == (layout.num_nodes - 1, address)
    assert read.training_script == "batchwright_witness"
    assert read.training_script_args[:2] == ["--plan", f"{tmp_path}/plan.json"]
    assert read.training_script_args[2 : 2 + len(script_of(case))] == script_of(case)
    if plan.launch.args == HOSTILE:
        assert read.training_script_args[3:] == GIVEN


@pytest.mark.usefixtures("cpu")
def test_deepspeed_includes_the_named_devices(tmp_path):
    """`--include` leaves exactly the planned devices of every host."""
    from deepspeed.launcher import runner

    (command,) = placed("deepspeed", "gpu-1x2-devices", tmp_path).commands
    read = runner.parse_args(list(command.argv[1:]))
    left = runner.parse_inclusion_exclusion({"localhost": 8}, read.include, read.exclude)
    assert dict(left) == {"localhost": [2, 3]}


@pytest.mark.parametrize("case", cases("torchrun"))
def test_torchruns_parser_reads_the_words(case, tmp_path):
    """Torchrun's own configuration has the plan's nodes and processes, one start and the script's words."""
    pytest.importorskip("torch")
    from torch.distributed.run import config_from_args, parse_args

    plan = PLANS[case]
    for command in placed("torchrun", case, tmp_path).commands:
        read = parse_args(list(command.argv[3 if plan.launch.python != "python3" else 1 :]))
        config, _, words = config_from_args(read)
        assert (config.min_nodes, config.max_nodes) == (plan.layout.num_nodes,) * 2
        assert config.nproc_per_node == plan.layout.devices_per_node
        assert config.max_restarts == 0
        assert read.node_rank == command.node_rank
        assert words[:5] == ["-u", "-m", "batchwright_witness", "--plan", f"{tmp_path}/plan.json"]
        if plan.launch.args == HOSTILE:
            assert words[6:] == GIVEN


@pytest.fixture
def accelerate_launch(monkeypatch):
    """Reads a command as `accelerate launch` does: its arguments after its file, and what its ranks will find."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    def read(command):
        for name, value in command.env.items():
            monkeypatch.setenv(name, value)
        words = list(command.argv[command.argv.index("--config_file") :])
        args, defaults, precision_from_file = _validate_launch_command(
            launch_command_parser().parse_args(words)
        )
        if not args.use_deepspeed:
            return args, prepare_multi_gpu_env(args)
        args.deepspeed_fields_from_accelerate_config = ",".join(
            [*defaults.deepspeed_config, *(["mixed_precision"] if precision_from_file else [])]
        )
        return args, prepare_deepspeed_cmd_env(args)[1]

    return read


@pytest.mark.parametrize("case", cases("accelerate"))
def test_accelerate_reads_the_file(case, tmp_path):
    """Accelerate's own loader takes every key and finds the plan's machines and processes."""
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    plan = PLANS[case]
    placed("accelerate", case, tmp_path)
    config = load_config_from_file(str(tmp_path / "accelerate.json"))
    assert (config.num_machines, config.num_processes) == (plan.layout.num_nodes, plan.layout.world_size)
    assert config.mixed_precision in {None, "no", plan.precision.compute}


@pytest.mark.parametrize("case", [case for case in cases("accelerate") if PLANS[case].layout.num_nodes == 1])
def test_accelerate_launch_reads_the_words(case, tmp_path, accelerate_launch):
    """What `accelerate launch` makes of file and words is the plan: path, processes, precision, script."""
    plan = PLANS[case]
    (command,) = placed("accelerate", case, tmp_path).commands
    args, env = accelerate_launch(command)
    strategy = plan.layout.data_strategy
    assert (args.use_deepspeed, args.use_fsdp) == (strategy == "zero", strategy == "fsdp")
    assert args.multi_gpu == (strategy == "ddp")
    assert int(args.nproc_per_node) == plan.layout.devices_per_node
    assert env["ACCELERATE_MIXED_PRECISION"] == plan.precision.compute.replace("fp32", "no")
    assert args.main_process_port > 0
    assert args.training_script == "batchwright_witness"
    assert args.training_script_args[2 : 2 + len(script_of(case))] == script_of(case)
    if plan.launch.args == HOSTILE:
        assert args.training_script_args[3:] == GIVEN
    assert "ACCELERATE_GRADIENT_ACCUMULATION_STEPS" not in env


def test_accelerate_on_several_machines_knows_its_rank(tmp_path):
    """The command line's machine rank wins over the file's."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    for rank, command in enumerate(placed("accelerate", "gpu-8x8", tmp_path).commands):
        words = list(command.argv[command.argv.index("--config_file") :])
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
        assert (args.machine_rank, args.num_machines, args.num_processes) == (rank, 8, 64)
        assert (args.main_process_ip, args.main_process_port) == ("10.0.0.7", 6000)


@pytest.mark.usefixtures("cpu")
def test_accelerates_deepspeed_plugin_takes_the_files_numbers(tmp_path, monkeypatch, accelerate_launch):
    """In the ranks, Accelerate's plugin reads stage, accumulation, clipping and offload from DeepSpeed's file."""
    from accelerate.utils import DeepSpeedPlugin

    (command,) = placed("accelerate", "gpu-1x2-fp16-offload", tmp_path).commands
    _, env = accelerate_launch(command)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    plugin = DeepSpeedPlugin()
    assert (plugin.zero_stage, plugin.gradient_accumulation_steps, plugin.gradient_clipping) == (3, 3, 0.0)
    assert (plugin.offload_optimizer_device, plugin.offload_param_device) == ("cpu", "cpu")
    written = json.loads((tmp_path / "deepspeed.json").read_text())
    assert {**plugin.deepspeed_config, "steps_per_print": written["steps_per_print"]} == written
    plugin.set_mixed_precision(env["ACCELERATE_MIXED_PRECISION"])
    assert plugin.deepspeed_config["fp16"] == written["fp16"]


def test_accelerates_fsdp_plugin_takes_the_files_words(tmp_path, monkeypatch, accelerate_launch):
    """In the ranks, Accelerate's plugin shards as planned."""
    from accelerate.utils import FullyShardedDataParallelPlugin

    (command,) = placed("accelerate", "gpu-1x2-fsdp2", tmp_path).commands
    _, env = accelerate_launch(command)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.activation_checkpointing) == (
        2,
        True,
        False,
    )
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
