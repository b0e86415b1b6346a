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


@pytest.mark.parametrize("log", [TORCHRUN, DEEPSPEED])
def test_a_killed_rank_comes_before_those_that_lost_it(log):
    """A survivor that failed in words, because the killed one was gone, is not the first."""
    assert (failure(end(0, 1, 5.0), log=log).rank, failure(end(0, 1, 5.0), log=log).exit) == (1, 137)


def test_a_killed_rank_that_is_not_the_root_cause():
    """Torchrun saw both ends at once and lists the killed rank among the other failures."""
    other = TORCHRUN.replace(
        "<NO_OTHER_FAILURES>", "[1]:\n  rank      : 3 (local_rank: 1)\n  exitcode  : -11 (pid: 1)"
    )
    log = other.replace("rank      : 1 ", "rank      : 0 ").replace("-9 ", "1 ")
    assert failure(end(0, 1, 5.0), end(1, 1, 5.0), end(2, 1, 5.0), log=log, world_size=4).rank == 3


def test_nobody_is_named_where_nobody_knows():
    """DeepSpeed names no rank, and two left no record: a survivor's 143 is not what the job exits with."""
    assert failure(end(0, 143, 5.0), log=DEEPSPEED, world_size=3) is None


def test_lines_of_pdsh_are_read():
    """The report of another host has the host's name before every line."""
    log = "".join(f"node-b: {line}\n" for line in TORCHRUN.splitlines())
    assert failure(log=log).rank == 1


def test_an_abort_is_no_reason():
    """Communication libraries abort when a peer is gone: the one that failed in words comes first."""
    log = TORCHRUN.replace("-9 ", "-6 ")
    assert failure(end(0, 17, 5.0), log=log).exit == 17


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
