"""How a job on other machines ended, from what its nodes left in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.handoff.node.record import job_verdict
from launcher.handoff.outcome import RankEnd, shell_code

__all__ = ["JobEnd", "job_end"]

_REFUSED = 78
_CONNECTION_LOST = 255  # of ssh itself


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The end of the whole job."""

    exit: int
    message: str
    """Empty for a job that ended well."""
    host: str | None = None
    """Host that brought it about."""
    failure: RankEnd | None = None
    """Rank that failed first."""


def job_end(
    directory: Path,
    *,
    hosts: Sequence[str],
    num_nodes: int,
    returncode: int,
    program: str,
    log: str | None = None,
) -> JobEnd:
    """What the main node said last; where it is gone itself, what the others left, and who left nothing.

    hosts: names by node number, as far as they are known. returncode: of the program that waited for the job. log:
    file of the folder that the job prints to, where its scheduler writes one.
    """
    records = _records(directory)
    verdict = job_verdict(directory)
    if verdict is not None:
        record = records.get(-1 if verdict.cause is None else verdict.cause, {})
        host = str(record.get("host") or _name(verdict.cause, hosts)) if verdict.exit else None
        failure = _failure({**record, "exit": verdict.exit, "rank": verdict.rank}) if verdict.exit else None
        return JobEnd(exit=verdict.exit, message=verdict.words, host=host or None, failure=failure)
    code = shell_code(returncode)
    if (refused := _refusals(records)) and len(refused) == len(records):
        first = refused[0]
        message = "\n".join(dict.fromkeys(str(each["error"]) for each in refused))
        return JobEnd(exit=_REFUSED, message=message, host=str(first.get("host") or "") or None)
    if code == 0 and log is not None and not records and not _has_content(directory / log):
        # `sbatch --wait` ends well where somebody cancels a job that still waits
        return JobEnd(exit=1, message="the job was cancelled before it started")
    if code == 0:
        return JobEnd(exit=0, message="")
    if not any(directory.glob("nodes/*")):
        message = f"`{program}` ended with exit code {code} before any node had begun"
        return JobEnd(exit=_REFUSED, message=message)
    silent = [node for node in range(num_nodes) if node not in records]
    if silent:
        names = [
            f"{name} (node {node})" if (name := _name(node, hosts)) else f"node {node}" for node in silent
        ]
        return JobEnd(
            exit=1 if code == _CONNECTION_LOST else code,
            message=f"no word of how the job ended from {', '.join(names)}: gone, or cut off",
            host=_name(silent[0], hosts) or None,
        )
    cause = min(
        records.values(), key=lambda each: (each.get("exit") in {0, 143}, float(each.get("time") or 0))
    )
    return JobEnd(
        exit=int(cause.get("exit") or code),
        message=f"{cause.get('host')} ended with exit code {cause.get('exit')}",
        host=str(cause.get("host") or "") or None,
        failure=_failure(cause),
    )


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _records(directory: Path) -> dict[int, Mapping[str, Any]]:
    """RUN/nodes by node number; a damaged one is passed over."""
    found: dict[int, Mapping[str, Any]] = {}
    for path in directory.glob("nodes/*.json"):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found[int(facts["node"])] = facts
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _refusals(records: Mapping[int, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Nodes that started nothing and why; that another one did not come is explained by what that one says."""
    refused = [
        each for _, each in sorted(records.items()) if each.get("exit") == _REFUSED and each.get("error")
    ]
    return sorted(refused, key=lambda each: "[nodes-absent]" in str(each["error"]))


def _failure(record: Mapping[str, Any]) -> RankEnd | None:
    if record.get("rank") is None:
        return None
    return RankEnd(
        rank=int(record["rank"]),
        host=str(record.get("host") or ""),
        exit=int(record.get("exit") or 0),
        error=str(record.get("error") or ""),
        time=float(record.get("time") or 0.0),
    )


def _name(node: int | None, hosts: Sequence[str]) -> str:
    return hosts[node] if node is not None and node < len(hosts) else ""
