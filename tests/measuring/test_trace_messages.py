"""What a person reads when a module cannot be traced: whole messages, from real child processes.

After a change of wording: `python tests/measuring/test_trace_messages.py` writes the texts anew; read the difference.
"""

import io
import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from launcher.cli.main import main
from launcher.errors import Problem

BAD = Path(__file__).resolve().parents[1] / "loading" / "bad"
CODES = [
    path.stem
    for path in sorted(BAD.glob("*.yaml"))
    if path.read_bytes().startswith(b"# checked by tests/measuring/test_trace_messages.py")
]
ENVIRON = {"PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}


def words_of(code):
    line = (BAD / f"{code}.yaml").read_text().splitlines()[1]
    return shlex.split(line.removeprefix("# $ batchwright ").replace("{file}", f"{code}.yaml"))


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    return main(words, environ=ENVIRON, stdout=out, stderr=err), out.getvalue(), err.getvalue()


def test_there_is_something_to_check():
    """Every refusal of a trace has its message here."""
    assert len(CODES) == 8


@pytest.mark.parametrize("code", [code for code in CODES if code != "trace-stale"])
def test_a_module_that_cannot_be_traced(code, monkeypatch):
    """Place, value, reason and cure stand in the message, letter by letter."""
    monkeypatch.chdir(BAD)
    exit_code, out, err = run(*words_of(code))
    assert (exit_code, out) == (1, "")
    assert err == (BAD / f"{code}.txt").read_text()
    assert not (BAD / ".batchwright").exists()


def test_an_interpreter_without_us(tmp_path, monkeypatch):
    """`launch.python` that cannot import batchwright is said to be just that."""
    monkeypatch.chdir(BAD)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o700)
    code, _, err = run("trace", "module-failed.yaml", f"--set=launch.python={python}")
    assert code == 1
    assert "cannot import batchwright" in err
    assert "[trace-needs-torch]" in err


def stale_recipe(folder):
    """The recipe and its code in a folder of their own."""
    shutil.copytree(BAD / "modules", folder / "modules", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(BAD / "trace-stale.yaml", folder)
    return folder / "modules" / "broken.py"


def remarks(text):
    """Every remark of a plan as a person reads it."""
    problems = json.loads(text)["problems"]
    return "".join(f"{problem['severity']}: {Problem(**problem)}\n" for problem in problems)


def test_changed_code_is_noticed(tmp_path, monkeypatch):
    """A plan uses a trace, and no longer once the code has changed; it says which file it was."""
    source = stale_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("trace", "trace-stale.yaml")[0] == 0
    code, out, _ = run("plan", "trace-stale.yaml", "--json")
    assert code == 0
    assert json.loads(out)["memory"]["components"]["parameters"] == 4 * (8 * 8 + 8)
    source.write_text(source.read_text() + "\n")
    code, out, _ = run("plan", "trace-stale.yaml", "--json")
    found = json.loads(out)
    assert (code, found["memory"], found["verdict"]) == (0, None, "unknown-memory")
    assert remarks(out) == (BAD / "trace-stale.txt").read_text()


if __name__ == "__main__":
    import os
    import tempfile

    os.chdir(BAD)
    for each in CODES:
        if each != "trace-stale":
            Path(f"{each}.txt").write_text(run(*words_of(each))[2], encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        changed = stale_recipe(Path(name))
        os.chdir(name)
        run("trace", "trace-stale.yaml")
        changed.write_text(changed.read_text() + "\n")
        (BAD / "trace-stale.txt").write_text(remarks(run("plan", "trace-stale.yaml", "--json")[1]))
