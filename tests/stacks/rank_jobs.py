"""Starts jobs of real ranks on this machine, each on a port of its own, and leaves none of their processes behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

__all__ = ["free_port", "run_group", "torchrun"]


def torchrun(*script, environ, seconds, ranks=2):
    """Exit code and output of a script on some ranks of one thread each."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc_per_node", str(ranks)),
        *("--master_addr", "127.0.0.1", "--master_port", str(free_port()), *map(str, script)),
    ]
    # this Python's own tools first: DeepSpeed compiles anew for another version of ninja
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    common = {"PATH": path, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "ACCELERATE_USE_CPU": "true"}
    return run_group(command, environ={**os.environ, **common, **environ}, seconds=seconds)


def run_group(command, *, environ, seconds):
    """Exit code and output of a command; its whole process group ends when the time is over."""
    with subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
        return process.returncode, text


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
