"""torchrun's command."""

import pytest

from launcher.engines.torchrun import ENGINE
from launcher.errors import EngineError
from launcher.spec.bundle import MAIN_PORT, RUN_DIR
from launcher.testing import changed, sample_plans

PLANS = sample_plans()
SCRIPT = ("-m", "--", "batchwright_witness", "--plan", f"{RUN_DIR}/plan.json", "train.py")


def test_one_node_picks_its_own_port():
    """Two jobs on one machine never meet, and no name has to resolve."""
    (command,) = ENGINE.render(PLANS["cpu-1x2"], ["h"]).commands
    words = (
        "torchrun",
        "--nnodes",
        "1",
        "--nproc_per_node",
        "2",
        "--standalone",
        "--local_addr",
        "127.0.0.1",
    )
    assert command.argv[: len(words) + 2] == (*words, "--max_restarts", "0")
    assert command.argv[10:16] == SCRIPT


def test_a_written_port_is_used():
    """A number that a person wrote is kept."""
    (command,) = ENGINE.render(changed(PLANS["cpu-1x2"], launch={"main_port": 6001}), ["h"]).commands
    assert command.argv[5:11] == ("--node_rank", "0", "--master_addr", "127.0.0.1", "--master_port", "6001")


def test_several_nodes_are_one_command_each():
    """Every node names the same meeting place and its own rank."""
    bundle = ENGINE.render(PLANS["gpu-8x8-zero3"], [f"n{rank}" for rank in range(8)])
    assert [(c.node_rank, c.host) for c in bundle.commands] == [(rank, f"n{rank}") for rank in range(8)]
    for rank, command in enumerate(bundle.commands):
        assert command.argv[1:5] == ("--nnodes", "8", "--nproc_per_node", "8")
        assert command.argv[5:11] == (
            "--node_rank",
            str(rank),
            "--master_addr",
            "n0",
            "--master_port",
            MAIN_PORT,
        )


def test_a_module_is_run_by_the_witness():
    """`launch.module` goes to the witness, not to torchrun."""
    (command,) = ENGINE.render(PLANS["cpu-1x2-bare"], ["h"]).commands
    assert command.argv[-4:] == ("--plan", f"{RUN_DIR}/plan.json", "--module", "package.train")


def test_an_optimizer_nobody_builds_is_refused():
    """Torchrun renders no optimizer."""
    plan = changed(PLANS["cpu-1x2"], optimizer={"owner": "engine"})
    assert [(p.code, p.path) for p in ENGINE.check(plan)] == [("engine-cannot", "optimizer.owner")]


def test_fp8_on_cpu_is_refused():
    """No engine can do it."""
    plan = changed(PLANS["cpu-1x2"], precision={"compute": "fp8"})
    assert [(p.code, p.path) for p in ENGINE.check(plan)] == [("engine-cannot", "precision")]


def test_every_fault_is_reported_at_once():
    """Arguments, environment, flags and the missing script come in one error."""
    launch = {"script": None, "args": ("{lr}", "}"), "env": {"RANK": "{x}"}, "native_argv": ("--nnodes", "2")}
    with pytest.raises(EngineError) as raised:
        ENGINE.render(changed(PLANS["cpu-1x2"], launch=launch), ["h"])
    assert [(p.code, p.path) for p in raised.value.problems] == [
        ("unknown-placeholder", "launch.args.0"),
        ("unbalanced-brace", "launch.args.1"),
        ("native-owns-key", "launch.env.RANK"),
        ("unknown-placeholder", "launch.env.RANK"),
        ("native-owns-key", "launch.native.argv.0"),
        ("missing-script", "launch"),
    ]
