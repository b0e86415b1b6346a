"""`doctor` where a scheduler chooses the hosts: its own words outside of an allocation, every node's inside of one."""

import io
import subprocess
import sys

import pytest

from launcher.cli.main import main
from launcher.handoff.doctor.scheduler import refuses

JOB = """\
global_batch_size: 12
sequence_length: 16
hidden_size: 64
cluster: {{nodes: 2, devices_per_node: 1, device: cpu}}
launch: {{executor: {executor}, script: train.py{more}}}
"""
PROGRAM = "import sys; from launcher.cli.main import main; sys.exit(main())"


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Exit code and page of one doctor call in a folder with a job."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("print(1)\n")

    def call(*words, environ, executor="slurm", more=""):
        (tmp_path / "job.yaml").write_text(JOB.format(executor=executor, more=more))
        out, err = io.StringIO(), io.StringIO()
        code = main(["doctor", "job.yaml", *words], environ=environ, stdout=out, stderr=err)
        return code, " ".join((out.getvalue() + err.getvalue()).split())

    return call


def test_the_message(same_message):
    """The last line of a scheduler is its verdict, what it said before is the reason."""
    said = [
        "sbatch: error: invalid partition specified: nowhere",
        "allocation failure: Invalid partition name specified",
    ]
    same_message(refuses("sbatch", said))


def test_outside_of_an_allocation(doctor, lab):
    """Slurm says when and where it would start the job, and submits nothing."""
    environ = lab.slurm_environ()
    code, page = doctor(environ=environ)
    assert code == 0, page
    assert "sbatch would start" in page
    assert "on node-a,node-b" in page
    assert "hosts not known yet" in page
    queue = subprocess.run(
        ["squeue", "--noheader"], env=environ, capture_output=True, text=True, timeout=30, check=True
    )
    assert queue.stdout == ""


def test_a_partition_that_is_not_there(doctor, lab):
    """Told in sbatch's own words."""
    code, page = doctor("--set", "launch.slurm={partition: nowhere}", environ=lab.slurm_environ())
    assert code == 1
    assert "sbatch would not take the job: allocation failure: Invalid partition name specified" in page
    assert "[scheduler-refuses]" in page


def test_no_scheduler_here(doctor, lab, tmp_path):
    """Without Slurm's commands that is the problem."""
    code, page = doctor(environ={**lab.ssh_environ(), "PATH": str(tmp_path)})
    assert code == 1
    assert "`sbatch` is neither beside our own interpreter nor on PATH" in page


def test_inside_of_an_allocation(doctor, lab):
    """One step asks every node; they meet at the port as they would in the job."""
    environ = lab.slurm_environ()
    doctor(environ=environ)  # writes the job
    words = ["salloc", "--quiet", "-N2", sys.executable, "-c", PROGRAM, "doctor", "job.yaml"]
    ran = subprocess.run(
        [*words, "--collective", "none"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert "node-a node-b" in rows
    assert "srun ok ok" in rows
    assert "interface eth0 eth0" in rows
    python = ["--set", "launch.python=/usr/bin/python9", "--collective", "none"]
    ran = subprocess.run(
        [*words, *python], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    page = " ".join(ran.stdout.split())
    assert ran.returncode == 1
    assert "the job's interpreter does not start on node-a, node-b [executable-not-found]" in page
    assert "/usr/bin/python9: No such file or directory" in page


def test_kubernetes_without_a_cluster(doctor, lab):
    """Told in kubectl's own words when nobody answers it."""
    code, page = doctor(
        environ={**lab.ssh_environ(), "KUBECONFIG": "/dev/null"},
        executor="kubernetes",
        more=', container: {image: "registry.example/train:1"}',
    )
    assert code == 1
    assert "kubectl would not take the job" in page
    assert "[scheduler-refuses]" in page
