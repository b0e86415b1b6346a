"""A launch whose commands only reach other machines: what nodes are handed, and what is said of the end."""

import io
import json
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.handoff.host_ends import job_end
from launcher.handoff.launch import launch
from launcher.handoff.launch_papers import caller_variables, launch_papers
from launcher.handoff.order import Order, stop_commands, with_callers_options
from launcher.spec.bundle import PYTHON, RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.place import ContainerPlan
from launcher.testing import changed, sample_plans

HOSTS = ("node-a", "node-b")
BESIDE = Path(sys.executable).parent


@pytest.fixture
def order(tmp_path):
    """An order of two nodes, reached by a shell text instead of pdsh."""
    (tmp_path / "train.py").touch()

    def make(text="exit 0", *, environ=(), launch=(), **bundle):
        plan = changed(
            sample_plans()["cpu-2x1-hostile"],
            launch={
                "executor": "local",
                "hosts": HOSTS,
                "workdir": str(tmp_path),
                "args": (),
                **dict(launch),
            },
        )
        # not the local executor's own refusal: any other name
        plan = changed(plan, launch={"executor": "other"})
        nodes = tuple(
            NodeCommand(node_rank=rank, host=host, argv=("torchrun", str(rank)), env={"A": "b"})
            for rank, host in enumerate(HOSTS)
        )
        start = NodeCommand(
            node_rank=0, host="node-a", argv=("sh", "-c", text, "sh", RUN_DIR, PYTHON), env={}
        )
        return Order(
            plan=plan,
            bundle=LaunchBundle(files={}, commands=(start,), nodes=nodes, **bundle),
            recipe_text="",
            asked=("batchwright",),
            requirements=("torchrun",),
            environ={"PATH": "/usr/bin:/bin", **dict(environ)},
            beside=BESIDE,
        )

    return make


def launched(order, directory):
    """Exit code, words and status of a launch."""
    out, err = io.StringIO(), io.StringIO()
    code = launch(order, directory=directory, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue(), json.loads((directory / "status.json").read_text())


def word_of(node, host, **facts):
    """A node's record as shell text that writes it."""
    record = {
        "node": node,
        "host": host,
        "exit": 0,
        "rank": None,
        "error": None,
        "time": time.time(),
        **facts,
    }
    return f"""mkdir -p "$1/nodes"; cat >"$1/nodes/{node}.json" <<'END'
{json.dumps(record)}
END
"""


def test_a_job_that_goes_on_without_us(order, tmp_path):
    """A job that was only handed over is submitted, with exit code 0, and has not ended."""
    code, out, err, status = launched(order("echo job 17", attached=False), tmp_path / "run")
    assert (code, out) == (0, "job 17\n")
    assert (status["state"], status["exit"], status["ended"]) == ("submitted", None, None)
    assert "submitted; it goes on without us" in err


def test_a_job_that_nobody_took(order, tmp_path):
    """Nothing was started where the scheduler refuses: 78, with its words."""
    made = order("echo no such partition >&2; exit 3", attached=False)
    code, _, err, status = launched(made, tmp_path / "run")
    assert (code, status["state"], status["exit"]) == (78, "failed", 78)
    assert "refused nothing was started: " in err
    assert "| no such partition" in err


def test_the_log_of_a_scheduler_is_the_output(order, tmp_path):
    """What lands in the job's file is printed, and kept with the rest."""
    made = order('echo from the job >"$1/logs/job.log"; sleep 1', log="logs/job.log")
    code, out, _, _ = launched(made, tmp_path / "run")
    assert (code, out) == (0, "from the job\n")
    assert (tmp_path / "run" / "logs" / "launch.log").read_text() == "from the job\n"


def test_what_status_and_stop_need_is_in_the_folder(order, tmp_path):
    """Executor, hosts, and the commands that end the job stand in the run folder, placed."""
    made = order(stop=(("echo", RUN_DIR),), hosts=HOSTS)
    _, _, _, status = launched(made, tmp_path / "run")
    assert (status["executor"], status["hosts"]) == ("other", list(HOSTS))
    bundle = json.loads((tmp_path / "run" / "bundle.json").read_text())
    assert bundle["stop"] == [["echo", str(tmp_path / "run")]]
    assert (bundle["main_address"], bundle["hosts"]) == ("node-a", list(HOSTS))
    assert 20_000 <= bundle["main_port"] < 30_000
    assert [each["argv"] for each in bundle["nodes"]] == [["torchrun", "0"], ["torchrun", "1"]]


def test_the_main_nodes_last_word_is_the_end(order, tmp_path):
    """The exit code, the rank and the host are those of the main node's verdict; the lines are the rank's own."""
    job = {
        "exit": 17,
        "message": "rank 1 on node-b (node 1) ended with exit code 17: no",
        "node": 1,
        "rank": 1,
    }
    text = (
        word_of(0, "node-a", exit=143, job=job)
        + word_of(1, "node-b", exit=17, rank=1, error="no")
        + 'echo of rank 1 >"$1/logs/rank-1.log"; echo of another; exit 17'
    )
    code, _, err, status = launched(order(text), tmp_path / "run")
    assert (code, status["exit"], status["failed_rank"], status["failed_host"]) == (17, 17, 1, "node-b")
    assert "failed  rank 1 on node-b (node 1) ended with exit code 17: no" in err
    assert "| of rank 1" in err
    assert "of another" not in err


def test_another_ranks_words_are_shown(order, tmp_path):
    """A rank that ends because another one said why is not what a person wants to read."""
    job = {"exit": 1, "message": "rank 1 on node-b (node 1) ended: the loss is nan", "node": 1, "rank": 1}
    text = (
        word_of(0, "node-a", exit=1, job=job)
        + word_of(1, "node-b", exit=1, rank=1, error="the loss is nan")
        + 'echo rank 0 says why >"$1/logs/rank-1.log"; echo "node-a: step 5"; echo "node-a: the loss is nan"; exit 1'
    )
    _, _, err, _ = launched(order(text), tmp_path / "run")
    assert "| node-a: step 5\n        | node-a: the loss is nan" in err
    assert "says why" not in err


def test_nobody_came(order, tmp_path):
    """Where no node has even begun, nothing was started."""
    code, _, err, status = launched(order("echo ssh: no >&2; exit 255"), tmp_path / "run")
    assert (code, status["exit"]) == (78, 78)
    assert "refused nothing was started: `sh` ended with exit code 255 before any node had begun" in err
    assert "| ssh: no" in err


@pytest.mark.parametrize(
    ("records", "returncode", "end"),
    [
        (
            {0: {"exit": 0}},
            255,
            (1, "no word of how the job ended from node-b (node 1): gone, or cut off", "node-b"),
        ),
        (
            {1: {"exit": 0}},
            255,
            (1, "no word of how the job ended from node-a (node 0): gone, or cut off", "node-a"),
        ),
        (
            {
                0: {"exit": 78, "error": "node-b did not come [nodes-absent]"},
                1: {"exit": 78, "error": "no way"},
            },
            78,
            (78, "no way\nnode-b did not come [nodes-absent]", "node-b"),
        ),
        ({0: {"exit": 0}, 1: {"exit": 0}}, 0, (0, "", None)),
        (
            {0: {"exit": 143, "time": 1}, 1: {"exit": 5, "time": 2}},
            143,
            (5, "node-b ended with exit code 5", "node-b"),
        ),
    ],
)
def test_the_end_without_a_verdict(tmp_path, records, returncode, end):
    """Where the main node has said nothing, the others' records tell, and who has left none is named."""
    (tmp_path / "nodes").mkdir()
    for node, facts in records.items():
        record = {"node": node, "host": HOSTS[node], "time": 0.0, **facts}
        (tmp_path / "nodes" / f"{node}.json").write_text(json.dumps(record))
    (tmp_path / "nodes" / "2.json").write_text("{")
    found = job_end(tmp_path, hosts=HOSTS, num_nodes=2, returncode=returncode, program="pdsh")
    assert (found.exit, found.message, found.host) == end


def test_secrets_are_files_of_one_node_each_and_gone(order, tmp_path):
    """Each node finds its own, readable by its owner only; whatever happens, none is left, and none is printed."""
    made = order(
        'stat -c "%a %n" "$1"/secrets.*.json "$1/launch.json" | sed "s|$1/||"; kill -9 $$',
        environ={"TOKEN": "t0ken", "HF_HOME": "/hf", "USER": "me"},
        launch={"pass_env": ("TOKEN",)},
    )
    made = replace(made, bundle=replace(made.bundle, secret_files=False))
    papers = launch_papers(made, replace(made.bundle, secret_files=True))
    assert set(papers) == {"launch.json", "secrets.0.json", "secrets.1.json"}
    assert json.loads(papers["secrets.1.json"]) == {"TOKEN": "t0ken"}
    assert "t0ken" not in papers["launch.json"]
    assert set(launch_papers(made, made.bundle)) == {"launch.json"}
    assert launch_papers(made, replace(made.bundle, nodes=())) == {}
    assert papers["launch.json"] != launch_papers(made, made.bundle)["launch.json"], (
        "the id is one launch's own"
    )

    run = tmp_path / "run"
    _, _, _, _ = launched(made, run)
    assert not list(run.glob("secrets.*"))
    assert stat.S_IMODE((run / "launch.json").stat().st_mode) == 0o600
    assert not [path for path in run.rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()]


def test_the_callers_variables(order):
    """A node hears of the caller's settings, not of the caller's machine; after a setup software is the node's own."""
    environ = {
        "HOME": "/me",
        "HF_HOME": "/hf",
        "XDG_RUNTIME_DIR": "/x",
        "CUDA_VISIBLE_DEVICES": "0",
        "SECRET": "s",
    }
    environ |= {"LD_LIBRARY_PATH": "/lib", "NCCL_DEBUG": "WARN", "TOKEN": "t"}
    plain = order(environ=environ, launch={"pass_env": ("TOKEN",)})
    assert set(caller_variables(plain)) == {"PATH", "HF_HOME", "LD_LIBRARY_PATH", "NCCL_DEBUG"}
    loaded = order(environ=environ, launch={"setup": (("module", "load", "cuda"),)})
    assert set(caller_variables(loaded)) == {"HF_HOME", "NCCL_DEBUG"}


def test_the_program_that_reaches_hosts_is_the_persons_own(order, tmp_path):
    """Agents and configuration reach it, and a person's ssh options come before ours, because ssh takes the first."""
    made = order(stop=(("echo", "x"),), environ={"SSH_AUTH_SOCK": "/agent"})
    (stop,) = stop_commands(made, made.bundle.placed(str(tmp_path)))
    assert stop.env["SSH_AUTH_SOCK"] == "/agent"
    ours = {"PDSH_SSH_ARGS_APPEND": "-oA=b"}
    assert with_callers_options(environ={}, rendered=ours) == ours
    both = with_callers_options(environ={"PDSH_SSH_ARGS_APPEND": "-F mine"}, rendered=ours)
    assert both == {"PDSH_SSH_ARGS_APPEND": "-F mine -oA=b"}


@pytest.mark.parametrize(
    ("launch", "python"),
    [
        ({}, str(BESIDE / "python3")),
        ({"python": "/opt/py/bin/python"}, "/opt/py/bin/python"),
        ({"python": "python3.12"}, "python3.12"),
        ({"container": ContainerPlan(image="a", mounts=(), runtime="apptainer")}, "python3"),
    ],
)
def test_the_interpreter_of_the_nodes(order, launch, python):
    """As written; else ours, which a shared file system has everywhere; in an image the image's."""
    assert order(launch=launch).python == python


def test_a_relative_interpreter_is_taken_from_the_workdir(order, tmp_path):
    """A login starts in another folder."""
    assert order(launch={"python": "venv/bin/python"}).python == str(tmp_path / "venv/bin/python")


def test_programs_that_are_needed_here(order):
    """The engine is needed on the nodes; here only what reaches them."""
    assert order().executables == ("sh",)


def test_pdsh_is_missing_in_words(tmp_path):
    """Before anything is written, with the package that brings it."""
    (tmp_path / "hosts").write_text("node-a slots=1\nnode-b slots=1\n")
    (tmp_path / "train.py").touch()
    (tmp_path / "r.yaml").write_text(
        "global_batch_size: 8\nsequence_length: 16\nhidden_size: 64\n"
        "cluster: {nodes: 2, devices_per_node: 1, device: cpu, hostfile: hosts}\n"
        "launch: {executor: ssh, script: train.py}\n"
    )
    words = [str(BESIDE / "batchwright"), "run", "r.yaml"]
    ran = subprocess.run(
        words, cwd=tmp_path, env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 78
    assert "`pdsh` is neither beside our own interpreter nor on PATH [executable-not-found]" in ran.stderr
    assert "hint: apt-get install pdsh" in ran.stderr
    assert not (tmp_path / "runs").exists()
