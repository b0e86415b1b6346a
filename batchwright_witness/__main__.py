"""`python -m batchwright_witness`: read the plan, compare the environment, then be the script."""

from __future__ import annotations

import atexit
import importlib.util
import io
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from batchwright_witness.arguments import Arguments, UsageError, parse_arguments
from batchwright_witness.beat_hooks import aside_hooks, install_hooks
from batchwright_witness.beats import open_beats
from batchwright_witness.borrowed import HOME, Borrowed, borrow
from batchwright_witness.ending import Ending
from batchwright_witness.environment import Difference, environment_differences, rank_of
from batchwright_witness.inspecting import inspect
from batchwright_witness.probing import confine, probe_order
from batchwright_witness.rank_log import keep_log
from batchwright_witness.script import ScriptError, prepare_module, prepare_script, run
from batchwright_witness.stacks import answer_with_stacks

if TYPE_CHECKING:
    from batchwright_witness.stability.remarks import Remarks
    from batchwright_witness.watch import Watch
    from launcher.spec.plan import RunPlan

GLOO_SECONDS = 0.4
"""Pause before the interpreter shuts down, for gloo's threads to let go of the last tensors.

One that asks for the interpreter while it shuts down aborts the process: exit code 134 after a training that went well
(torch 2.13.0 ProcessGroupGloo::runLoop; seen in 2 of 15 starts of a plain script that was not started by us).
"""


def main() -> int:
    """Exit code of the script; 1 when the job is not the planned one, 2 for a wrong command line."""
    try:
        arguments = parse_arguments(sys.argv[1:])
    except UsageError as error:
        print(f"batchwright_witness: {error}", file=sys.stderr)
        return 2
    environ = os.environ  # noqa: TID251 - the one place where the witness reads it
    folder = Path(environ.get("BATCHWRIGHT_RUN") or Path(arguments.plan).resolve().parent)
    keep_log(folder, rank_of(environ), environ)
    _say_whole_lines()
    answer_with_stacks(folder, rank_of(environ))
    borrowed, plan = borrow(arguments.plan)
    ending = Ending(
        folder=folder,
        rank=rank_of(environ),
        lenient=environ.get("BATCHWRIGHT_WITNESS") == "warn",
        problem=borrowed.problem,
    )
    if isinstance(plan, str):
        return ending.refuse(
            "plan-unreadable", Difference(f"cannot read the plan `{arguments.plan}`", (plan,))
        )
    for difference in environment_differences(environ=environ, plan=plan):
        return ending.refuse("world-differs", difference)
    try:
        module, code = _prepare(arguments)
    except ScriptError as error:
        return ending.refuse("script-not-found", Difference(str(error)))
    ending.probe = probe_order(environ)
    if ending.probe is not None:
        confine(ending.probe)
        if ending.probe.inspect:
            inspect()
    if plan.layout.backend == "gloo" and plan.layout.world_size > 1:
        atexit.register(time.sleep, GLOO_SECONDS)  # registered first, hence run last
    ending.pulse = open_beats(folder, ending.rank)
    if plan.launch.runtime:
        if shadow := _shadow():
            return ending.refuse("shadowed-launcher", shadow)
        install_hooks(aside_hooks(ending.pulse), unseen=lambda _words: None)
    else:
        ending.watch = _watch(plan, borrowed, ending, environ)
    return run(module, code, ended=ending.record)


def _say_whole_lines() -> None:
    """Output goes through a pipe that all ranks share: a line at a time, neither late nor cut by another rank's."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, write_through=False)


def _prepare(arguments: Arguments) -> tuple[ModuleType, CodeType]:
    if arguments.module is not None:
        return prepare_module(arguments.module, arguments.rest)
    assert arguments.script is not None
    return prepare_script(arguments.script, arguments.rest)


def _watch(plan: RunPlan, borrowed: Borrowed, ending: Ending, environ: Mapping[str, str]) -> Watch:
    """Hooks for what the script will import; the runtime, where a script uses it, proves more and by itself."""
    from batchwright_witness.checkpoints import checkpoint_folders, latest_checkpoint
    from batchwright_witness.exchange import Exchange
    from batchwright_witness.hooks import install
    from batchwright_witness.journal import Journal
    from batchwright_witness.vitals import Vitals
    from batchwright_witness.watch import Watch

    assert ending.pulse is not None
    folders = checkpoint_folders(plan.checkpoint, ending.folder, Path(plan.launch.workdir))
    attempt = environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    vitals = Vitals(
        ending.pulse,
        rank=ending.rank,
        stop=lambda code, words: ending.stop(code, words, by_all=False),
        checkpoint=lambda before: latest_checkpoint(folders, before=before),
        remarks=_remarks(ending.folder, again=attempt != "0") if ending.rank == 0 else None,
    )
    parts: dict[str, Any] = {
        "plan": plan,
        "borrowed": borrowed,
        "exchange": Exchange(attempt=attempt, timeout_seconds=plan.launch.handshake_seconds),
        "journal": Journal(ending.folder / "log.jsonl" if ending.rank == 0 else None, again=attempt != "0"),
        "stop": ending.stop,
    }
    if ending.probe is None:
        watch = Watch(**parts)
    else:
        from batchwright_witness.probing_watch import ProbingWatch

        watch = ProbingWatch(steps=ending.probe.steps, leave=ending.leave, **parts)
    install(watch, environ, vitals)
    return watch


def _remarks(folder: Path, *, again: bool) -> Remarks:
    """What is said of the losses that go backward on this rank, on stderr: the script's stdout is its own."""
    from batchwright_witness.stability.remarks import Remarks
    from batchwright_witness.stability.watching import Stability

    return Remarks(
        folder, stability=Stability(), say=lambda line: print(line, file=sys.stderr), resumed=again
    )


def _shadow() -> Difference | None:
    """What `import launcher` would give the script, where it is not ours."""
    found = importlib.util.find_spec("launcher")
    if found is None:
        # not installed, found through the current folder: which the script's folder has replaced
        sys.path.append(str(HOME.parent))
        return None
    place = found.origin or next(iter(found.submodule_search_locations or ()), "?")
    if Path(place).resolve() == HOME / "__init__.py":
        return None
    return Difference(
        f"the script uses launcher.runtime, and `import launcher` would find `{place}`",
        (f"planned: `{HOME}`", "the script's own folder comes first on Python's path"),
        "rename that file or folder, or set launch.runtime: false",
    )


if __name__ == "__main__":
    sys.exit(main())
