"""RUN/remarks.jsonl: what was said of a training, kept, and shown while it is not too much."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchwright_witness.stability.remark import Remark
from batchwright_witness.stability.watching import Stability

__all__ = ["Remarks"]

SHOWN = 10
"""Remarks of one code that are shown; further ones each time that their number has doubled. All are kept."""
RECALLED = 512
"""Lines of a log that a resumed run looks at again: enough for every window."""


class Remarks:
    """Looks at a training for one run folder, on rank 0."""

    def __init__(
        self, folder: Path, *, stability: Stability, say: Callable[[str], None], resumed: bool = False
    ) -> None:
        self._path, self._stability, self._say = folder / "remarks.jsonl", stability, say
        self._counts: Counter[str] = Counter()
        self._stage: Any = None
        if resumed:
            self._recall(folder)
        else:
            with suppress(OSError):
                self._path.unlink()

    def step(self, entry: Mapping[str, Any]) -> None:
        """A line of log.jsonl that has just been written."""
        for remark in self._look(entry):
            self._tell(remark)

    def evaluation(self, entry: Mapping[str, Any]) -> dict[str, float]:
        """Numbers of the script's own at a step; gives those to be kept beside them."""
        derived, found = self._stability.evaluated(entry["step"], _numbers(entry))
        for remark in found:
            self._tell(remark)
        return derived

    def _look(self, entry: Mapping[str, Any]) -> Iterable[Remark]:
        stage = entry.get("stage")
        if stage != self._stage:  # another batch or length has other losses
            self._stability.begins_stage()
            self._stage = stage
        return self._stability.stepped(
            entry["step"],
            loss=entry["loss"],
            norm=entry.get("gradient_norm"),
            skipped=bool(entry.get("skipped")),
        )

    def _tell(self, remark: Remark) -> None:
        with (
            suppress(OSError),
            self._path.open("a", encoding="utf-8") as file,
        ):  # a full disk ends no training
            file.write(json.dumps(remark.entry()) + "\n")
        self._counts[remark.code] += 1
        count = self._counts[remark.code]
        if count <= SHOWN or (count % SHOWN == 0 and (count // SHOWN).bit_count() == 1):
            more = "" if count < SHOWN else f" ({count} of these by now; all in {self._path.name})"
            self._say(f"{remark.line()}{more}")

    def _recall(self, folder: Path) -> None:
        """What the run has seen before, without a word about it: windows do not begin empty after a resume."""
        steps = {entry["step"]: entry for entry in _entries(folder / "log.jsonl")}
        evaluations = _entries(folder / "evaluation.jsonl")
        for entry in sorted([*steps.values(), *evaluations], key=lambda each: each["step"]):
            if "loss" in entry:
                list(self._look(entry))
            else:
                self._stability.evaluated(entry["step"], _numbers(entry))


def _entries(path: Path) -> list[dict[str, Any]]:
    """The last lines that hold a step."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-RECALLED:]
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                found.append(entry)
    return found


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
