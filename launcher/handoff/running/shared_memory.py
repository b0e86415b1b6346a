"""What DeepSpeed on CPU leaves in /dev/shm: 66 MiB for each rank of every job, until the machine is restarted.

Source: deepspeed@0.19.8 ops/csrc/cpu/comm/shm.cpp:shm_initialize, which creates the buffers and never unlinks them;
deepspeed/comm/torch.py:build_shm_op hands it the main node's address and port.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from launcher.handoff.running.commands import JobCommand

__all__ = ["free_shared_memory"]

_FOLDER = Path("/dev/shm")  # noqa: S108 - where the kernel keeps shared memory
_NAME = "deepspeed_allreduce_buffer_{user}_{address}_{port}_"


def free_shared_memory(commands: Sequence[JobCommand], *, folder: Path = _FOLDER) -> tuple[str, ...]:
    """Removes the buffers of ended jobs, which carry their meeting place in the name; names of those removed."""
    found = []
    for command in commands:
        words = dict(zip(command.argv, command.argv[1:], strict=False))
        if "--master_addr" not in words or not any("deepspeed" in word for word in command.argv[:3]):
            continue
        start = _NAME.format(user=os.getuid(), address=words["--master_addr"], port=words["--master_port"])
        try:
            names = [path.name for path in folder.iterdir() if path.name.startswith(start)]
        except OSError:
            continue
        for name in names:
            (folder / name).unlink(missing_ok=True)
            found.append(name)
    return tuple(sorted(found))
