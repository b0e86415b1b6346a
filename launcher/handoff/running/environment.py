"""The environment of a command of a job: what the caller may hand on, and what the plan sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from launcher.spec.caller import allowed

__all__ = ["job_environment", "with_time_to_end"]


def job_environment(
    *,
    environ: Mapping[str, str],
    rendered: Mapping[str, str],
    pass_env: Sequence[str] = (),
    first_on_path: Sequence[str] = (),
) -> dict[str, str]:
    """The whole environment of one command of a job.

    environ: the caller's. rendered: what the plan sets; it wins. pass_env: names handed on as they are.
    first_on_path: folders put before the caller's PATH.
    """
    handed = {name: value for name, value in environ.items() if allowed(name) or name in pass_env}
    entries = handed.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    folders = [*first_on_path, *(entry for entry in entries if entry not in first_on_path)]
    return {**handed, "PATH": ":".join(folders), **rendered}


def with_time_to_end(environment: Mapping[str, str], *, grace_seconds: float) -> dict[str, str]:
    """The environment with a torchrun that waits as long as we do; one that is set stays.

    It would kill ranks 30 s after it was asked to end, whatever the recipe's grace.
    Source: torch@2.13.0 torch/distributed/run.py:get_args_parser, `--shutdown-timeout`.
    """
    return {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(ceil(grace_seconds)), **environment}
