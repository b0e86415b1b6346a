"""What `run` does around a run: a rehearsal where it is asked for, a self-test where a library has changed."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.handoff.order import Order
    from launcher.spec.recipe import Recipe

__all__ = ["before_the_run", "remember_versions"]


def before_the_run(
    arguments: argparse.Namespace, recipe: Recipe, order: Order, around: Surroundings
) -> int | None:
    """The exit code where a signal asked to end, else None. Raises HandoffError where the run had better not start."""
    changed = "" if arguments.no_selftest or not order.bundle.attached else _changed(arguments, recipe, order)
    if not (changed or arguments.rehearse):
        return None
    from launcher.cli.trials import Interrupted

    try:
        if changed:
            around.tell(f"selftest {changed} since the last run of this recipe")
            _selftest(arguments, recipe, around, changed)
            remember_versions(arguments, recipe, order)
        if arguments.rehearse:
            _rehearse(arguments, recipe, around)
    except Interrupted as interrupted:
        around.tell("interrupted; nothing was started")
        return 128 + interrupted.number
    return None


def remember_versions(arguments: argparse.Namespace, recipe: Recipe, order: Order) -> None:
    """Keeps the libraries' versions beside the recipe; where nothing can be written there, nothing is kept."""
    from launcher.discovery.versions import known_versions, versions_file

    if not order.bundle.attached:
        return  # handed over, and how it ends is not known
    now, known = _versions(order), known_versions(recipe)
    name = Path(arguments.recipe).name
    if not now or known.get(name) == now:
        return
    from launcher.handoff.trials.kept import keep

    with contextlib.suppress(OSError):
        keep(versions_file(recipe), {**known, name: now})


def _changed(arguments: argparse.Namespace, recipe: Recipe, order: Order) -> str:
    """`torch 2.12.0 is now 2.13.0`; empty where nothing has changed, or nothing is known of a run before."""
    from launcher.discovery.versions import known_versions

    known = known_versions(recipe).get(Path(arguments.recipe).name)
    if not known:
        return ""
    now = _versions(order)
    if not now:
        return ""
    differ = [name for name in sorted({*known, *now}) if known.get(name) != now.get(name)]
    return ", ".join(_change(name, known.get(name), now.get(name)) for name in differ)


def _change(name: str, before: str | None, now: str | None) -> str:
    if before is None:
        return f"{name} {now} is new"
    return f"{name} {before} is gone" if now is None else f"{name} {before} is now {now}"


def _versions(order: Order) -> dict[str, str]:
    """By library, where the job's interpreter can be seen from here; an image's own cannot."""
    if order.plan.launch.container is not None:
        return {}
    from launcher.discovery.versions import installed_versions
    from launcher.handoff.running.executables import find_executable

    workdir = order.plan.launch.workdir
    python = find_executable(order.python, environ=order.environ, beside=order.beside, directory=workdir)
    return installed_versions(python)


def _selftest(arguments: argparse.Namespace, recipe: Recipe, around: Surroundings, changed: str) -> None:
    """Raises HandoffError[selftest-failed] where the gradient depends on the split."""
    from launcher.cli.ordering import located
    from launcher.cli.selftesting import SelfTest
    from launcher.errors import HandoffError, Problem
    from launcher.reporting.columns import WIDTH, wrapped
    from launcher.reporting.selftest_text import selftest_text

    found = SelfTest(path=arguments.recipe, overrides=tuple(arguments.set), around=around).run()
    around.tell("\n".join(f"        {line}".rstrip() for line in selftest_text(found)))
    if found.verdict != "failed":
        return
    problem = Problem(
        code="selftest-failed",
        path="launch.script",
        message=f"{changed}, and the gradient depends on how the batch is cut: ratio {found.ratio:.4f}, not 1.000",
        because=tuple(wrapped(found.words, width=WIDTH - 2)),
        hint="batchwright selftest shows it again; --no-selftest starts the run all the same",
    )
    raise HandoffError(located([problem], recipe))


def _rehearse(arguments: argparse.Namespace, recipe: Recipe, around: Surroundings) -> None:
    """Raises HandoffError[rehearsal-failed] with what failed."""
    from launcher.cli.ordering import located
    from launcher.cli.rehearsing import Rehearsal
    from launcher.errors import HandoffError, Problem
    from launcher.reporting.rehearse_text import rehearsal_text

    found = Rehearsal(
        path=arguments.recipe, overrides=tuple(arguments.set), keep=False, judged=True, around=around
    ).run()
    around.tell("\n".join(rehearsal_text(found)))
    if found.passed:
        return
    failed = [part for part in found.parts if part.verdict == "failed"]
    problem = Problem(
        code="rehearsal-failed",
        path="launch.script",
        message=f"the rehearsal failed at {', '.join(part.name for part in failed)}; nothing further was started",
        because=tuple(part.words for part in failed),
        hint=f"mend it and rehearse again; what the rehearsal wrote is kept in {found.folder}",
    )
    raise HandoffError(located([problem], recipe))
