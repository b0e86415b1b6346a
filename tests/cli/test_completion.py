"""TAB: what is offered, in the shells themselves."""

import argparse
import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.catalog.devices import DEVICES
from launcher.cli.completing import _COMPLETERS, typed_command
from launcher.cli.main import COMMANDS, build_parser
from launcher.errors import CODES
from launcher.loading.library import recipe_names
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

BIN = Path(sys.executable).parent
BREAKS = " \t\n\"'><=;|&(:"
# what only the person knows
FREE = {
    *("CLUSTER", "LINES", "N", "NAME", "NATS", "REV", "SECONDS", "SEQUENCES", "SIZE", "TEXT", "TOKENS", "WORDS", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a recipe, a folder of recipes, other files and two runs."""
    folder = tmp_path_factory.mktemp("place")
    for name in (
        "mine.yaml",
        "mine too.yaml",
        "notes.txt",
        "own/small.yml",
        "runs/first/plan.json",
        "runs/second/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def offered(line, folder, shell="bash"):
    """What the program answers the shell for a line that ends at the cursor."""
    environ = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": shell,
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": BREAKS,
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / ".answer"),
    }
    subprocess.run(
        [BIN / "batchwright"], env=environ, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=30
    )
    return [word for word in (folder / ".answer").read_text().split("\n") if word]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("re", ["render ", "rehearse ", "recipes "]),
        ("plan --e", ["--explain "]),
        ("plan ", ["mine too.yaml", "mine.yaml", "own/", "runs/"]),
        ("plan own/", ["own/small.yml "]),
        ("plan nowhere/", []),
        ("plan x --set launch.engine=", ["accelerate", "deepspeed", "torchrun"]),
        ("plan x --set optimizer.scaling=l", ["linear "]),
        ("plan x --set schedule.warmu", ["schedule.warmup=", "schedule.warmup_keeps=", "schedule.warmup_shape="]),
        ("plan x --set stages.0.compile=", ["true", "false"]),
        ("plan x --set nothing.like.it=", []),
        ("explain batch-not-d", ["batch-not-divisible "]),
        ("explain schedule.warmup_s", ["schedule.warmup_shape "]),
        ("recipes copy quickstart/r", ["quickstart/ramp-1x2 "]),
        ("recipes cop", ["copy "]),
        ("recipes copy quickstart/ramp-1x2 -o o", ["own/"]),
        ("status f", ["first "]),
        ("logs ", ["first", "second", "own/", "runs/"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)  # fmt: skip
def test_what_is_offered(place, typed, words):
    """Commands, options, files that may be recipes, runs, keys and their words, codes, names of the library."""
    found = offered(f"batchwright {typed}", place)
    assert sorted(word.replace("\\ ", " ").rstrip() for word in found) == sorted(
        word.rstrip() for word in words
    )


def test_everything_of_a_kind_is_offered(place):
    """All commands, all codes and keys, all devices, all recipes."""
    assert set(COMMANDS) <= set(offered("batchwright ", place))
    explained = set(offered("batchwright explain ", place))
    assert (
        set(CODES) | {path for path, _ in walk(section_of(Recipe)) if not path.startswith("stages.")}
        <= explained
    )
    assert set(offered("batchwright plan x --set cluster.device=", place)) == set(DEVICES)
    assert set(recipe_names()) <= set(offered("batchwright recipes copy ", place))


def test_every_argument_is_thought_of():
    """An argument has choices, a completer, or stands in the list of what only the person knows."""

    def actions(parser):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner in action.choices.values():
                    yield from actions(inner)
            elif action.nargs != 0:
                yield parser.prog, action

    unknown = [
        (prog, action.option_strings or action.metavar)
        for prog, action in actions(build_parser())
        if action.choices is None and action.metavar not in _COMPLETERS and action.metavar not in FREE
    ]
    assert unknown == []


def test_a_press_imports_one_command():
    """The command that stands in the line, once it is followed by a space."""
    assert typed_command("batchwright plan ", COMMANDS) == "plan"
    assert typed_command("batchwright plan x", COMMANDS) == "plan"
    assert typed_command("batchwright pla", COMMANDS) is None
    assert typed_command("batchwright pla x", COMMANDS) is None
    assert typed_command("batchwright", COMMANDS) is None


def test_a_press_is_answered_at_once(place):
    """The cheapest of a few presses takes less processor time than the quarter of a second of a plan."""
    took = []
    for _ in range(3):
        began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        offered("batchwright plan x --set optimizer.", place)
        took.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began)
    assert min(took) < 0.25


def shell(name):
    """The path of a shell; a skip where it is absent, a failure where nothing may be absent."""
    path = shutil.which(name)
    if path is None and os.environ.get("BATCHWRIGHT_LAB") != "required":
        pytest.skip(f"no {name} here: .ci/run installs it")
    assert path, f"no {name}"
    return path


@pytest.fixture
def lines(tmp_path):
    """The file of `batchwright completion SHELL`."""

    def printed(name):
        ran = subprocess.run(
            [BIN / "batchwright", "completion", name], capture_output=True, text=True, check=True
        )
        (tmp_path / f"lines.{name}").write_text(ran.stdout)
        return tmp_path / f"lines.{name}"

    return printed


def test_fish(place, lines):
    """`complete -C` is what fish shows when TAB is pressed."""
    ask = f"source {lines('fish')}; complete -C"
    for typed, words in [
        ("rec", ["recipes"]),
        ("plan mi", ["mine too.yaml", "mine.yaml"]),
        ("explain batch-not-d", ["batch-not-divisible"]),
        ("plan x --set optimizer.scaling=l", ["optimizer.scaling=linear"]),
        ("status ", ["first", "own/", "runs/", "second"]),
    ]:
        ran = subprocess.run(
            [shell("fish"), "-c", f"{ask} 'batchwright {typed}'"],
            env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(place)},
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        found = sorted(line.partition("\t")[0].replace("\\ ", " ") for line in ran.stdout.splitlines())
        assert found == words, ran.stderr


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_key_press_in(place, lines, name):
    """Typed into an interactive shell, TAB writes the rest of the word."""
    begin = {
        "bash": f"source {lines('bash')}",
        "zsh": f"autoload -U compinit; compinit -u -D; source {lines('zsh')}",
    }[name]
    bare = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[name]
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(place), "PS1": "$ ", "TERM": "dumb"}
    with Typed([shell(name), *bare], environ, place) as typed:
        typed.type(f"{begin}; echo rea''dy\n")
        typed.wait("ready")
        for word, rest in [
            ("reci", "recipes"),
            ("explain batch-not-d", "batch-not-divisible"),
            ("plan x --set optimizer.scaling=l", "optimizer.scaling=linear"),
            ("plan own/", "own/small.yml"),
            ("plan x --set schedule.warmup_k", "schedule.warmup_keeps="),
            ("status f", "first"),
        ]:
            typed.type(f"batchwright {word}\t")
            typed.wait(rest[len(word.split()[-1]) :])
            typed.type("\x15\n")


class Typed:
    """A shell in a terminal of its own; ends with everything that it started."""

    def __init__(self, argv, environ, folder):
        self.argv, self.environ, self.folder = argv, environ, folder
        self.seen = ""

    def __enter__(self):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(self.folder)
            os.execve(self.argv[0], self.argv, self.environ)
        return self

    def __exit__(self, *_):
        os.kill(self.child, 9)
        os.waitpid(self.child, 0)
        os.close(self.terminal)

    def type(self, text):
        self.seen = ""
        os.write(self.terminal, text.encode())

    def wait(self, text, seconds=20):
        """Until the text has been written after the last key, or a failure that shows what was."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.seen += os.read(self.terminal, 4096).decode(errors="replace").replace("\r", "")
