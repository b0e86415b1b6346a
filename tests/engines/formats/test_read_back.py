"""A rendered bundle, read again, says what the plan says; and when it does not, that is seen."""

import json
from dataclasses import replace

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.engines.formats.read_back import differences, started_ranks
from launcher.spec.bundle import LaunchBundle
from launcher.testing import changed, sample_plans

PLANS = sample_plans()
ENGINES = ("torchrun", "accelerate", "deepspeed")


def render(engine, case):
    plan = PLANS[case]
    return find_plugin("launcher.engines", engine).render(
        plan, [f"h{rank}" for rank in range(plan.layout.num_nodes)]
    )


def renderable():
    for engine in ENGINES:
        check = find_plugin("launcher.engines", engine).check
        yield from (
            (engine, case)
            for case, plan in PLANS.items()
            if not [p for p in check(plan) if p.severity == "error"]
        )


def tampered(bundle, name, change):
    config = json.loads(bundle.files[name])
    change(config)
    return LaunchBundle(files={**bundle.files, name: json.dumps(config)}, commands=bundle.commands)


@pytest.mark.parametrize(("engine", "case"), list(renderable()))
def test_every_sample_reads_back_as_planned(engine, case):
    """Files, commands and environment agree with the plan, before and after the bundle has a folder."""
    bundle = render(engine, case)
    assert differences(PLANS[case], bundle) == ()
    assert differences(PLANS[case], bundle.placed("/runs/a b \"c'")) == ()
    assert started_ranks(bundle) == PLANS[case].layout.world_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(train_batch_size=8), "`train_batch_size: 8`; the plan says 12"),
        (lambda c: c.update(gradient_clipping=0.5), "`gradient_clipping: 0.5`; the plan says 1.0"),
        (lambda c: c.pop("gradient_clipping"), "`gradient_clipping: nothing`; the plan says 1.0"),
        (lambda c: c["zero_optimization"].update(stage=3), "`zero_optimization.stage: 3`; the plan says 2"),
        (lambda c: c.update(bf16={"enabled": True}), "`bf16.enabled: true`; the plan says false"),
        (lambda c: c.update(prescale_gradients=True), "`prescale_gradients: true`; the plan says nothing"),
        (
            lambda c: c.update(scheduler={"type": "WarmupLR"}),
            '`scheduler: ["scheduler.type"]`; the plan says nothing',
        ),
        (lambda c: c.update(train_micro_batch_size_per_gpu="auto"), "`train_micro_batch_size_per_gpu: auto`"),
    ],
)
def test_a_number_changed_in_deepspeeds_file_is_seen(change, message):
    """Each number the plan owns is compared."""
    plan = PLANS["cpu-1x2-zero2"]
    found = differences(plan, tampered(render("deepspeed", "cpu-1x2-zero2"), "deepspeed.json", change))
    assert {p.code for p in found} == {"rendered-differs"}
    assert message in found[0].message


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda c: c.update(num_processes=1), 2),
        (lambda c: c.update(distributed_type="MULTI_CPU"), 1),
        (lambda c: c.update(mixed_precision="bf16"), 1),
        (lambda c: c.update(num_machines=2), 2),
    ],
)
def test_a_number_changed_in_accelerates_file_is_seen(change, count):
    """The file's numbers are compared, and the processes that follow from them are counted."""
    plan = PLANS["cpu-1x2"]
    assert (
        len(differences(plan, tampered(render("accelerate", "cpu-1x2"), "accelerate.json", change))) == count
    )


@pytest.mark.parametrize(
    ("engine", "word"),
    [
        ("torchrun", "2"),
        ("deepspeed", "2"),
        *((engine, word) for engine in ENGINES for word in ("0.30000000000000004", "train.py")),
    ],
)
def test_a_changed_word_is_seen(engine, word):
    """Number of processes, a filled argument, the script: each is compared where it stands in the command."""
    bundle = render(engine, "cpu-1x2")
    (command,) = bundle.commands
    assert word in command.argv
    argv = tuple("9" if each == word else each for each in command.argv)
    assert differences(PLANS["cpu-1x2"], replace(bundle, commands=(replace(command, argv=argv),)))


@pytest.mark.parametrize("name", ["LAUNCHER_PLAN", "BATCHWRIGHT_PLAN_HASH", "OMP_NUM_THREADS"])
def test_a_missing_variable_is_seen(name):
    """What witness and runtime rely on is compared too."""
    bundle = render("torchrun", "cpu-1x2")
    (command,) = bundle.commands
    env = {key: value for key, value in command.env.items() if key != name}
    (problem,) = differences(PLANS["cpu-1x2"], replace(bundle, commands=(replace(command, env=env),)))
    assert name in problem.message


def test_a_native_key_that_did_not_arrive_is_seen():
    """What a person wrote under launch.native stands in the file, or it is said that it does not."""
    plan = changed(PLANS["cpu-1x2"], launch={"native_deepspeed": {"aio": {"queue_depth": 8}}})
    (problem,) = differences(plan, render("deepspeed", "cpu-1x2"))
    assert "`aio.queue_depth: nothing`; the plan says 8" in problem.message


def test_ranks_of_an_unknown_tool_are_not_guessed():
    """Another package's engine may start processes in ways that are not known here."""
    bundle = render("torchrun", "cpu-1x2")
    (command,) = bundle.commands
    foreign = replace(
        command, argv=("mpirun", "-n", "2", *command.argv[command.argv.index("batchwright_witness") :])
    )
    assert started_ranks(replace(bundle, commands=(foreign,))) is None
    assert differences(PLANS["cpu-1x2"], replace(bundle, commands=(foreign,))) == ()


@pytest.mark.parametrize(
    ("engine", "flag", "value", "message"),
    [
        ("torchrun", "--node_rank", "0", "`--node_rank: 0`; the plan says 3"),
        ("torchrun", "--nnodes", "4", "`nodes: 4`; the plan says 8"),
        ("torchrun", "--master_addr", "h3", "`main address: "),
        ("accelerate", "--machine_rank", "0", "`--machine_rank: 0`; the plan says 3"),
        ("accelerate", "--main_process_ip", "h3", "`main address: "),
        ("deepspeed", "--node_rank", "0", "`--node_rank: 0`; the plan says 3"),
        ("deepspeed", "--world_info", "eyJhIjogWzBdfQ==", "`nodes: 1`; the plan says 8"),
    ],
)
def test_a_node_that_would_meet_the_others_elsewhere_is_seen(engine, flag, value, message):
    """Each node's number, the number of nodes and the one place where they meet are compared."""
    bundle = render(engine, "gpu-8x8-zero3" if engine != "torchrun" else "gpu-8x8")
    plan = PLANS["gpu-8x8-zero3"]
    if engine == "torchrun":
        plan = changed(PLANS["gpu-8x8"], launch={"main_address": "auto"})
        bundle = find_plugin("launcher.engines", engine).render(plan, [f"h{rank}" for rank in range(8)])
    argv = list(bundle.commands[3].argv)
    argv[argv.index(flag) + 1] = value
    commands = [*bundle.commands]
    commands[3] = replace(commands[3], argv=tuple(argv))
    found = differences(plan, replace(bundle, commands=tuple(commands)))
    assert any(message in problem.message for problem in found), [p.message for p in found]
