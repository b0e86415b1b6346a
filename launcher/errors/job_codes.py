"""Codes about hosts, sites and running jobs."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["JOB_CODES"]

JOB_CODES: dict[str, CodeInfo] = {
    # a run that is over, or was never one
    "run-not-found": CodeInfo("the folder is not one that `batchwright run` wrote", "name a run's folder"),
}
