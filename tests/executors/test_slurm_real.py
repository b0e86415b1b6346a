"""Jobs on a real Slurm cluster of two nodes: what is handed on, how a job is ended, and how it starts again."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.discovery.node_lists import expand_hosts

pytestmark = pytest.mark.real

SCRIPT = Path(__file__).parent / "scripts" / "told.py"
BATCHWRIGHT = str(Path(sys.executable).with_name("batchwright"))
RECIPE = """\
global_batch_size: 8
sequence_length: 16
hidden_size: 64
cluster: {{nodes: 2, devices_per_node: 1, device: cpu}}
launch:
  executor: slurm
  script: {script}
  timeouts: {{handshake: 40 s, grace: 8 s}}
"""


class Slurm:
    """The cluster, and a folder that its nodes share."""

    def __init__(self, lab, folder):
        self.environ = lab.slurm_environ()
        self.folder = folder
        self.lab = lab
        self.started = []

    def recipe(self, more="", **top):
        text = (
            RECIPE.format(script=SCRIPT) + more + "".join(f"{key}: {value}\n" for key, value in top.items())
        )
        (self.folder / "recipe.yaml").write_text(text)

    def words(self, *options, run="run"):
        return [
            BATCHWRIGHT,
            "run",
            "recipe.yaml",
            "--no-preflight",
            "--no-selftest",
            "--run-dir",
            run,
            *options,
        ]

    def start(self, words, **environ):
        self.started.append(
            subprocess.Popen(
                words,
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return self.started[-1]

    def end(self):
        """Nothing that was started here goes on."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def told(self, words, seconds=90, **environ):
        """Exit code and everything printed."""
        process = self.start(words, **environ)
        return process.communicate(timeout=seconds)[0], process.returncode

    def ask(self, *words):
        ran = subprocess.run(words, env=self.environ, capture_output=True, text=True, check=False, timeout=30)
        return ran.stdout

    def jobs(self, *options):
        return self.ask("squeue", "--noheader", "--format=%A", *options).split()

    def starts(self, rank=0):
        path = self.folder / f"starts-{rank}"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def until(self, true, seconds=60):
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.ask("squeue") + self.log()
            time.sleep(0.1)

    def log(self, run="run"):
        path = self.folder / run / "logs" / "job.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self, run="run"):
        return json.loads((self.folder / run / "status.json").read_text())


@pytest.fixture
def slurm(lab, tmp_path):
    """Afterwards the cluster has no job, and no node a process."""
    made = Slurm(lab, tmp_path)
    yield made
    made.end()
    if left := made.jobs():
        made.ask("scancel", "--signal=KILL", "--full", *left)
        made.ask("scancel", *left)
        made.until(lambda: not made.jobs(), 30)


def test_hosts_are_those_of_scontrol(lab):
    """Our reading of a node list is Slurm's own."""
    lists = [
        "n1",
        "n[01-03,7]",
        "a[1-2]b[3-4]",
        "n[8-11]",
        "n[08-11]",
        "n[098-101]",
        "r[1-2]n[01-02],login,n[3]",
    ]
    for text in lists:
        words = ["scontrol", "show", "hostnames", text]
        ran = subprocess.run(
            words, env=lab.slurm_environ(), capture_output=True, text=True, check=True, timeout=30
        )
        assert expand_hosts(text) == tuple(ran.stdout.split())


def test_a_secret_arrives_and_is_written_nowhere(slurm):
    """A site's own script with our job in it; a variable by name, setup on every node, and no file with its value."""
    secret = "b3ware; $(id) 'it\"s' \u00e9,\nsecond line"
    site = "#!/bin/bash\n#SBATCH --comment='a site'\necho site says {global_batch_size} ${{HOME}} {{a,b}}\n#BATCHWRIGHT\n"
    (slurm.folder / "site.sbatch").write_text(site.replace("${{HOME}}", "${HOME}"))
    slurm.recipe(
        "  pass_env: [PASSED]\n  template: site.sbatch\n  env: {FROM_RECIPE: x}\n"
        '  setup: [[export, "HTTP_PROXY=it\'s $(id)"]]\n'
    )
    said, code = slurm.told(slurm.words(), PASSED=secret, SBATCH_EXPORT="ALL", NOT_ASKED="hidden-value")
    assert code == 0, said + slurm.log()
    for rank in (0, 1):
        (start,) = slurm.starts(rank)
        assert start["env"]["PASSED"] == secret
        assert start["env"]["HTTP_PROXY"] == "it's $(id)"
    assert f"site says 8 {slurm.environ['HOME']} a b\n" in slurm.log()
    (job,) = {start["job"] for start in (*slurm.starts(0), *slurm.starts(1))}
    texts = [
        slurm.ask("scontrol", "show", "job", job),
        slurm.ask("scontrol", "write", "batch_script", job, "-"),
        said,
    ]
    assert not any("b3ware" in text or "hidden-value" in text for text in texts)
    for path in (slurm.folder / "run").rglob("*"):
        assert not path.is_file() or b"b3ware" not in path.read_bytes(), path
    # Slurm's own state holds what it hands on, for its own user alone
    holding = [path for path in slurm.lab.slurm_config().parent.rglob("*") if _holds(path, b"b3ware")]
    assert [path for path in holding if path.stat().st_mode & 0o077] == []
    assert not [path for path in slurm.lab.slurm_config().parent.rglob("*") if _holds(path, b"hidden-value")]


def _holds(path, text):
    try:
        return path.is_file() and text in path.read_bytes()
    except OSError:
        return False


def test_a_job_left_to_itself_is_stopped_with_grace(slurm):
    """`run --detach` returns; `stop` lets every rank save, and status tells how it ended."""
    slurm.recipe('  args: ["--wait"]\n')
    said, code = slurm.told(slurm.words("--detach"))
    assert code == 0, said
    assert "submitted" in said
    slurm.until(lambda: slurm.starts(0) and slurm.starts(1))
    said, code = slurm.told([BATCHWRIGHT, "stop", "run"])
    assert code == 0, said
    slurm.until(lambda: not slurm.jobs(), 30)
    for rank in (0, 1):
        assert (slurm.folder / f"left-{rank}").exists(), slurm.log()
    said, _ = slurm.told([BATCHWRIGHT, "status", "run", "--json"])
    assert json.loads(said)["state"] == "interrupted"
    slurm.lab.wait_empty(10)


def test_a_job_that_waits_is_cancelled(slurm):
    """Ctrl-C takes a pending job out of the queue; one that somebody else takes out is no success."""
    slurm.recipe('  slurm: {extra: ["--begin=now+1hour"]}\n')
    mine, other = slurm.start(slurm.words(run="mine")), slurm.start(slurm.words(run="other"))
    slurm.until(lambda: len(slurm.jobs("--states=PENDING")) == 2, 30)
    mine.send_signal(signal.SIGINT)
    slurm.until(lambda: len(slurm.jobs("--states=PENDING")) == 1, 10)
    slurm.ask("scancel", *slurm.jobs())
    said, _ = other.communicate(timeout=30)
    mine.communicate(timeout=30)
    assert (mine.returncode, other.returncode) == (130, 1)
    assert "failed  the job was cancelled before it started" in said
    assert slurm.status("mine")["state"] == "interrupted"


def test_a_chain_goes_on_from_its_checkpoint(slurm):
    """The first job is asked to end, as before a time limit, and saves; the next resumes and finishes; the last rests."""
    slurm.recipe(
        '  args: ["--wait"]\n  slurm: {array: 3}\n',
        checkpoint="{every: 3 steps}",
        resume='{args: ["--resume", "{latest_checkpoint}"]}',
    )
    process = slurm.start(slurm.words())
    slurm.until(lambda: slurm.starts(0) and slurm.starts(1))
    slurm.ask("scancel", "--signal=TERM", "--state=RUNNING", *slurm.jobs("--states=RUNNING"))
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 0, said
    first, second = slurm.starts(0)
    assert first["args"] == ["--wait"]
    assert second["args"] == ["--wait", "--resume", f"{slurm.folder}/checkpoints/step-3"]
    assert first["job"] != second["job"]
    slurm.until(lambda: not slurm.jobs(), 20)
    assert len(slurm.starts(0)) == 2
    assert slurm.status()["state"] == "done"


@pytest.mark.full
def test_a_job_that_is_put_back_resumes(slurm):
    """What Slurm does after a node has failed: the same job again, with the arguments that resume it."""
    slurm.recipe(
        '  args: ["--wait"]\n  slurm: {requeue: true}\n',
        checkpoint="{every: 3 steps}",
        resume='{args: ["--resume", "{latest_checkpoint}"]}',
    )
    process = slurm.start(slurm.words())
    slurm.until(lambda: slurm.starts(0) and slurm.starts(1))
    (job,) = slurm.jobs()
    slurm.ask("scontrol", "requeue", job)
    slurm.until(lambda: slurm.jobs("--states=PENDING") == [job], 30)
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    first, second = slurm.starts(0)
    assert second["args"] == ["--wait", "--resume", f"{slurm.folder}/checkpoints/step-3"]
    assert first["job"] == second["job"] == job


def test_inside_an_allocation(slurm):
    """salloc, and in it one job that is refused, one that trains, and one that is interrupted with grace."""
    slurm.recipe('  pass_env: [PASSED]\n  args: ["--first"]\n')
    run, again = (shlex.join(slurm.words(run=name)) for name in ("run", "again"))
    bigger = f"{run} --set cluster.nodes=4"
    waiting = f"{again} --set 'launch.args=[--wait]'"
    text = (
        f"{bigger}; echo refused $?; {run}; echo trained $?; {waiting} & "
        "while ! [ -s starts-0 ] || [ $(wc -l < starts-0) -lt 2 ] || [ $(wc -l < starts-1) -lt 2 ]; do sleep 0.1; done; "
        "kill -INT $!; wait $!; echo interrupted $?"
    )
    said, code = slurm.told(["salloc", "--nodes=2", "bash", "-c", text], 120, PASSED="s p'ace")
    assert code == 0, said
    assert "has 2 nodes; the plan has 4 [allocation-differs]" in said
    assert "refused 78\n" in said
    assert "trained 0\n" in said
    assert "interrupted 130\n" in said
    assert [start["env"]["PASSED"] for start in slurm.starts(1)] == ["s p'ace", "s p'ace"]
    for rank in (0, 1):
        assert (slurm.folder / f"left-{rank}").exists(), said
    slurm.lab.wait_empty(10)
