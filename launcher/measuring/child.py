"""Asks a child process in the person's own interpreter: JSON in, JSON out, and what became of it if it dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from launcher.spec.recipe import Recipe

__all__ = ["Answer", "ask", "interpreter"]

_LINES = 6
"""Of what a child printed before it died."""


class Answer(NamedTuple):
    """What came of a child."""

    content: Mapping[str, Any] | None
    """What it wrote; None when it ended, or was ended, before it wrote anything."""
    code: int | None
    """Its exit code, -N for signal N; None when it took too long."""
    printed: tuple[str, ...]
    """The last lines of what it and the person's code printed."""

    @property
    def ending(self) -> str:
        """`signal 9 (SIGKILL)`, `exit code 3`."""
        assert self.code is not None
        if self.code < 0:
            return f"signal {-self.code} ({signal.Signals(-self.code).name})"
        return f"exit code {self.code}"


def ask(
    child: str,
    request: Mapping[str, Any],
    *,
    python: Path,
    environ: Mapping[str, str],
    timeout_seconds: float,
) -> Answer:
    """Runs `python -m child REQUEST ANSWER` in an empty folder and a session of its own."""
    with tempfile.TemporaryDirectory(prefix="batchwright-child-") as folder:
        asked, answered, printed = (Path(folder, name) for name in ("request.json", "answer.json", "printed"))
        asked.write_text(json.dumps(request), encoding="utf-8")
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [str(python), "-m", child, str(asked), str(answered)],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code: int | None = None
            try:
                code = process.wait(timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                _end(process)
            except BaseException:
                _end(process)
                raise
        content = json.loads(answered.read_text(encoding="utf-8")) if answered.exists() else None
        lines = [line for line in printed.read_text(errors="replace").strip().splitlines() if line.strip()]
        return Answer(content if code is not None else None, code, tuple(lines[-_LINES:]))


def interpreter(recipe: Recipe, *, environ: Mapping[str, str], beside: Path) -> Path | None:
    """`launch.python`: a path from the recipe's folder, else beside our own interpreter, else on the PATH."""
    name = recipe.launch.python
    if "/" in name:
        path = Path(recipe.directory, name)
        return path if os.access(path, os.X_OK) else None
    if (beside / name).exists():
        return beside / name
    found = shutil.which(name, path=environ.get("PATH", ""))
    return None if found is None else Path(found)


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever the person's code started with it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
