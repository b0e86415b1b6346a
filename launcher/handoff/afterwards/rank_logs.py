"""The logs of a run, read here or on the host where they are."""

from __future__ import annotations

import codecs
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

from launcher.errors import HandoffError, Problem
from launcher.executors.formats.kubernetes_jobs import LABEL, namespace_words
from launcher.handoff.afterwards.run_record import RunRecord, read_run
from launcher.spec.bundle import run_id
from launcher.spec.shell import quote

__all__ = ["pods_of", "print_log"]

_LOOK_AGAIN = 0.2
_BLOCK = 1 << 16


def print_log(
    record: RunRecord,
    *,
    rank: int | None,
    follow: bool,
    tail: int | None,
    stdout: TextIO,
    say: Callable[[str], None],
    environ: Mapping[str, str],
) -> int:
    """Prints the log of a run, or of one rank; 1 when there is none yet.

    follow: go on while the run runs. tail: number of last lines to begin with.
    Raises HandoffError[out-of-range] for a rank that the run does not have.
    """
    world_size = record.plan.layout.world_size
    if rank is not None and not 0 <= rank < world_size:
        problem = Problem(
            code="out-of-range",
            message=f"`--rank {rank}`: this run has ranks 0 to {world_size - 1}",
            hint="batchwright status RUN lists them",
        )
        raise HandoffError([problem])
    path = _whole_log(record) if rank is None else record.directory / "logs" / f"rank-{rank}.log"
    if record.plan.launch.executor == "kubernetes":
        return subprocess.run(_of_pods(record, rank, follow, tail), env=dict(environ), check=False).returncode
    if not path.exists() and rank is not None and (words := _remote(record, path, rank, follow, tail)):
        return subprocess.run(words, env=dict(environ), check=False).returncode
    if not path.exists() and not follow:
        say(f"there is no {path.name} in {path.parent} yet")
        return 1
    for text in _text(record, path, follow=follow, tail=tail):
        stdout.write(text)
        stdout.flush()
    return 0


def _whole_log(record: RunRecord) -> Path:
    """What `batchwright run` has printed; what the scheduler has written where nobody stayed with the job."""
    log = record.directory / "logs" / "launch.log"
    own = record.directory / (record.bundle.get("log") or "logs/launch.log")
    return own if _size(own) > _size(log) else log


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _remote(
    record: RunRecord, path: Path, rank: int, follow: bool, tail: int | None
) -> tuple[str, ...] | None:
    """The command that reads a rank's log on its own host, where this run has hosts."""
    hosts = record.plan.launch.hosts
    if record.plan.launch.executor != "ssh" or not hosts or record.state != "running":
        return None
    host = hosts[rank // record.plan.layout.devices_per_node]
    start = "+1" if tail is None else str(tail)
    command = f"tail -n {start} {'-F ' if follow else ''}{quote(str(path))}"
    return ("pdsh", "-N", "-R", "ssh", "-w", host, command.replace("%", "%%"))


def pods_of(record: RunRecord, rank: int | None = None) -> tuple[str, ...]:
    """Options by which kubectl finds the pods of a run; of one rank, its pod."""
    selector = f"{LABEL}={run_id(str(record.directory))}"
    if rank is not None:
        selector += f",batch.kubernetes.io/job-completion-index={rank // record.plan.layout.devices_per_node}"
    return (*namespace_words(record.plan), "--selector", selector)


def _of_pods(record: RunRecord, rank: int | None, follow: bool, tail: int | None) -> tuple[str, ...]:
    """The command that prints what the pods have printed; of one rank, what its pod has."""
    return (
        *("kubectl", "logs", *pods_of(record, rank), "--prefix"),
        *(f"--tail={-1 if tail is None else tail}", f"--max-log-requests={record.plan.layout.num_nodes}"),
        *(("--follow",) if follow else ()),
    )


def _text(record: RunRecord, path: Path, *, follow: bool, tail: int | None) -> Iterator[str]:
    """What is there, and what comes; a file that does not exist yet is waited for."""
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    while follow and not path.exists() and _goes_on(record):
        time.sleep(_LOOK_AGAIN)
    if not path.exists():
        return
    with path.open("rb") as file:
        if tail is not None:
            yield decode(b"".join(deque(file, maxlen=tail)))
        while True:
            ended = not (follow and _goes_on(record))
            yield from map(decode, _blocks(file))
            if ended:
                return
            time.sleep(_LOOK_AGAIN)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _goes_on(record: RunRecord) -> bool:
    return read_run(record.directory).state in {"running", "submitted"}
