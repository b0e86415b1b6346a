"""Want of memory is told apart from every other way in which a job fails."""

import pytest

from launcher.handoff.outcome import RankEnd
from launcher.handoff.trials.memory_failure import memory_failure

CPU = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 134217728 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"
PEER = "RuntimeError: [gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:27340"
KILLED = (
    "Root Cause (first observed failure):\n[0]:\n  rank      : 1 (local_rank: 1)\n  exitcode  : -9 (pid: 7)\n"
)


def end(rank, code, error, time=0.0):
    return RankEnd(rank=rank, host="here", exit=code, error=error, time=time)


@pytest.mark.parametrize(
    "words",
    [CPU, CUDA, "OutOfMemoryError: CUDA out of memory.", "MemoryError: ", "RuntimeError: std::bad_alloc",
     "OSError: [Errno 12] Cannot allocate memory", "RuntimeError: can't start new thread"],
)  # fmt: skip
def test_one_rank_out_of_memory(words):
    """One rank's word is enough, even where another one complained of its absence first."""
    found = memory_failure(
        ends=[end(0, 1, PEER, 1.0), end(1, 1, words, 2.0)], log=f"{PEER}\n{words}", world_size=2
    )
    assert found is not None
    assert found.startswith("rank 1: ")


@pytest.mark.parametrize(
    "words", ["ValueError: the data ran dry", PEER, "KeyError: 'memory'", "sys.exit(3)", ""]
)
def test_other_failures(words):
    """Whatever else a script says is no want of memory."""
    ends = [end(0, 1, PEER, 2.0), end(1, 1, words, 1.0)]
    assert memory_failure(ends=ends, log=words, world_size=2) is None


def test_words_of_a_rank_that_went_well_do_not_count():
    """A script may print of memory, and end for another reason."""
    ends = [end(0, 0, ""), end(1, 1, "ValueError: no")]
    assert memory_failure(ends=ends, log="MemoryError was caught\nValueError: no", world_size=2) is None


@pytest.mark.parametrize(
    "log", [KILLED, "[ERROR] [launch.py:325:sigkill_handler] exits with return code = -9"]
)
def test_a_rank_that_was_killed(log):
    """A rank without a record, killed by signal 9, is what a system does that runs out of memory."""
    found = memory_failure(ends=[end(0, 143, "terminated")], log=log, world_size=2)
    assert found is not None
    assert "signal 9" in found


def test_a_rank_that_aborted_for_memory():
    """C++ code may end the process with its own last words."""
    log = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
    assert memory_failure(ends=[end(0, 1, PEER)], log=log, world_size=2) == log.splitlines()[0]
    assert memory_failure(ends=[end(0, 1, PEER)], log="Segmentation fault", world_size=2) is None
