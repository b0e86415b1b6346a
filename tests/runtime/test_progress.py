"""What a person reads while it trains, and what is kept."""

from __future__ import annotations

import io
import json

import pytest

from launcher.runtime.progress import Progress, progress_line, show_duration, show_speed


def entry(step, **changes):
    base = {
        "step": step,
        "samples": step * 12,
        "loss": 4.0 - step / 100,
        "learning_rate": 2.9e-3,
        "seconds": 0.5,
        "samples_per_second": 24.0,
        "tokens_per_second": 41_200.0,
        "skipped": False,
    }
    return {**base, **changes}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line():
    """Step, loss, rate, speed and time to go."""
    line = progress_line(entry(120), total_steps=400, eta_seconds=52.4)
    assert line == "step 120/400  loss 2.800  lr 0.0029  41.2 k tokens/s  ETA 0:00:52"


def test_the_line_says_what_it_knows():
    """Images have no tokens, an open end no ETA, a plan without a rate no rate; an overflow is said."""
    bare = entry(3, tokens_per_second=None, learning_rate=None, skipped=True)
    line = progress_line(bare, total_steps=None, eta_seconds=None)
    assert line == "step 3  loss 3.970  24.0 samples/s  skipped: gradients overflowed"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05"), (90000, "25:00:00")]
)
def test_durations(seconds, shown):
    """Hours do not become days."""
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("speed", "shown"), [(7.25, "7.25"), (999, "999"), (41_234, "41.2 k"), (1.5e6, "1.50 M"), (2e9, "2.00 G")]
)
def test_speeds(speed, shown):
    """Three digits and a prefix."""
    assert show_speed(speed) == shown


def test_first_and_last_step_and_every_five_seconds(tmp_path):
    """Where lines are kept there are few of them, and the two that matter are among them."""
    now, out = [0.0], io.StringIO()
    progress = Progress(tmp_path, total_steps=40, stream=out, clock=lambda: now[0])
    for step in range(1, 41):
        now[0] += 0.5
        progress.step(entry(step))
    progress.done()
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["1/40", "11/40", "21/40", "31/40", "40/40"]
    assert lines[1].endswith("ETA 0:00:14")
    assert lines[-1] == f"done    40 steps, loss 3.990 -> 3.600, took 0:00:20, log {tmp_path / 'log.jsonl'}"


def test_steps_of_another_size_take_another_time(tmp_path):
    """Twenty steps of one unit are done in half a second each; twenty of four units are left, 40 seconds."""
    now, out = [0.0], io.StringIO()
    work = {step: (1.0, 20.0 - step + 80.0) for step in range(1, 21)}
    progress = Progress(
        tmp_path, total_steps=40, stream=out, clock=lambda: now[0], work=lambda step: work[step]
    )
    for step in range(1, 21):
        now[0] += 5.0
        progress.step({**entry(step), "seconds": 0.5})
    assert out.getvalue().splitlines()[-1].endswith("ETA 0:00:40")


def test_batchwright_run_has_the_last_word(tmp_path):
    """In the folder of a run that `batchwright run` watches, the closing line is left to it."""
    (tmp_path / "status.json").write_text("{}")
    out = io.StringIO()
    progress = Progress(tmp_path, total_steps=1, stream=out)
    progress.step(entry(1))
    progress.done()
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["step"]


def test_a_terminal_keeps_one_line(tmp_path):
    """On a terminal the line is written over; what must stay ends it."""
    now, out = [0.0], Terminal()
    progress = Progress(tmp_path, total_steps=3, stream=out, clock=lambda: now[0])
    for step in (1, 2, 3):
        now[0] += 1
        progress.step(entry(step))
    progress.done()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r") == 3


def test_the_log_has_one_object_per_step(tmp_path):
    """Every step is in log.jsonl as it was measured, whatever was shown."""
    progress = Progress(tmp_path, total_steps=3, stream=io.StringIO())
    for step in (1, 2, 3):
        progress.step(entry(step))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [entry(step) for step in (1, 2, 3)]


def test_numbers_of_the_script_go_beside_the_log(tmp_path):
    """A validation loss is shown at its step and kept with it, in a file of its own."""
    out = io.StringIO()
    progress = Progress(tmp_path, total_steps=3, stream=out)
    progress.step(entry(1))
    progress.record({"validation_loss": 2.4})
    assert out.getvalue().splitlines()[-1] == "step 1/3  validation loss 2.4"
    kept = json.loads((tmp_path / "evaluation.jsonl").read_text())
    assert kept == {"step": 1, "samples": 12, "validation_loss": 2.4}


def test_a_resumed_run_goes_on_with_its_log(tmp_path):
    """A fresh run begins its log anew, a resumed one appends."""
    for resumed, count in ((False, 1), (True, 2), (False, 1)):
        progress = Progress(tmp_path, total_steps=9, stream=io.StringIO(), resumed=resumed)
        progress.step(entry(1))
        progress.record({"validation_loss": 1.0})
        for name in ("log.jsonl", "evaluation.jsonl"):
            assert len((tmp_path / name).read_text().splitlines()) == count
