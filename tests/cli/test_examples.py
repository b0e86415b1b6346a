"""The example lines of every command's --help, typed as they stand in a copy of the recipes."""

import importlib
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).resolve().parents[2]
# what needs a run that was started, files of somebody's own, or starts processes: other tests start them
ONLY_PARSED = re.compile(
    r"status|logs|stop|doctor|trace|sharpness|probe|rehearse|selftest|run (?!.*--dry-run)|advise runs/|init .*(json|runs/)"
)


def lines_of(name):
    """The example lines of a command, as they would be typed: no comment behind them, nothing that a shell does."""
    text = importlib.import_module(f"launcher.cli.{name}_command").EXAMPLE
    found = re.findall(r"^  batchwright (.*)$", text, re.MULTILINE)
    return [re.split(r" {3,}|\s>>?\s|\s\|\s|\s&&\s", line)[0].strip() for line in found]


EXAMPLES = [(name, line) for name in COMMANDS for line in lines_of(name)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The recipes in a repository of their own, with a commit before the last one."""
    folder = tmp_path_factory.mktemp("checkout")
    junk = shutil.ignore_patterns(".batchwright", "__pycache__")
    for name in ("clusters", "module", "quickstart"):  # those that examples name; others would only take time
        shutil.copytree(ROOT / "recipes" / name, folder / "recipes" / name, ignore=junk)
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    for words in (
        ("init", "-q"),
        ("add", "."),
        (*who, "commit", "-qm", "one"),
        (*who, "commit", "-qm", "two", "--allow-empty"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def test_every_command_has_examples():
    """At least one each, and no command with a first word that is not its own."""
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)
    assert all(line.split()[0] == name for name, line in EXAMPLES)


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_works(name, line, checkout, monkeypatch):
    """It parses; and where it starts nothing it runs to its end, prints something and is refused nowhere."""
    monkeypatch.chdir(checkout)
    words = shlex.split(line.replace("/tmp/", f"{checkout}/made/"))
    build_parser(name).parse_args(words)
    if ONLY_PARSED.match(line):
        return
    out, err = io.StringIO(), io.StringIO()
    code = main(words, environ={"PATH": "/usr/bin:/bin", "HOME": str(checkout)}, stdout=out, stderr=err)
    finds = (
        name in {"check", "diff"} or "lock recipes" in line
    )  # what they find in the recipes is no matter of theirs
    assert code in ({0, 1} if finds else {0}), err.getvalue()
    assert out.getvalue()
