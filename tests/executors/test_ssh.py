"""The executor for hosts reached over ssh."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.engines.formats.read_back import differences
from launcher.errors import EngineError
from launcher.executors.ssh import EXECUTOR, OPTIONS
from launcher.spec.place import ContainerPlan
from launcher.testing import changed, sample_plans

ENGINES = ("torchrun", "accelerate", "deepspeed")
HOSTS = ("node-a", "node-b")
PLAN = changed(sample_plans()["cpu-2x1-hostile"], launch={"executor": "ssh", "hosts": HOSTS})
FOLDER = "/runs/100% of\nit's $(id)"


def rendered(plan=PLAN, engine="torchrun"):
    return EXECUTOR.render(plan, find_plugin("launcher.engines", engine).render(plan, plan.launch.hosts))


def problems(plan):
    return [(problem.code, problem.path) for problem in EXECUTOR.check(plan)]


def remote_words(command, node):
    """What the shell of one node makes of pdsh's last word: `%%` and `%n` replaced, then read as words."""
    text = command[-1].replace("%n", str(node)).replace("%%", "%")
    return shlex.split(text)


@pytest.mark.parametrize("engine", ENGINES)
def test_bundles_are_the_golden_ones(golden, engine):
    """The same plan renders to the same bytes as when a person last looked at them."""
    placed = rendered(engine=engine).placed("/runs/sample", python="/opt/py/bin/python3")
    shown = {
        name: [{"host": c.host, "argv": list(c.argv), "env": dict(c.env)} for c in getattr(placed, name)]
        for name in ("commands", "nodes")
    }
    text = json.dumps({**shown, "stop": placed.stop, "hosts": placed.hosts}, indent=1) + "\n"
    golden(f"executors/ssh-{engine}", {**placed.files, "bundle.json": text})


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engines_commands_are_the_nodes(engine):
    """What runs on a node is what the engine rendered for it, read back and compared with the plan."""
    bundle = rendered(engine=engine)
    assert [(each.node_rank, each.host) for each in bundle.nodes] == [(0, "node-a"), (1, "node-b")]
    assert bundle.nodes == find_plugin("launcher.engines", engine).render(PLAN, HOSTS).commands
    assert differences(PLAN, bundle) == ()
    assert bundle.secret_files


def test_one_command_reaches_all_hosts_at_once():
    """No node starts before all are there, so pdsh may keep none of them waiting."""
    hosts = tuple(f"n{rank}" for rank in range(40))
    plan = changed(
        PLAN,
        layout={"num_nodes": 40, "world_size": 40},
        batch={"data_parallel_size": 40},
        launch={"hosts": hosts},
    )
    (command,) = rendered(plan).commands
    assert command.argv[:6] == ("pdsh", "-S", "-R", "ssh", "-f", "40")
    assert command.argv[command.argv.index("-w") + 1] == ",".join(hosts)
    assert command.env == {
        "PDSH_SSH_ARGS_APPEND": "-oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=5 -oServerAliveCountMax=3"
    }
    assert len(OPTIONS) == 4


def test_every_word_arrives_as_it_is():
    """A folder with a percent sign, quotes, a line break and a command in it is one word on the node."""
    placed = rendered().placed(FOLDER, python="/opt/p y/python")
    start = ["exec", "/opt/p y/python", "-m", "batchwright_node", FOLDER, "--node", "1"]
    assert remote_words(placed.commands[0].argv, node=1) == start
    assert remote_words(placed.stop[0], node=1) == [*start, "--stop"]


def test_nothing_of_the_job_is_in_the_command():
    """Arguments and variables are read from the run folder: no shell sees them, and no process list shows them."""
    bare = changed(PLAN, launch={"args": (), "env": {}, "script": "other.py"})
    assert rendered().commands == rendered(bare).commands


def test_setup_is_in_one_login_shell_with_the_job():
    """`module load` changes the shell that then becomes the node program; its words are words and no shell text."""
    setup = (("module", "load", "cuda/12.8"), ("note", "it's 100% $(id)"))
    placed = rendered(changed(PLAN, launch={"setup": setup})).placed("/r", python="/opt/py/bin/python3")
    words = remote_words(placed.commands[0].argv, node=0)
    assert words[:3] == ["exec", "bash", "-lc"]
    assert words[3].startswith('before="$(compgen -e)" && module load')
    assert (
        words[3].split(" && ", 1)[1].startswith("module load cuda/12.8 && note 'it'\"'\"'s 100% $(id)' && ")
    )
    assert words[4:6] == ["/opt/py/bin/python3", "/opt/py/bin/python3"]
    assert words[6:] == ["-m", "batchwright_node", "/r", "--node", "0"]
    assert subprocess.run(["bash", "-n", "-c", words[3]], check=False).returncode == 0


def test_apptainer_is_entered_after_setup():
    """The image sees devices, mounts, run folder and workdir."""
    container = ContainerPlan(image="torch.sif", mounts=("/data:/data:ro",), runtime="apptainer")
    plan = changed(PLAN, launch={"container": container}, layout={"device_kind": "cuda"})
    words = remote_words(rendered(plan).placed("/r").commands[0].argv, node=0)
    assert words[1:4] == ["apptainer", "exec", "--nv"]
    assert words[4:11] == ["--bind", "/data:/data:ro", "--bind", "/r", "--bind", "/work", "torch.sif"]
    assert words[11:] == ["python3", "-m", "batchwright_node", "/r", "--node", "0"]


def test_several_nodes_need_names():
    """Without a hostfile there is an error, never as many lone trainings as there are nodes."""
    assert problems(changed(PLAN, launch={"hosts": ()})) == [("no-hostfile", "cluster.hostfile")]
    alone = changed(PLAN, layout={"num_nodes": 1}, launch={"hosts": ()})
    assert problems(alone) == []


@pytest.mark.parametrize("host", ["n[1-4]", "a,b", "^file", "-x", "/a/", "%h", "$(id)", "me@a", "a b", ""])
def test_a_name_that_pdsh_reads_as_something_else_is_refused(host):
    """Brackets, commas and prefixes would make other hosts of one, or none."""
    assert problems(changed(PLAN, launch={"hosts": (host, "node-b")})) == [
        ("executor-cannot", "cluster.hostfile")
    ]


@pytest.mark.parametrize(("runtime", "owner"), [("pyxis", "slurm"), ("docker", "kubernetes")])
def test_images_that_ssh_cannot_enter_are_refused(runtime, owner):
    """The message names the executor that can."""
    container = ContainerPlan(image="torch", mounts=(), runtime=runtime)
    (problem,) = EXECUTOR.check(changed(PLAN, launch={"container": container}))
    assert (problem.code, problem.path) == ("executor-cannot", "launch.container.runtime")
    assert problem.hint == f"write launch.container.runtime: apptainer, or launch.executor: {owner}"


def test_a_mount_with_a_comma_is_refused():
    """Apptainer would take it for two mounts."""
    container = ContainerPlan(image="torch.sif", mounts=("/a", "/b,c"), runtime="apptainer")
    assert problems(changed(PLAN, launch={"container": container})) == [
        ("executor-cannot", "launch.container.mounts.1")
    ]


def test_an_engine_that_reaches_the_nodes_itself_is_refused():
    """DeepSpeed's own pdsh inside ours would start one job per node."""
    plan = changed(
        sample_plans()["gpu-8x8"],
        launch={"engine": "deepspeed", "native_argv": ("--launcher", "pdsh"), "hosts": tuple("abcdefgh")},
    )
    with pytest.raises(EngineError) as raised:
        rendered(plan, engine="deepspeed")
    assert [p.code for p in raised.value.problems] == ["executor-cannot"]


@pytest.mark.skipif(not shutil.which("pdsh"), reason="pdsh is not installed")
def test_pdsh_hands_the_words_on(tmp_path):
    """The rendered line, run by pdsh itself with a shell in place of ssh, starts the interpreter with its words."""
    folder = tmp_path / "100% it's\n$(id)"
    folder.mkdir()
    python = folder / "python 3"
    python.write_text(
        f"#!{sys._base_executable} -S\nimport json, sys\nopen(sys.argv[0] + sys.argv[-1], 'w').write(json.dumps(sys.argv))\n"
    )
    python.chmod(0o755)
    placed = rendered().placed(str(folder), python=str(python))
    argv = list(placed.commands[0].argv)
    words = [*argv[:3], "exec", *argv[4:-1], "sh", "-c", argv[-1]]
    subprocess.run(words, check=True, timeout=60, capture_output=True)
    for node in (0, 1):
        seen = json.loads((folder / f"python 3{node}").read_text())
        assert seen == [str(python), "-m", "batchwright_node", str(folder), "--node", str(node)]
