"""Jobs over the lab's two hosts: a recipe, `batchwright run` as a person starts it, and what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["HERE", "QUICKSTART", "SHORT", "Job", "recipe_text"]

HERE = Path(__file__).parent
QUICKSTART = HERE.parents[1] / "recipes" / "quickstart" / "cpu-1x2.yaml"
SHORT = "{handshake: 8 s, stall: 6 s, grace: 3 s}"
"""Timeouts by which every fault is to be told."""


def recipe_text(*, executor: str, script: Path, args: str = "[]", more: str = "") -> str:
    """A recipe of two nodes with one process each; more: further lines of `launch`, indented by two."""
    return f"""\
schema: 1
name: fault
global_batch_size: 8
sequence_length: 16
hidden_size: 64
schedule: {{length: 100000 steps}}
optimizer: {{name: sgd, learning_rate: 0.1}}
cluster: {{nodes: 2, devices_per_node: 1, device: cpu{", hostfile: hostfile" if executor == "ssh" else ""}}}
launch:
  executor: {executor}
  script: {script}
  args: {args}
  python: {sys.executable}
  timeouts: {SHORT}
{more}"""


class Job:
    """One `batchwright run`, in a session of its own; it is ended at the latest when the block ends."""

    def __init__(
        self, words, *, environ: dict[str, str], folder: Path, run: str = "run", said: str = "said"
    ) -> None:
        self.run = folder / run
        self._out, self._err = folder / f"{said}.out", folder / f"{said}.err"
        command = [Path(sys.executable).with_name("batchwright"), "run", *words, "--run-dir", str(self.run)]
        self.began = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Job:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *raised) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def until(self, true, *, seconds: float = 60) -> None:
        """Waits until true(); the job must not end before."""
        until = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < until, self.told()
            time.sleep(0.05)

    def end(self, *, within: float) -> float:
        """Waits for the end, which must come within so many seconds from now; gives how many it took."""
        asked = time.monotonic()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {within} s\n{self.told()}") from None
        return time.monotonic() - asked

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    @property
    def exit(self) -> int | None:
        return self.process.poll()

    def told(self) -> str:
        return f"exit {self.process.poll()}\n--- output\n{self.out}\n--- errors\n{self.err}"

    def status(self) -> dict:
        return json.loads((self.run / "status.json").read_text())

    def losses(self) -> list[float]:
        lines = (self.run / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    def steps(self) -> int:
        """Optimizer steps that are in the log."""
        log = self.run / "log.jsonl"
        return len(log.read_text().splitlines()) if log.exists() else 0
