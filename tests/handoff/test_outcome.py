"""Which rank failed first, and what a job's exit code becomes."""

import json

import pytest

from launcher.handoff.outcome import RankEnd, exit_code, first_failure, log_tail, rank_ends, shell_code

# as torch 2.13 prints it when a rank is killed
TORCHRUN = """\
W1122 torch/distributed/elastic/multiprocessing/api.py:1010] Sending process 101 closing signal SIGTERM
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_00:10:00
  host      : here
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 102)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 102
============================================================
"""
DEEPSPEED = (
    "[2026-11-22 00:10:00,000] [ERROR] [launch.py:341:sigkill_handler] [...] exits with return code = -9\n"
)


def end(rank, code, time=0.0):
    return RankEnd(rank=rank, host="here", exit=code, error="", time=time)


def failure(*ends, log="", world_size=2):
    return first_failure(ends=ends, log=log, world_size=world_size, host="here")


def test_the_earliest_failure_counts():
    """Later failures are consequences."""
    assert failure(end(0, 1, 20.0), end(1, 17, 10.0)).rank == 1


def test_success_is_no_failure():
    """Ranks that ended well are nobody's cause."""
    assert failure(end(0, 0), end(1, 0)) is None


def test_being_ended_is_not_failing():
    """A rank that was asked to end is not the first, even when its clock is behind."""
    assert failure(end(0, 143, 1.0), end(1, 17, 2.0)).rank == 1
    assert failure(end(0, 143, 1.0), end(1, 0, 2.0)).exit == 143


@pytest.mark.parametrize("ends", [(), (end(0, 143, 1.0),)])
def test_a_killed_rank_leaves_no_record(ends):
    """Only torchrun says which rank was killed, and by which signal; a survivor's 143 does not hide it."""
    found = failure(*ends, log=TORCHRUN)
    assert (found.rank, found.exit, found.error) == (1, 137, "ended by signal 9")


def test_deepspeed_names_no_rank():
    """DeepSpeed prints a code without a rank; the only rank without a record is the one."""
    assert failure(end(0, 0), log=DEEPSPEED).rank == 1
    assert failure(end(0, 0), log=DEEPSPEED).exit == 137
    assert failure(log=DEEPSPEED) is None


@pytest.mark.parametrize(("code", "shown"), [(0, 0), (17, 17), (-9, 137), (-15, 143)])
def test_signals_count_as_shells_count(code, shown):
    """128+N for signal N."""
    assert shell_code(code) == shown


def test_exit_code_of_the_whole():
    """An interrupt wins, then the failing rank, then the engine."""
    assert exit_code(returncode=1, failure=end(1, 17), interrupted_by=None) == 17
    assert exit_code(returncode=1, failure=end(1, 17), interrupted_by=2) == 130
    assert exit_code(returncode=-9, failure=None, interrupted_by=None) == 137
    assert exit_code(returncode=0, failure=end(1, 17), interrupted_by=None) == 17, "the engine hides it"


def test_damaged_records_are_passed_over(tmp_path):
    """A rank that died while writing does not hide the others."""
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "0.json").write_text('{"rank": 0, "exi')
    (tmp_path / "ranks" / "1.json").write_text("[]")
    (tmp_path / "ranks" / "2.json").write_text(
        json.dumps({"rank": 2, "exit": -9, "error": None, "time": None})
    )
    assert rank_ends(tmp_path) == (RankEnd(rank=2, host="", exit=137, error="", time=0.0),)


def test_the_tail_of_a_long_log(tmp_path):
    """Only the end is read; an absent log is empty."""
    (tmp_path / "log").write_bytes(b"x" * 200_000 + b"\xff the end")
    assert log_tail(tmp_path / "log").endswith("\ufffd the end")
    assert len(log_tail(tmp_path / "log")) <= 1 << 16
    assert log_tail(tmp_path / "absent") == ""
