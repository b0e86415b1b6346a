"""Every way in which this process can end, and what it leaves in the run folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchwright_witness.environment import Difference
from batchwright_witness.exits import exit_of, record_exit
from batchwright_witness.probing import ProbeOrder, probe_record, relax

if TYPE_CHECKING:
    from batchwright_witness.beats import Pulse
    from batchwright_witness.watch import Watch
    from launcher.errors import Problem

__all__ = ["Ending"]

EXIT = 1
LATER_SECONDS = 0.5
"""Between rank 0's words and the end of the others: an engine ends all ranks when the first one has ended."""


class Ending:
    """The one that ends this rank: refused before the first line, stopped by the witness, or by the script itself."""

    def __init__(self, *, folder: Path, rank: int, lenient: bool, problem: Callable[..., Problem]) -> None:
        self.folder, self.rank = folder, rank
        self.watch: Watch | None = None
        self.pulse: Pulse | None = None
        self.probe: ProbeOrder | None = None
        self._lenient, self._problem = lenient, problem
        self._process = os.getpid()

    def refuse(self, code: str, difference: Difference) -> int:
        """Before the script has started: words, record, and the exit code to return."""
        message = self._words(code, difference)
        self._say(message)
        record_exit(folder=self.folder, rank=self.rank, code=EXIT, error=message)
        return EXIT

    def stop(self, code: str, difference: Difference, *, by_all: bool) -> None:
        """While the script runs: words, record, and the end of this process; or words alone, when asked to only warn.

        by_all: every rank stops with these words, so that one of them says it, and the others leave after it.
        os._exit: an ordinary exit can hang in a communication library whose partners are gone.
        """
        watch = self.watch
        assert watch is not None
        message = self._words(code, difference)
        sys.stdout.flush()
        if self.rank == 0 or not by_all:
            self._say(message)
        if self._lenient:
            watch.departures.append(message)
            return
        record_exit(
            folder=self.folder, rank=self.rank, code=EXIT, error=message, more={"witness": watch.finish()}
        )
        if by_all:
            watch.exchange.take_leave()
        if self.rank:
            time.sleep(LATER_SECONDS)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT)

    def leave(self, steps: int) -> None:
        """The probe has seen enough: this rank's peak, and the end of this process as soon as all ranks are there.

        Rank 0 leaves last, since it may hold the store through which the others ask.
        """
        watch = self.watch
        assert watch is not None
        watch.exchange.round("probe", {}, lambda _: {})
        more = {"witness": watch.finish(), "probe": probe_record(steps=steps)}
        record_exit(folder=self.folder, rank=self.rank, code=0, error=None, more=more)
        watch.exchange.take_leave()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def record(self, error: BaseException | None) -> None:
        """The script has ended, by itself."""
        if os.getpid() != self._process:  # a child that the script forked came home through our frames
            return
        if self.pulse is not None:
            self.pulse.ends()
        code, words = exit_of(error)
        more: dict[str, Any] = {}
        if self.probe is not None:
            relax()
            more["probe"] = probe_record(steps=getattr(self.watch, "probed_steps", 0))
        if self.watch is not None:
            found = more["witness"] = self.watch.finish()
            if code == 0 and self.rank == 0:
                for line in [*(f"could not see {what}" for what in found["unseen"]), *found["departures"]]:
                    print(f"batchwright witness: {line}", file=sys.stderr)
        record_exit(folder=self.folder, rank=self.rank, code=code, error=words, more=more)

    def _say(self, message: str) -> None:
        """Every rank with its name: the first to stop has the engine end the others, maybe before they speak."""
        print(f"rank {self.rank}: {message}" if self.rank else message, file=sys.stderr, flush=True)

    def _words(self, code: str, difference: Difference) -> str:
        return str(self._problem(code, difference.message, *difference.because, hint=difference.hint))
