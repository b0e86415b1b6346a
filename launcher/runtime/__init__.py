"""Inside a training process: proves the world, hands out samples, weighs losses, sets the learning rate, keeps the log.

    run = runtime.start(model)                    # nn.Module, DDP or FSDP module, Accelerator, DeepSpeedEngine
    for step in run.steps(dataset, collate=...):  # one optimizer step
        for micro in step:                        # this rank's micro-batches
            run.backward(losses(model, micro.batch), micro)
        run.apply(optimizer)

torch is imported by the functions that need it, never by this package.
"""

from launcher.runtime.plain_errors import show_plainly
from launcher.runtime.run import Run, start
from launcher.runtime.steps import MicroBatch, Step
from launcher.runtime.world import read_plan, run_folder

__all__ = ["MicroBatch", "Run", "Step", "read_plan", "run_folder", "start"]

show_plainly()
