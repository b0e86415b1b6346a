"""RUN/logs/rank-N.log beside the console: whole, private, in order, whatever becomes of the rank."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchwright_witness.rank_log import keep_log

SCRIPT = """\
import os, signal, sys, time
from pathlib import Path
from batchwright_witness.rank_log import keep_log
began = time.perf_counter()
kept = keep_log(Path(sys.argv[1]), 3, os.environ)
seconds = time.perf_counter() - began
"""
COPIERS = """\
def copiers(log):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "fd" / "5") == log and (entry / "fd" / "3").exists():
                found += [entry.name] if b"copier.py" in (entry / "cmdline").read_bytes() else []
        except OSError:
            pass
    return found

time.sleep(0.3)
"""


def rank(folder, lines, **environ):
    """A process that keeps its log and then runs the lines; its standard output and error, apart."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + lines, str(folder)],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


def log(folder):
    return (folder / "logs" / "rank-3.log").read_bytes()


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_nothing_is_lost(folder, end):
    """However the rank ends, console and log hold all that it wrote, in its order; the streams stay apart."""
    lines = "for i in range(20000): os.write(1 + i % 2, b'line %d %s\\n' % (i, b'x' * (i % 97)))\n"
    done = rank(folder, f"{lines}os.write(1, b'no end of line')\n{end}\n")
    written = [f"line {i} {'x' * (i % 97)}".encode() for i in range(20000)]
    assert done.stdout.splitlines() == [*written[::2], b"no end of line"]
    assert done.stderr.splitlines() == written[1::2]
    assert sorted(log(folder).splitlines()) == sorted([*written, b"no end of line"])
    assert stat.S_IMODE((folder / "logs" / "rank-3.log").stat().st_mode) == 0o600


def test_lines_stay_whole_on_a_shared_pipe(folder):
    """Two ranks that write at once to one pipe do not cut each other's lines."""
    lines = (
        "sys.stdout.reconfigure(line_buffering=True)\nfor i in range(5000): print(sys.argv[2] * (i % 200))\n"
    )
    reading, writing = os.pipe()
    ranks = [
        subprocess.Popen([sys.executable, "-c", SCRIPT + lines, str(folder), letter], stdout=writing)
        for letter in "ab"
    ]
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        read = stream.read()
    assert [each.wait(60) for each in ranks] == [0, 0]
    found = read.splitlines()
    assert len(found) == 10000
    assert all(len(set(line)) <= 1 for line in found)


def test_the_start_of_a_line_does_not_wait(folder):
    """A progress bar or a question is shown before its line ends."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT + "os.write(1, b'50 %'); time.sleep(60)", str(folder)],
        stdout=subprocess.PIPE,
    ) as process:
        began = time.monotonic()
        assert os.read(process.stdout.fileno(), 100) == b"50 %"
        assert time.monotonic() - began < 5
        process.kill()


def test_it_costs_the_start_little(folder):
    """A few milliseconds for a fork and two pipes; the best of five tries, on a machine that does other things too."""
    times = [float(rank(folder, "print(seconds)\n").stdout) for _ in range(5)]
    assert min(times) < 0.010


def test_the_copier_is_not_of_the_job(folder):
    """It has neither the run's mark, nor the rank's session, nor the rank for a parent, and ends after the rank."""
    log_file = str(folder / "logs" / "rank-3.log")
    look = (
        f"(mine,) = copiers({log_file!r})\n"
        "stat = Path('/proc', mine, 'stat').read_text().rpartition(')')[2].split()\n"
        "mark = b'BATCHWRIGHT_RUN' in Path('/proc', mine, 'environ').read_bytes()\n"
        "print(mine, stat[1] == str(os.getpid()), stat[3] == str(os.getsid(0)), mark)\n"
    )
    done = rank(folder, COPIERS + look, BATCHWRIGHT_RUN="the run")
    number, *facts = done.stdout.decode().split()
    assert facts == ["False", "False", "False"], done.stderr
    until = time.monotonic() + 10
    while Path("/proc", number).exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path("/proc", number).exists()


def test_it_survives_being_asked_to_end(folder):
    """SIGTERM and Ctrl-C go to a whole job: the last words of a rank that saves something are still kept."""
    ask = (
        f"(mine,) = copiers({str(folder / 'logs' / 'rank-3.log')!r})\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): os.kill(int(mine), number)\n"
        "print('asked')\n"
    )
    done = rank(folder, COPIERS + ask)
    assert done.stdout == log(folder) == b"asked\n", done.stderr


def test_a_full_disk_keeps_the_console(folder):
    """The log ends, what a person sees does not."""
    (folder / "logs" / "rank-3.log").symlink_to("/dev/full")
    assert rank(folder, "print('still here')\n").stdout == b"still here\n"


def test_a_console_that_is_gone_keeps_the_log(folder):
    """`| head` ends the console; the training and its log go on."""
    reading, writing = os.pipe()
    os.close(reading)
    lines = "time.sleep(0.1)\nfor i in range(3): print(i, flush=True); time.sleep(0.1)\n"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + lines, str(folder)], stdout=writing, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, log(folder)) == (0, b"0\n1\n2\n")


def test_without_a_place_nothing_is_changed(tmp_path):
    """A folder without logs/ is no run's: descriptors stay as they are."""
    before = os.fstat(1)
    assert keep_log(tmp_path, 0, os.environ) is False
    assert os.path.samestat(before, os.fstat(1))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
