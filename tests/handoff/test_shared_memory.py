"""DeepSpeed's shared memory on CPU goes with the job that left it."""

import os

from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.shared_memory import free_shared_memory


def command(*argv):
    return JobCommand(argv=argv, env={}, directory="/")


def test_only_this_jobs_buffers_go(tmp_path):
    """Buffers are told apart by user, address and port; those of other jobs, and other files, stay."""
    user = os.getuid()
    own = [f"deepspeed_allreduce_buffer_{user}_127.0.0.1_20016_{rank}" for rank in range(2)]
    others = [
        f"deepspeed_allreduce_buffer_{user}_127.0.0.1_2001_0",
        f"deepspeed_allreduce_buffer_{user}_10.0.0.1_20016_0",
        f"deepspeed_allreduce_buffer_{user + 1}_127.0.0.1_20016_0",
        "psm_1",
    ]
    for name in (*own, *others):
        (tmp_path / name).write_text("")
    words = ("--master_addr", "127.0.0.1", "--master_port", "20016", "--module", "--", "train.py")
    assert free_shared_memory([command("/bin/torchrun", *words)], folder=tmp_path) == ()
    assert free_shared_memory([command("/bin/deepspeed", *words)], folder=tmp_path) == tuple(own)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    runner = ("python", "-m", "deepspeed.launcher.launch")
    assert free_shared_memory([command(*runner, *words)], folder=tmp_path / "none") == ()
