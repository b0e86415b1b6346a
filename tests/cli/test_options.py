"""The surface of the command line: what may be typed, and what help says."""

import argparse
import io
import re
import shlex
from pathlib import Path

import pytest

from launcher.cli.main import build_parser, main

ROOT = Path(__file__).parents[2]

# adding a line here is a promise to everybody's scripts; a recipe key never gets an option of its own: --set does it
OPTIONS = {
    "": ["--help", "--version", "-h", "COMMAND"],
    "advise": [
        *("--explain", "--extrapolate", "--help", "--json", "--loss", "--noise-scale", "--reference-tokens"),
        *("--set", "--tokens", "-h", "RECIPE_OR_RUN"),
    ],
    "check": [
        *("--against", "--allow-moved", "--each-cluster", "--github", "--help", "--json", "--locked"),
        *("--strict", "-h", "PATH"),
    ],
    "completion": ["--help", "-h", "None"],
    "data": ["--help", "--json", "--lengths", "--set", "-h", "RECIPE"],
    "diff": ["--help", "--json", "--markdown", "--set", "-h", "A", "B"],
    "doctor": ["--collective", "--help", "--json", "--set", "-h", "RECIPE"],
    "engines": ["--help", "-h"],
    "explain": ["--help", "--json", "-h", "CODE|FIELD"],
    "init": ["--help", "--json", "--output", "-h", "-o", "SOURCE"],
    "lock": ["--cluster", "--help", "-h", "PATH"],
    "logs": ["--follow", "--help", "--rank", "--tail", "-f", "-h", "RUN"],
    "plan": ["--explain", "--help", "--json", "--set", "--stage", "-h", "RECIPE"],
    "probe": ["--help", "--json", "--limit", "--set", "--steps", "-h", "RECIPE"],
    "recipes": ["--help", "--json", "--output", "-h", "-o", "WORD"],
    "rehearse": ["--help", "--json", "--keep", "--set", "-h", "RECIPE"],
    "render": ["--help", "--node-rank", "--output", "--print", "--set", "--stage", "-h", "-o", "RECIPE"],
    "run": [
        *(
            "--detach",
            "--dry-run",
            "--help",
            "--ignore-memory",
            "--no-preflight",
            "--no-selftest",
            "--rehearse",
        ),
        *("--resume", "--run-dir", "--set", "--stage", "-h", "RECIPE"),
    ],
    "schema": ["--catalog", "--cluster", "--help", "-h"],
    "selftest": ["--help", "--json", "--set", "-h", "RECIPE"],
    "sharpness": [
        *(
            "--batch",
            "--checkpoint",
            "--help",
            "--iterations",
            "--json",
            "--set",
            "--timeout",
            "-h",
            "RECIPE",
        ),
    ],
    "status": ["--help", "--json", "-h", "RUN"],
    "stop": ["--help", "--now", "-h", "RUN"],
    "trace": ["--again", "--help", "--json", "--set", "--timeout", "-h", "RECIPE"],
}


def commands():
    parser = build_parser()
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {"": parser, **subparsers.choices}


def test_the_options_are_frozen():
    """No option appears or disappears by accident."""
    found = {
        name: sorted(
            word for action in parser._actions for word in (action.option_strings or [str(action.metavar)])
        )
        for name, parser in commands().items()
    }
    assert found == {name: sorted(words) for name, words in OPTIONS.items()}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_help_shows_a_command_that_works(name, capsys, monkeypatch, tmp_path):
    """Every --help ends with examples, fits the screen, and its examples parse and name files that exist."""
    monkeypatch.setenv("COLUMNS", "100")
    assert main([*([name] if name else []), "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 130
    examples = re.findall(
        r"^  batchwright ([^>\n]*?)(?: {3,}.*)?(?:>.*)?$", text.partition("example")[2], re.MULTILINE
    )
    assert examples
    for example in examples:
        words = shlex.split(example)
        arguments = build_parser().parse_args(words)
        assert not hasattr(arguments, "recipe") or (ROOT / arguments.recipe).exists()


def test_the_examples_of_plan_print_a_plan(monkeypatch):
    """What --help of plan shows can be typed in the repository as it is."""
    from launcher.cli.plan_command import EXAMPLE

    monkeypatch.chdir(ROOT)
    for line in re.findall(r"^  batchwright (.*)$", EXAMPLE, re.MULTILINE):
        out = io.StringIO()
        assert main(shlex.split(line), environ={}, stdout=out, stderr=io.StringIO()) == 0
        assert out.getvalue()


def test_the_version(capsys):
    """--version prints name and version and nothing else."""
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"batchwright {version('batchwright')}\n"


@pytest.mark.parametrize(
    "words", [[], ["plam", "x"], ["plan"], ["plan", "x", "--jsn"], ["render", "x", "--print", "yaml"]]
)
def test_wrong_usage_is_two(words, capsys):
    """Usage errors are 2, on stderr, with the usage line."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: batchwright" in captured.err


def test_options_are_not_abbreviated(capsys):
    """`--js` today would be another option tomorrow."""
    assert main(["plan", "x.yaml", "--js"]) == 2
    assert "--js" in capsys.readouterr().err
