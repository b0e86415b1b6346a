"""The environment of a node's command: this node's own variables, the caller's, the secrets, the plan's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from launcher.handoff.running.environment import job_environment
from launcher.handoff.running.processes import NODE_MARK
from launcher.spec.bundle import SETUP_MARK
from launcher.spec.caller import NEVER

__all__ = ["node_environment"]

_SLURM = ("SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_RESTART_COUNT")
# what describes the machine, or what its scheduler gave: the caller's machine has nothing to say about it
_OWN = re.compile(
    r"HOME|USER|LOGNAME|SHELL|TMPDIR|TMP|TEMP|XDG_.*|TERM|CUDA_HOME|CUDA_PATH|ROCM_HOME|ROCM_PATH|"
    r"(CUDA|NVIDIA|HIP|ROCR|HABANA)_VISIBLE_(DEVICES|MODULES)"
)
_FOLDERS = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
)


def node_environment(
    *,
    own: Mapping[str, str],
    caller: Mapping[str, str],
    secrets: Mapping[str, str],
    rendered: Mapping[str, str],
    pass_env: Sequence[str],
    node: int,
    first_on_path: Sequence[str],
) -> dict[str, str]:
    """The whole environment of one node's command.

    own: what the node program was started with; names that launch.setup has brought into it are listed in SETUP_MARK.
    caller: what the person's shell hands on; it wins, except about the machine itself and over launch.setup.
    secrets: values of pass_env, where they did not come by name. first_on_path: folders before all.
    """
    loaded = [name for name in own.get(SETUP_MARK, "").split() if not name.startswith(NEVER)]
    mine = job_environment(environ=own, rendered={}, pass_env=(*pass_env, *loaded))
    kept = {name for name in mine if name in loaded or _OWN.fullmatch(name)}
    merged = {**mine, **{name: text for name, text in caller.items() if name not in kept}}
    for name in _FOLDERS:
        if name in mine and name in caller:
            merged[name] = _joined(mine[name], caller[name])
    job = {name: own[name] for name in _SLURM if name in own}
    return job_environment(
        environ={**merged, **secrets},
        rendered={**job, **rendered, NODE_MARK: str(node)},
        pass_env=(*pass_env, *secrets, *loaded),
        first_on_path=first_on_path,
    )


def _joined(first: str, then: str) -> str:
    entries = first.split(":")
    return ":".join([*entries, *(entry for entry in then.split(":") if entry not in entries)])
