"""A folder with recipes, and the command in it."""

import io
import json

import pytest

from launcher.cli.main import main


class Answer:
    """Exit code, standard output and standard error of one command."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(folder):
    """`batchwright check WORDS` there."""

    def run(*words, environ=None):
        out, err = io.StringIO(), io.StringIO()
        code = main(["check", *words], environ=environ or {}, stdout=out, stderr=err)
        assert "Traceback" not in err.getvalue()
        return Answer(code, out.getvalue(), err.getvalue())

    return run
