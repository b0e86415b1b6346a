"""Jobs over ssh, on the lab's two hosts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ssh_jobs import SshJobs, losses, status

pytestmark = pytest.mark.real


@pytest.fixture
def jobs(lab, tmp_path):
    yield SshJobs(lab, tmp_path)
    lab.wait_empty()


def test_torchrun(jobs, tmp_path):
    """Two hosts train the quickstart as one job."""
    ran = jobs.run(run=tmp_path / "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(losses(tmp_path / "run")) == 20
    assert status(tmp_path / "run")["state"] == "done"
