"""The environment of a command of a job: what the caller may hand on, and what the plan sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.spec.caller import allowed

__all__ = ["job_environment"]


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
