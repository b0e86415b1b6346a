"""Codes of the memory model, of traces and of probes; codes.py puts them into the one table."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["MEASURING_CODES", "MEMORY_CODES"]

MEMORY_CODES: dict[str, CodeInfo] = {
    "does-not-fit": CodeInfo(
        "the expected peak is more than the driver leaves of the device",
        "take one of the ways out, or measure with `batchwright probe`",
    ),
    "memory-tight": CodeInfo(
        "the expected peak fits, the upper end of its range does not",
        "measure with `batchwright probe`, or leave more room",
    ),
    "logits-dominate": CodeInfo(
        "logits and loss are a large share of the peak",
        "use a loss that works in chunks or in one kernel: loss.logits",
    ),
    "buffers-dominate": CodeInfo(
        "communication buffers of fixed size outweigh the model", "use a lower stage, or plain ddp"
    ),
    "not-yet-supported": CodeInfo(
        "the key is understood and not yet carried out", "remove it, or plan without running"
    ),
    "not-yet-used": CodeInfo(
        "the key is understood and shown, and does not change this plan yet", "nothing to do"
    ),
    "nobody-applies": CodeInfo(
        "a setting that only the training script can carry out",
        "pass it through a placeholder, or use the runtime",
    ),
    "scaled-far": CodeInfo(
        "the learning rate is scaled beyond the range in which its rule was published",
        "measure, or come closer to the reference batch",
    ),
    "no-effect": CodeInfo(
        "a written value changes nothing beside the others", "drop it, or write what it was meant for"
    ),
    "order-unproven": CodeInfo(
        "a stream's samples have no numbers, so nothing can prove their order",
        "use data.kind: map where the data allows it",
    ),
}

MEASURING_CODES: dict[str, CodeInfo] = {
    # tracing a module
    "module-not-found": CodeInfo(
        "model.module names a file or function that does not exist",
        "the path is taken from the recipe's folder: package.file:function",
    ),
    "module-unusable": CodeInfo(
        "the function of model.module asks for what a recipe does not say, or returns no module and batch",
        "give its parameters defaults; return (nn.Module, sample batch)",
    ),
    "module-failed": CodeInfo(
        "the function, or one training step of its module, raised an error",
        "run it by hand; the place is named",
    ),
    "data-dependent": CodeInfo(
        "the module decides by the numbers in a tensor (`.item()`, `nonzero`, `if tensor`), which a trace lacks",
        "take the decision out of the training step, or measure on the device",
    ),
    "trace-aborted": CodeInfo(
        "the process that traces died", "the last lines of what it printed are below the message"
    ),
    "trace-timeout": CodeInfo(
        "the trace takes longer than its time limit", "trace with --timeout, or fewer layers"
    ),
    "trace-needs-torch": CodeInfo(
        "the interpreter that would train cannot trace: torch or batchwright is missing in it",
        "write launch.python: the interpreter of the environment that trains",
    ),
    "trace-stale": CodeInfo(
        "the code of model.module has changed since it was traced", "run `batchwright trace` again"
    ),
    "trace-missing": CodeInfo(
        "there is no trace of model.module at these sizes and settings", "run `batchwright trace`"
    ),
    # measuring a checkpoint
    "checkpoint-unreadable": CodeInfo(
        "the file given to `batchwright sharpness` is no checkpoint of the recipe's module",
        "save state dicts with torch.save, whole, with the names and shapes that the function's module has",
    ),
    "sharpness-unmeasured": CodeInfo(
        "nothing can be measured of a checkpoint: the process is lost, or its loss is not one finite number",
        "the message says which; the last lines of what it printed are below it",
    ),
    "probe-needs-limit": CodeInfo(
        "a probe has nothing to measure against: how much memory a process may take is not known",
        "batchwright probe --limit SIZE, or write cluster.host_memory",
    ),
    "probe-failed": CodeInfo(
        "a job of a probe ended for another reason than memory; nothing was measured",
        "the last lines of what it printed are below the message; `batchwright run` shows all of them",
    ),
    "probe-no-steps": CodeInfo(
        "a job of a probe ended before the optimizer steps that it was to measure",
        "train for more steps, or probe with fewer (--steps 2)",
    ),
    "trial-failed": CodeInfo(
        "a job of a self-test ended before its first optimizer step, or no gradient was seen at one",
        "the last lines of what it printed are below the message; `batchwright run` shows all of them",
    ),
    "rehearsal-failed": CodeInfo(
        "`run --rehearse` has started nothing further, because the rehearsal failed",
        "mend what the table names; run folders and checkpoints of the rehearsal are kept where it says",
    ),
    "selftest-failed": CodeInfo(
        "a library has changed since the recipe's last run, and with it the gradient depends on how the batch is cut",
        "docs/explanation/accumulation.md names the factor for each engine; --no-selftest starts the run all the same",
    ),
    "probe-stale": CodeInfo(
        "the script, or what it imports, has changed since it was probed", "run `batchwright probe` again"
    ),
}
