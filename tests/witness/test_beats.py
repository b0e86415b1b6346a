"""What a rank writes of itself while it trains."""

import json
import os
import stat

from batchwright_witness.beats import SIZE, Pulse, open_beats, pulse_of


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def pulse(clock=None):
    """A pulse, and the list of what it has written."""
    written = []
    return Pulse(written.append, rank=3, host="node-b", clock=clock or Clock()), written


def last(written):
    return json.loads(written[-1])


def test_a_beat_has_one_size():
    """Every line is as long as the last one, which it is written over."""
    beating, written = pulse()
    beating.backward_begins()
    beating.stepped(steps=10**12, skipped=10**6)
    assert {len(line) for line in written} == {SIZE}
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)
    assert (last(written)["rank"], last(written)["host"], last(written)["pid"]) == (3, "node-b", os.getpid())


def test_a_step_has_phases():
    """Data, backward of each micro-batch, optimizer, and data again with one step more."""
    beating, written = pulse()
    beating.watched()
    beating.enters("data")
    for _ in range(2):
        beating.has_batch()
        beating.backward_begins()
        beating.backward_ended()
    beating.enters("optimizer")
    beating.stepped(steps=7)
    told = [json.loads(line) for line in written]
    assert [(beat["phase"], beat["micro"], beat["steps"]) for beat in told][2:] == [
        ("data", 0, 0),
        ("backward", 1, 0),
        ("data", 1, 0),
        ("backward", 2, 0),
        ("data", 2, 0),
        ("optimizer", 2, 0),
        ("data", 0, 7),
    ]
    assert told[-1]["batches"] == 2


def test_work_and_waiting_are_told_apart():
    """Busy are the seconds outside of backwards and the optimizer; the step's own go from step to step."""
    clock = Clock()
    beating, written = pulse(clock)
    for _ in range(2):
        for _ in range(3):
            clock.now += 2.0
            beating.backward_begins()
            clock.now += 10.0
            beating.backward_ended()
        beating.stepped(steps=1)
    assert (last(written)["busy"], last(written)["seconds"]) == (6.0, 36.0)


def test_an_evaluation_is_no_part_of_a_step():
    """A step with an evaluation before it has no seconds: it would look slow."""
    clock = Clock()
    beating, written = pulse(clock)
    beating.stepped(steps=1)
    beating.works_aside()
    clock.now += 50.0
    beating.stepped(steps=2)
    assert (last(written)["seconds"], last(written)["aside"]) == (None, 1)
    clock.now += 1.0
    beating.stepped(steps=3)
    assert last(written)["seconds"] == 1.0


def test_batches_are_told_now_and_then():
    """An evaluation draws batches by the thousand; each is counted, few are written."""
    clock = Clock()
    beating, written = pulse(clock)
    for _ in range(1000):
        clock.now += 0.001
        beating.has_batch()
    assert len(written) <= 1 + 1000 * 0.001 / 0.2
    clock.now += 1.0
    beating.has_batch()
    assert last(written)["batches"] == 1001


def test_the_file_is_its_owners(tmp_path):
    """RUN/beats/3 holds the last line alone and nobody else may read it; the runtime goes on with the same pulse."""
    beating = open_beats(tmp_path, 3)
    beating.enters("data")
    path = tmp_path / "beats" / "3"
    assert json.loads(path.read_bytes())["phase"] == "data"
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (SIZE, 0o600)
    assert pulse_of(tmp_path, 3) is beating
    assert pulse_of(tmp_path, 4) is not beating


def test_a_forked_worker_is_not_the_rank(tmp_path):
    """What a child process does is not written."""
    beating = open_beats(tmp_path, 0)
    child = os.fork()
    if child == 0:
        beating.enters("optimizer")
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads((tmp_path / "beats" / "0").read_bytes())["phase"] == "start"


def test_without_a_place_nothing_happens(tmp_path):
    """No folder, no space, no permission: the training goes on."""
    open_beats(tmp_path / "missing", 0).enters("data")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "beats").write_text("a file")
    open_beats(tmp_path, 0).enters("data")


def test_a_full_disk_ends_the_beats_alone(tmp_path):
    """A write that fails is not tried again, and raises nothing."""
    (tmp_path / "beats").mkdir()
    (tmp_path / "beats" / "0").symlink_to("/dev/full")
    beating = open_beats(tmp_path, 0)
    beating.enters("data")
    beating.enters("optimizer")
