"""Joins the job as its engine does and writes down what it sees. The engine's name is in the environment."""

import json
import os
import sys
from pathlib import Path


def join(engine):
    """How many ranks the engine's own object sees."""
    if engine == "accelerate":
        from accelerate import Accelerator

        return Accelerator().num_processes
    if engine == "deepspeed":
        import deepspeed
        import torch

        model = torch.nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trained, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=os.environ["SHOW_CONFIG"])
        return (
            trained.train_batch_size()
            // trained.train_micro_batch_size_per_gpu()
            // trained.gradient_accumulation_steps()
        )
    import torch.distributed

    torch.distributed.init_process_group("gloo")
    return torch.distributed.get_world_size()


seen_by_engine = join(os.environ["SHOW_ENGINE"])

import torch.distributed as dist  # noqa: E402

seen = {
    "rank": dist.get_rank(),
    "world_size": dist.get_world_size(),
    "seen_by_engine": seen_by_engine,
    "plan": os.environ["LAUNCHER_PLAN"],
    "threads": os.environ["OMP_NUM_THREADS"],
    "lines": os.environ["SHOW_LINES"],
    "argv": sys.argv,
    "path": sys.path[0],
    "folder": str(Path.cwd()),
}
Path(os.environ["BATCHWRIGHT_RUN"], f"seen.{seen['rank']}.json").write_text(json.dumps(seen))
dist.barrier()
dist.destroy_process_group()
