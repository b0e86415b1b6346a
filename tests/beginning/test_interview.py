"""init at a terminal: the real command behind a pseudo-terminal, as a person would use it."""

import fcntl
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress

import pytest

from launcher.api import load_recipe
from launcher.cli.interview import interview
from launcher.cli.surroundings import Surroundings

COMMAND = [sys.executable, "-c", "from launcher.cli.main import main; raise SystemExit(main())", "init"]


class Terminal:
    """A child on a terminal of its own; ended with its group when the test is."""

    def __init__(self, folder, *words):
        self.text = ""
        self.end, child = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=folder,
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C comes through it
        )
        os.close(child)

    def expect(self, words, *, seconds=30):
        begins = len(self.text)
        until = time.monotonic() + seconds
        while words not in self.text[begins:]:
            ready, _, _ = select.select([self.end], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{words!r} never came:\n{self.text}"
            try:
                self.text += os.read(self.end, 4096).decode()
            except OSError:
                raise AssertionError(f"{words!r} never came:\n{self.text}") from None

    def answer(self, words):
        os.write(self.end, words.encode() + b"\n")

    def code(self):
        with suppress(OSError):
            while data := os.read(self.end, 4096):
                self.text += data.decode()
        return self.process.wait(timeout=30)

    def close(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with suppress(OSError):
            os.close(self.end)


@pytest.fixture
def terminal(tmp_path):
    started = []

    def start(*words):
        started.append(Terminal(tmp_path, *words))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_recipe_from_answers(terminal, tmp_path):
    """Wrong answers are refused at once, `<` goes back, the recipe is written, and its plan is shown."""
    person = terminal()
    for asked, answer in (
        ("model.kind [decoder]: ", "transformer"),
        ("model.kind [decoder]: ", ""),
        ("global_batch_size: ", ""),
        ("global_batch_size: ", "1k"),
        ("global_batch_size: ", "32"),
        ("sequence_length: ", "<"),
        ("global_batch_size [32]: ", "64"),
        ("sequence_length: ", "128"),
        ("hidden_size: ", "64"),
        ("cluster.device [cpu]: ", "cpux"),
        ("cluster.device [cpu]: ", ""),
        ("cluster.nodes [1]: ", "1"),
        ("cluster.devices_per_node [1]: ", "2"),
        ("launch.engine [torchrun]: ", ""),
        ("launch.script [train.py]: ", "my train.py"),
        ("recipe [recipe.yaml]: ", ""),
    ):
        person.expect(asked)
        person.answer(answer)
    assert person.code() == 0
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert (recipe.global_batch_size, recipe.sequence_length, recipe.hidden_size) == (64, 128, 64)
    assert (recipe.launch.script, recipe.cluster.devices_per_node) == ("my train.py", 2)
    for words in (
        "`model.kind: transformer`: expected `decoder`",
        "an answer is needed here",
        "`global_batch_size: 1k`: expected a whole number of at least 1",
        "hint: write `1000`",
        "`cpux` is not in the catalog",
        "did you mean `cpu`",
        "64 sequences x 128 tokens",
    ):
        assert words in person.text, person.text


def test_ctrl_c_leaves_nothing(terminal, tmp_path):
    """130, and no file."""
    person = terminal("-o", "mine.yaml")
    person.expect("model.kind [decoder]: ")
    os.write(person.end, b"\x03")
    assert person.code() == 130
    assert "interrupted" in person.text
    assert list(tmp_path.iterdir()) == []


def asked(text, output="r.yaml"):
    said, told = io.StringIO(), io.StringIO()
    around = Surroundings(environ={}, stdout=said, stderr=told, argv=("batchwright", "init"), beside=None)
    return interview(output=output, around=around, stdin=io.StringIO(text)), told.getvalue()


def test_answers_that_end_too_early(tmp_path, monkeypatch):
    """Ctrl-D: nothing is written."""
    monkeypatch.chdir(tmp_path)
    code, told = asked("decoder\n32\n")
    assert code == 1
    assert told.endswith("no more answers: nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_images_have_no_sequence(tmp_path, monkeypatch):
    """What a kind does not have is not asked, and what was answered for another kind is forgotten."""
    monkeypatch.chdir(tmp_path)
    code, told = asked("decoder\n32\n128\n<\n<\n<\nvit\n32\n768\ncpu\n1\n1\n\n\n")
    assert code == 0, told
    recipe = load_recipe("r.yaml")
    assert recipe.model.kind == "vit"
    assert recipe.sequence_length is None


def test_a_file_that_is_there_is_asked_again(tmp_path, monkeypatch):
    """Nothing is ever overwritten."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("mine")
    code, told = asked("\n32\n128\n64\n\n\n\n\n\n\nno/such/r.yaml\nother.yaml\n", output=None)
    assert code == 0, told
    assert "`recipe.yaml` is there already" in told
    assert "there is no folder no/such" in told
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    assert (tmp_path / "other.yaml").exists()
