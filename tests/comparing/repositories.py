"""Real git repositories with recipes in them, and commands called in this process."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

from launcher.cli.main import main

__all__ = ["ENVIRON", "Repository", "call"]

ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Repository:
    """A folder with git in it."""

    environ = ENVIRON

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *words: str) -> str:
        """What git says; fails where it fails."""
        ran = subprocess.run(
            ("git", "-C", str(self.folder), *words), capture_output=True, text=True, check=False, env=ENVIRON
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def write(self, name: str, text: str) -> Path:
        """A file, its folders made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def commit(self, message: str = "change") -> str:
        """Everything that there is, as a commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()


def call(*words, environ=ENVIRON):
    """Exit code, stdout and stderr of one command line."""
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in words], environ=environ, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()
