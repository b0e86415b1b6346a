"""Recipes to real processes, by the rendered argv and environment alone; nothing is left running."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from launcher import load_recipe, plan
from launcher.api import render
from launcher.spec.bundle import LaunchBundle

__all__ = ["SCRIPTS", "Ended", "bundle", "recipe", "run", "start_engine", "typed"]

SCRIPTS = Path(__file__).parent / "scripts"
BIN = str(Path(sys.executable).parent)


class Ended(NamedTuple):
    """A job that came to its end."""

    code: int
    output: str
    folder: Path

    @property
    def ranks(self) -> list[dict[str, Any]]:
        """The ranks' records."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / "ranks").glob("*.json"))]

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl."""
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def witness(self) -> dict[str, Any]:
        """The last record of the log."""
        return self.log[-1]["witness"]


def recipe(engine: str, script: Path, args: Sequence[str], **more: Any) -> dict[str, Any]:
    """Eight sequences per step on two CPU ranks: 2 micro x 2 accumulation x 2 ranks; warmup over 4 of 8 steps."""
    return {
        "global_batch_size": 8,
        "sequence_length": 16,
        "hidden_size": 64,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
        "optimizer": {"learning_rate": 0.001, "gradient_clipping": 1.0},
        "schedule": {"warmup": "4 steps", "decay": "cosine", "length": "8 steps"},
        "launch": {"engine": engine, "script": str(script), "args": list(args)},
        **more,
    }


def bundle(written: Mapping[str, Any], folder: Path) -> LaunchBundle:
    """The rendered files, written into the folder, and the commands for it."""
    read = load_recipe(dict(written))
    planned = plan(read)
    placed = render(read, planned).placed(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    files = {**placed.files, "plan.json": json.dumps(planned.to_dict(), indent=1)}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return placed


def start_engine(
    written: Mapping[str, Any], folder: Path, *, change: Any = None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run the one command of a one-node recipe. `change` may type over its argv, `env` over its environment."""
    (command,) = bundle(written, folder).commands
    argv = list(command.argv)
    return run(change(argv) if change else argv, folder, env={**command.env, **(env or {})})


def run(argv: Sequence[str], folder: Path, *, env: Mapping[str, str], seconds: float = 240) -> Ended:
    """Run to the end, with PATH and HOME and nothing else around it; a job that hangs is ended and fails the test."""
    base = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env={**base, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"still running after {seconds} s:\n{output}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the job itself left behind
    return Ended(process.returncode, output, folder)


def typed(script: Path, before: str, line: str, folder: Path) -> Path:
    """A copy of a script with one more line typed into it, before the line that begins with `before`."""
    text = script.read_text(encoding="utf-8")
    at = text.index(f"\n{before}") + 1
    copy = folder / script.name
    copy.write_text(f"{text[:at]}{line}\n{text[at:]}", encoding="utf-8")
    return copy
