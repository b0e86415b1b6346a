"""The end of a job that a scheduler had."""

from launcher.handoff.host_ends import job_end


def end(folder):
    return job_end(folder, hosts=(), num_nodes=2, returncode=0, program="sbatch", log="logs/job.log")


def test_a_job_that_never_started_has_not_ended_well(tmp_path):
    """`sbatch --wait` returns 0 for a job that was cancelled while it waited; nothing was printed and nobody was there."""
    assert (end(tmp_path).exit, end(tmp_path).message) == (1, "the job was cancelled before it started")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "job.log").write_text("")
    assert end(tmp_path).exit == 1


def test_a_job_that_printed_has_started(tmp_path):
    """What the scheduler says of it counts, although no node's record is seen here yet."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "job.log").write_text("batchwright: all 2 nodes are here\n")
    assert (end(tmp_path).exit, end(tmp_path).message) == (0, "")
