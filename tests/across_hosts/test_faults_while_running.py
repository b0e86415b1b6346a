"""What ends a running job over two hosts is named, in time, with its exit code, and nothing is left on any host."""

import time

import pytest

pytestmark = pytest.mark.real


@pytest.fixture
def running(request, fault, tell):
    """A job whose two ranks run; ended() looks at how it ended."""
    fault.executor = request.param

    class Running:
        lab = fault.lab

        def start(self, *, options=(), **how):
            self.job = fault.start(*options, **how)
            return self.job

        def both(self, **how):
            job = self.start(**how)
            job.until(lambda: all((job.run / f"up-{rank}").exists() for rank in (0, 1)), seconds=60)
            return job

        def ended(self, name, *, within):
            seconds = self.job.end(within=within)
            tell(f"{name} over {fault.executor}", self.job, seconds)
            assert self.job.exit != 0, self.job.told()
            assert self.job.status()["exit"] == self.job.exit
            return self.job.err

    return Running()


on_both = pytest.mark.parametrize("running", ["ssh", "slurm"], indirect=True)
# srun and sbatch look for what is gone in steps of half a minute
mostly_on_ssh = pytest.mark.parametrize(
    "running", ["ssh", pytest.param("slurm", marks=pytest.mark.full)], indirect=True
)


@on_both
def test_a_rank_that_exits_17(running):
    """Its own code comes out, with rank and host."""
    job = running.start(args="['exit:1:17']")
    said = running.ended("rank exits 17", within=60)
    assert job.exit == 17, job.told()
    running.lab.wait_empty()
    assert "rank 1 on node-b" in said
    assert "exit code 17: sys.exit(17)" in said


@pytest.mark.parametrize("engine", ["accelerate", "deepspeed"])
@pytest.mark.parametrize("running", ["ssh"], indirect=True)
def test_a_rank_that_exits_17_under_other_engines(running, engine):
    """Its own code comes out, whatever the engine makes of it."""
    job = running.start(options=["--set", f"launch.engine={engine}"], args="['exit:1:17']")
    said = running.ended("rank exits 17", within=120)
    assert job.exit == 17, job.told()
    running.lab.wait_empty()
    assert "rank 1 on node-b" in said


@on_both
def test_ctrl_c_while_it_runs(running):
    """Ctrl-C ends engine and ranks on both hosts, those too that do not listen."""
    job = running.both(args="['stubborn:1']")
    job.interrupt()
    running.ended("Ctrl-C", within=60)
    running.lab.wait_empty()
    assert job.exit == 130, job.told()
    assert job.status()["state"] == "interrupted"


@mostly_on_ssh
def test_a_host_dies(running):
    """All processes of a host are killed: the host is named, and the other one ends."""
    running.both()
    running.lab.kill("node-b")
    said = running.ended("host dies", within=120)
    running.lab.wait_empty()
    assert "node-b (node 1) is gone" in said


@mostly_on_ssh
def test_a_cable_is_pulled(running):
    """A host that is silent from one moment to the next is named, and both sides end by themselves."""
    running.both()
    running.lab.link("node-b", up=False)
    pulled = time.monotonic()
    said = running.ended("cable pulled", within=120)
    # its login outlives the cable until sshd asks; what it had started must not
    running.lab.wait_empty(60 - (time.monotonic() - pulled), but=("sshd:", "slurmstepd"))
    assert "node-b (node 1) is gone" in said
