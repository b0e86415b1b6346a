"""Two hosts train what one host trains: every engine over ssh and over Slurm, the same losses."""

import sys

import pytest
from hosts_jobs import QUICKSTART, Job

pytestmark = pytest.mark.real

STEPS = 20
# DeepSpeed sums on one host in shared memory, across hosts in gloo; the others take gloo in both
TOLERANCE = {"torchrun": 0.0, "accelerate": 0.0, "deepspeed": 1e-6}


def train(engine, folder, environ, *changes, run):
    """Losses of the first steps of the quickstart."""
    shorter = [
        f"schedule.length={STEPS} steps",
        f"evaluation.every={STEPS} steps",
        "checkpoint.every=1000 steps",
    ]
    given = [*shorter, f"launch.engine={engine}", f"launch.python={sys.executable}", *changes]
    words = [str(QUICKSTART), *(word for change in given for word in ("--set", change))]
    with Job(words, environ=environ, folder=folder, run=run) as job:
        job.end(within=150)
        assert job.exit == 0, job.told()
        assert "world   2 of 2 ranks agree: " + ("1 host" if run == "here" else "2 hosts") in job.out
        return job.losses()


@pytest.fixture(scope="module")
def on_one_host(lab, tmp_path_factory):
    """Losses of an engine's two processes on this machine, trained once."""
    known = {}

    def losses(engine):
        if engine not in known:
            folder = tmp_path_factory.mktemp(engine)
            known[engine] = train(engine, folder, lab.ssh_environ(), run="here")
        return known[engine]

    return losses


@pytest.mark.parametrize("executor", ["ssh", "slurm"])
@pytest.mark.parametrize("engine", TOLERANCE)
def test_two_hosts_train_what_one_host_trains(engine, executor, lab, tmp_path, on_one_host):
    """20 steps of 8 micro x 2 accumulation x 2 ranks with 1 thread each: the losses are one host's, bit for bit."""
    changes = ["cluster.nodes=2", "cluster.devices_per_node=1", f"launch.executor={executor}"]
    if executor == "ssh":
        changes.append(f"cluster.hostfile={lab.hostfile(tmp_path)}")
    environ = lab.ssh_environ() if executor == "ssh" else lab.slurm_environ()
    there = train(engine, tmp_path, environ, *changes, run=executor)
    assert len(there) == STEPS
    assert there == pytest.approx(on_one_host(engine), rel=TOLERANCE[engine], abs=0)
    lab.wait_empty()
