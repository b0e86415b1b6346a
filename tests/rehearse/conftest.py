"""Recipes of their own, and our command line run in this process."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from launcher.cli.main import main

HERE = Path(__file__).parent
QUICKSTART = HERE.parents[1] / "recipes" / "quickstart"
RAGGED = """\
name: ragged
global_batch_size: 16
sequence_length: 16
hidden_size: 64
model: {num_layers: 1, vocab_size: 32}
optimizer: {learning_rate: 0.1}
schedule: {length: 6 steps}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
micro_batch_size: 2
launch:
  script: ragged.py
  args: ["--micro", "{micro_batch_size}", "--accumulation", "{gradient_accumulation_steps}"]
"""


class Ran(NamedTuple):
    """One command of ours, run in this process."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Place:
    """A folder that commands are run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def batchwright(self, *words: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            code = main([str(word) for word in words], environ=environ, stdout=out, stderr=err)
        finally:
            os.chdir(before)
        return Ran(code, out.getvalue(), err.getvalue())

    def quickstart(self, *, without: str = "", instead: str = "") -> Path:
        """The quickstart's files, a line of its script replaced; its recipe."""
        shutil.copytree(
            QUICKSTART, self.folder / "q", ignore=shutil.ignore_patterns(".batchwright", "__pycache__")
        )
        script = self.folder / "q" / "train.py"
        text = script.read_text()
        assert without in text
        script.write_text(text.replace(without, instead) if without else text)
        return self.folder / "q" / "cpu-1x2.yaml"

    def ragged(self) -> Path:
        """A script that takes means of means, and its recipe."""
        shutil.copy(HERE / "scripts" / "ragged.py", self.folder / "ragged.py")
        recipe = self.folder / "ragged.yaml"
        recipe.write_text(RAGGED)
        return recipe

    def left(self) -> list[str]:
        """Processes that run in this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.path.realpath(entry / "cwd").startswith(f"{self.folder}/"):
                    found.append(entry.name)
            except OSError:
                continue
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path.resolve())
