"""The executor for this machine."""

import os
import subprocess

from launcher.executors.local import EXECUTOR
from launcher.spec.bundle import MAIN_ADDRESS, LaunchBundle, NodeCommand
from launcher.spec.place import ContainerPlan
from launcher.testing import changed, sample_plans

PLANS = sample_plans()


def test_commands_stay_as_they_are():
    """Nothing is wrapped around a command that runs here."""
    bundle = LaunchBundle(files={"a": "b"}, commands=())
    assert EXECUTOR.render(PLANS["cpu-1x2"], bundle) is bundle


def test_several_nodes_are_a_warning():
    """A plan over several nodes may be made and rendered here; only starting it is out of reach."""
    assert EXECUTOR.check(PLANS["cpu-1x2"]) == ()
    (problem,) = EXECUTOR.check(PLANS["gpu-8x8"])
    assert (problem.code, problem.severity) == ("not-yet-supported", "warning")


def test_a_main_node_without_a_name_gets_one():
    """Printed commands hold no placeholder: nobody fills it in where a person types them."""
    commands = tuple(
        NodeCommand(node_rank=rank, host=host, argv=("torchrun", "--master_addr", MAIN_ADDRESS), env={})
        for rank, host in enumerate((MAIN_ADDRESS, "node-1"))
    )
    plan = changed(PLANS["gpu-8x8"], layout={"num_nodes": 2})
    bundle = EXECUTOR.render(plan, LaunchBundle(files={}, commands=commands))
    assert [(each.host, each.argv[2]) for each in bundle.commands] == [
        ("node-0", "node-0"),
        ("node-1", "node-0"),
    ]


def run_here(plan, *words, **environ):
    """What a wrapped command prints."""
    command = NodeCommand(node_rank=0, host="h", argv=words, env={})
    bundle = EXECUTOR.render(plan, LaunchBundle(files={}, commands=(command,)))
    argv = bundle.placed("/r", python="/opt/py/bin/python3").commands[0].argv
    ran = subprocess.run(
        argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_setup_runs_before_the_command_in_the_same_shell():
    """A setup command's words are words; what it changes in the shell holds for the job."""
    plan = changed(PLANS["cpu-1x2"], launch={"setup": (("export", "SITE=it's $(id)"), ("umask", "027"))})
    assert (
        run_here(plan, "sh", "-c", 'echo "$SITE"; umask; echo "$1"', "sh", "a 'b'\n$c")
        == "it's $(id)\n0027\na 'b'\n$c\n"
    )


def test_what_setup_exports_is_named():
    """The node program hands on what a setup brought, by its name, and nothing else that a login has."""
    setup = (("export", "SITE=1", "SITE_LIBRARY=/x"), ("export", "LOGIN=2"), ("eval", "inner=3"))
    plan = changed(PLANS["cpu-1x2"], launch={"setup": setup})
    said = run_here(plan, "sh", "-c", "echo $BATCHWRIGHT_SETUP", LOGIN="there already")
    assert sorted(said.split()) == ["SITE", "SITE_LIBRARY"]


def test_after_setup_our_interpreters_folder_comes_first():
    """A profile may set PATH anew; the engine's tool is still the one that belongs to the job's interpreter."""
    plan = changed(PLANS["cpu-1x2"], launch={"setup": (("export", "PATH=/usr/bin:/bin"),)})
    assert run_here(plan, "sh", "-c", "echo $PATH") == "/opt/py/bin:/usr/bin:/bin\n"


def test_a_setup_that_fails_starts_nothing():
    """The job does not run without its modules."""
    plan = changed(PLANS["cpu-1x2"], launch={"setup": (("false",),)})
    command = NodeCommand(node_rank=0, host="h", argv=("echo", "started"), env={})
    argv = EXECUTOR.render(plan, LaunchBundle(files={}, commands=(command,))).placed("/r").commands[0].argv
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert (ran.returncode, ran.stdout) == (1, "")


def test_containers():
    """Apptainer is entered here too; what other executors start images with is refused in words."""

    def plan(runtime):
        return changed(
            PLANS["cpu-1x2"], launch={"container": ContainerPlan(image="a.sif", mounts=(), runtime=runtime)}
        )

    command = NodeCommand(node_rank=0, host="h", argv=("torchrun", "x"), env={})
    bundle = EXECUTOR.render(plan("apptainer"), LaunchBundle(files={}, commands=(command,)))
    words = ("apptainer", "exec", "--bind", "/r", "--bind", "/work", "a.sif", "torchrun", "x")
    assert bundle.placed("/r").commands[0].argv == words
    assert [problem.code for problem in EXECUTOR.check(plan("docker"))] == ["executor-cannot"]
