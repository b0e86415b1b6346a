"""Jobs over ssh, on the lab's two hosts: the folder on them, secrets, and who ends what."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ssh_jobs import SshJobs, ended, losses, status

pytestmark = pytest.mark.real

WAITS = "open(os.path.join(os.environ['BATCHWRIGHT_RUN'], f'up-{rank}'), 'w').close()\ntime.sleep(300)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS
TOKEN = "t0ken it's $(id)"


@pytest.fixture
def jobs(mended_lab, tmp_path):
    """Afterwards no process is left on any host."""
    yield SshJobs(mended_lab, tmp_path)
    mended_lab.wait_empty()


def up(run):
    return [run / "up-0", run / "up-1"]


def test_a_folder_that_is_not_shared(jobs, tmp_path):
    """Each host gets a copy with its own secrets, trains in it, and what it wrote is here at the end."""
    lab = jobs.lab
    run = lab.private("node-a") / "100% of\nit's $(id)" / "run"
    script = jobs.script(
        "import hashlib, json\n"
        "run = os.environ['BATCHWRIGHT_RUN']\n"
        "seen = {'SITE': os.environ['SITE'], 'TOKEN': hashlib.sha256(os.environb[b'TOKEN']).hexdigest()}\n"
        "seen['files'] = sorted(os.listdir(run))\n"
        "seen['modes'] = [os.stat(p).st_mode & 0o777 for p in (run, run + '/plan.json')]\n"
        "open(f'{run}/seen-{rank}.jsonl', 'w').write(json.dumps(seen))\n"
        "print('a word from', rank)\n"
    )
    setup = json.dumps([["export", "SITE=it's $(id)"]])
    ran = jobs.run(script, "launch.pass_env=[TOKEN]", f"launch.setup={setup}", run=run, TOKEN=TOKEN)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "copied  the folder to node-a, node-b, where it is not shared" in ran.stderr
    for rank in (0, 1):
        seen = json.loads((run / f"seen-{rank}.jsonl").read_text())
        assert seen["TOKEN"] == hashlib.sha256(TOKEN.encode()).hexdigest()
        assert seen["SITE"] == "it's $(id)"
        assert seen["modes"] == [0o700, 0o600]
        assert not [name for name in seen["files"] if name.startswith("secrets")]
        assert f"a word from {rank}" in (run / "logs" / f"rank-{rank}.log").read_text()
        assert json.loads((run / "nodes" / f"{rank}.json").read_text())["host"] == ("node-a", "node-b")[rank]
    there = {
        host: lab.run_in(host, ["grep", "-rl", "t0ken", str(run)]).stdout for host in ("node-a", "node-b")
    }
    assert there == {"node-a": "", "node-b": ""}
    assert not [path for path in run.rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in run.glob("*.json"))

    lab.run_in("node-b", ["sh", "-c", 'mkdir "$1" && echo >"$1/mine"', "sh", str(run.with_name("taken"))])
    refused = jobs.run(script, run=run.with_name("taken"))
    assert refused.returncode == 78, refused.stderr
    assert "taken` on node-b holds something else [directory-not-empty]" in refused.stderr


def test_nobody_answers(jobs, tmp_path):
    """Without a single host that answers nothing is started, and ssh's own words say why."""
    for host in ("node-a", "node-b"):
        jobs.lab.refuse(host)
    words = jobs.words(jobs.script(WAITS), options=("--no-preflight", "--run-dir", str(tmp_path / "run")))
    ran = subprocess.run(
        words, cwd=jobs.folder, env=jobs.environ(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 78, ran.stderr
    address = jobs.lab.address("node-b")
    assert (
        "`node-b` does not answer [host-unreachable]\n"
        f"  ssh: connect to host {address} port 22: Connection refused\n"
        "  hint: try `ssh node-b true` by hand until it works without a question\n"
    ) in ran.stderr
    assert status(tmp_path / "run")["exit"] == 78


def test_the_rendered_line_starts_the_same_job(jobs, tmp_path):
    """Typed by hand, the printed pdsh command trains what `run` would train."""
    words = jobs.words(verb="render", options=("-o", str(tmp_path / "by hand")))
    rendered = subprocess.run(
        words, cwd=jobs.folder, env=jobs.environ(), capture_output=True, text=True, timeout=60, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    line = rendered.stdout.strip()
    assert line.startswith("env PDSH_SSH_ARGS_APPEND=")
    process = subprocess.Popen(
        ["sh", "-c", f"cd / && {line}"],
        env=jobs.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    ran = ended(process)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(losses(tmp_path / "by hand")) == 20


def test_a_second_ctrl_c_ends_at_once(jobs, tmp_path):
    """The first asks and waits for the grace; the second reaches every host and does not wait."""
    run = tmp_path / "run"
    process = jobs.start(jobs.script(STUBBORN), "launch.timeouts.grace=100 s", run=run)
    jobs.wait_for(*up(run), process=process)
    process.send_signal(signal.SIGINT)
    time.sleep(2)
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    ran = ended(process, seconds=30)
    assert time.monotonic() - began < 15
    assert ran.returncode == 130, ran.stderr
    assert status(run)["state"] == "interrupted"
    assert "nothing of the job is left running" in ran.stderr


def test_pdsh_is_killed(jobs, tmp_path):
    """Without the process that waits for it, the job is asked to end on every host."""
    run = tmp_path / "run"
    process = jobs.start(jobs.script(WAITS), run=run)
    jobs.wait_for(*up(run), process=process)
    (pdsh,) = [pid for pid in children(process.pid) if b"pdsh" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(pdsh, signal.SIGKILL)
    ran = ended(process, seconds=60)
    assert ran.returncode not in {0, 78}, ran.stderr
    assert status(run)["state"] != "done"
    jobs.lab.wait_empty()


def test_stopped_when_its_starter_is_gone(jobs, tmp_path):
    """`batchwright stop` ends a job on its hosts after the process that started it was killed."""
    run = tmp_path / "run"
    process = jobs.start(jobs.script(WAITS), run=run)
    jobs.wait_for(*up(run), process=process)
    process.kill()
    process.wait(10)
    words = [str(Path(sys.executable).parent / "batchwright"), "stop", str(run)]
    stopped = subprocess.run(
        words, env=jobs.environ(), capture_output=True, text=True, timeout=60, check=False
    )
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    jobs.lab.wait_empty()
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def children(parent):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(
                parent
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
