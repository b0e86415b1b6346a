"""What a finished job says of itself: the exit code of the rank that failed first, and its words."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KILLED", "RankEnd", "exit_code", "first_failure", "log_tail", "rank_ends", "shell_code"]

_TAIL_BYTES = 1 << 16
_TERMINATED = 143
KILLED = frozenset(
    128 + number for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
)
"""Exit codes of which no lost connection to another rank is the reason; of an abort (134) it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankEnd:
    """How one rank ended, as the witness or the runtime recorded it, or as the engine reported it."""

    rank: int
    host: str
    exit: int
    error: str
    time: float
    """Seconds since the epoch."""


def exit_code(*, returncode: int, failure: RankEnd | None, interrupted_by: int | None) -> int:
    """The code that `batchwright run` exits with: the signal's, else the failing rank's own, else the engine's."""
    if interrupted_by is not None:
        return 128 + interrupted_by
    if failure is not None and (returncode != 0 or failure.exit != 0):
        return failure.exit
    return shell_code(returncode)


def shell_code(returncode: int) -> int:
    """128+N for signal N (`-N` in subprocess), as shells count."""
    return 128 - returncode if returncode < 0 else returncode


def rank_ends(directory: Path) -> tuple[RankEnd, ...]:
    """The records of RUN/ranks, by rank; a damaged one is passed over."""
    found = []
    for path in directory.glob("ranks/*.json"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found.append(
                RankEnd(
                    rank=int(data["rank"]),
                    host=str(data.get("host") or ""),
                    exit=shell_code(int(data["exit"])),
                    error=str(data.get("error") or ""),
                    time=float(data.get("time") or 0.0),
                )
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(sorted(found, key=lambda end: end.rank))


def first_failure(
    *,
    ends: Sequence[RankEnd],
    log: str,
    world_size: int,
    host: str,
    ranks: Collection[int] | None = None,
) -> RankEnd | None:
    """The rank that failed first; a rank that was killed leaves no record, so the engine's own words count too.

    ends: the ranks' records. log: the end of what the job printed. host: this machine, when nothing names another.
    ranks: those of this machine, where it has not all of them.
    A rank that was asked to end (143) because another one failed is not the first, whatever its clock says. One that
    the system killed is, though those that lost it failed in words.
    """
    here = range(world_size) if ranks is None else ranks
    silent = sorted(set(here) - {end.rank for end in ends})
    reported = _reported_by_engine(log)
    told = [found for each in reported if (found := _of_a_silent_rank(each, silent, host)) is not None]
    if killed := [each for each in told if each.exit in KILLED and each.rank in silent]:
        return killed[-1]
    if failed := [end for end in ends if end.exit not in {0, _TERMINATED}]:
        return min(failed, key=lambda end: end.time)
    if reported:
        return told[-1] if told else None
    terminated = [end for end in ends if end.exit == _TERMINATED]
    return min(terminated, key=lambda end: end.time) if terminated else None


def _of_a_silent_rank(report: tuple[int | None, int], silent: Sequence[int], host: str) -> RankEnd | None:
    """The end of which an engine tells: of the rank that it names, or of the only one that left no record."""
    rank, code = report
    if rank is None and len(silent) != 1:
        return None
    words = f"ended by signal {code - 128}" if code > 128 else ""
    return RankEnd(rank=silent[0] if rank is None else rank, host=host, exit=code, error=words, time=0.0)


# Source: torch@2.13.0 torch/distributed/elastic/multiprocessing/errors/__init__.py:ChildFailedError
_TORCH = re.compile(
    r"^(?:\S+: )?\s*rank\s*:\s*(\d+)[^\n]*\n(?:\S+: )?\s*exitcode\s*:\s*(-?\d+)", re.MULTILINE
)
# Source: deepspeed@0.19.8 deepspeed/launcher/launch.py:main
_DEEPSPEED = re.compile(r"exits with return code = (-?\d+)")


def _reported_by_engine(log: str) -> list[tuple[int | None, int]]:
    """Rank (None when not named) and code of each failure, from the engine's own report; its root cause is the last."""
    if found := _TORCH.findall(log):
        return [(int(rank), shell_code(int(code))) for rank, code in found]
    return [(None, shell_code(int(code))) for code in _DEEPSPEED.findall(log)[-1:]]


def log_tail(path: Path) -> str:
    """The last 64 KiB of a log, as text."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
