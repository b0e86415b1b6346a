"""What a person sees while it trains, and what programs read afterwards: one line, one JSON object per step."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from batchwright_witness.stability.remarks import Remarks
from batchwright_witness.stability.watching import Stability
from launcher.units import show_rate

__all__ = ["Progress", "progress_line", "show_duration", "show_speed"]

LINE_SECONDS = 5.0  # between two lines where they are kept (a file, a pipe)
REWRITE_SECONDS = 0.2  # between two states of the line on a terminal


class Progress:
    """Rank 0's voice: progress and remarks on stdout; log, evaluations and remarks as .jsonl in the run folder."""

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int | None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
        resumed: bool = False,
        stability: Stability | None = None,
        work: Callable[[int], tuple[float, float]] | None = None,
        last_step: int | None = None,
    ) -> None:
        """What is said and kept of a run.

        last_step: of this process, where it trains a part of the run. work: of an optimizer step and of all behind it,
            in one unit; by the number of steps when None.
        """
        self.total_steps, self.clock = total_steps, clock
        self._last_step = last_step or total_steps
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        folder.mkdir(parents=True, exist_ok=True)
        self.is_accompanied = (folder / "status.json").exists()
        self.log, self.evaluations = folder / "log.jsonl", folder / "evaluation.jsonl"
        if not resumed:
            self.log.write_text("")
            self.evaluations.unlink(missing_ok=True)
        self.started = self._spoke = clock()
        self._work = work or (lambda step: (1.0, float((total_steps or 0) - step)))
        self._mean_seconds: float | None = None  # per unit of work
        self.first_loss: float | None = None
        self.last: Mapping[str, Any] = {}
        self._remarks = Remarks(folder, stability=stability or Stability(), say=self.say, resumed=resumed)

    def step(self, entry: Mapping[str, Any]) -> None:
        """Logs a step, and shows it when it is time to, when it is the first and when it is the last."""
        _append(self.log, entry)
        if self.first_loss is None:
            self.first_loss = entry["loss"]
        else:  # the first step of a run is slow in its own way
            seconds = entry["seconds"] / self._work(entry["step"])[0]
            before = self._mean_seconds or seconds
            self._mean_seconds = 0.9 * before + 0.1 * seconds
        is_end = not self.last or entry["step"] == self._last_step
        self.last = entry
        waited = self.clock() - self._spoke
        if is_end or waited >= (REWRITE_SECONDS if self.terminal else LINE_SECONDS):
            self.say(
                progress_line(entry, total_steps=self.total_steps, eta_seconds=self._eta(entry)), over=True
            )
            self._spoke = self.clock()
        self._remarks.step(entry)

    def record(self, values: Mapping[str, float]) -> None:
        """Numbers of the script's own at this step (a validation loss): shown, and kept in evaluation.jsonl.

        What they are beside the training is kept with them: training_loss and gap, accuracy_gap.
        """
        entry = {"step": self.last.get("step", 0), "samples": self.last.get("samples", 0), **values}
        shown = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
        self.say(f"step {_of(entry['step'], self.total_steps)}  {shown}")
        _append(self.evaluations, {**entry, **self._remarks.evaluation(entry)})

    def say(self, line: str, *, over: bool = False) -> None:
        """One line on stdout. over: on a terminal the next line takes its place."""
        end = "\r" if self.terminal and over else "\n"
        clear = "\x1b[2K" if self.terminal else ""
        print(f"{clear}{line}", end=end, file=self.stream, flush=True)

    def done(self) -> None:
        """The last line: how far, from which loss to which, how long; `batchwright run` says it where it started us."""
        if not self.last or self.is_accompanied:
            return
        took = show_duration(self.clock() - self.started)
        loss = f"loss {self.first_loss:.3f} -> {self.last['loss']:.3f}"
        self.say(f"done    {self.last['step']} steps, {loss}, took {took}, log {self.log}")

    def _eta(self, entry: Mapping[str, Any]) -> float | None:
        if self.total_steps is None or self._mean_seconds is None:
            return None
        return self._work(entry["step"])[1] * self._mean_seconds


def progress_line(entry: Mapping[str, Any], *, total_steps: int | None, eta_seconds: float | None) -> str:
    """`step 120/400  loss 3.412  lr 0.0029  41.2 k tokens/s  ETA 0:00:52`."""
    words = [f"step {_of(entry['step'], total_steps)}", f"loss {entry['loss']:.3f}"]
    if entry["learning_rate"] is not None:
        words.append(f"lr {show_rate(entry['learning_rate'])}")
    if entry["tokens_per_second"] is not None:
        words.append(f"{show_speed(entry['tokens_per_second'])} tokens/s")
    else:
        words.append(f"{show_speed(entry['samples_per_second'])} samples/s")
    if entry["skipped"]:
        words.append("skipped: gradients overflowed")
    if eta_seconds is not None:
        words.append(f"ETA {show_duration(eta_seconds)}")
    return "  ".join(words)


def show_duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds (`0:00:52`)."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def show_speed(per_second: float) -> str:
    """A rate with three digits (`41.2 k`)."""
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if per_second >= factor:
            return f"{per_second / factor:#.3g}".rstrip(".") + prefix
    return f"{per_second:#.3g}".rstrip(".")


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    """One line more; opened anew so that nothing is lost or left open however the script ends."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _of(step: int, total_steps: int | None) -> str:
    return f"{step}/{total_steps}" if total_steps else str(step)
