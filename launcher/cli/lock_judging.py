"""One lock against what its recipe comes to now: what has moved, how bad that is, and the words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.errors import LauncherError, Problem
from launcher.spec.shell import quote

if TYPE_CHECKING:
    from launcher.cli.locking import Planned
    from launcher.errors.problems import Severity
    from launcher.planning.comparing.comparing import Comparison
    from launcher.spec.lock import Lock

__all__ = ["Judged", "compared", "judge", "judge_file", "not_locked", "now_of"]

_GIB = 2**30
_FITS = ("fits", "tight")
_REVIEW = "if it is meant: have it reviewed, then check with --allow-moved"


class Judged(NamedTuple):
    """Problems of one lock, and the difference in words."""

    problems: tuple[Problem, ...] = ()
    lines: tuple[str, ...] = ()
    has_moved: bool = False
    """Whether what training means has."""

    @property
    def notes(self) -> tuple[Problem, ...]:
        """Those that are no fault, and are still to be read."""
        return tuple(problem for problem in self.problems if problem.severity == "note")


class Now(NamedTuple):
    """The plan to compare with a lock, at the lock's own micro-batches where the recipe leaves them open."""

    planned: Planned
    chosen: int | None
    """The micro-batch that `auto` would take instead; None where it is the locked one."""


def judge_file(path: str, *, recipe: str, allow_moved: bool) -> Judged:
    """A lock file of a recipe."""
    from launcher.loading.locks import LockError, read_lock

    try:
        lock = read_lock(path)
    except LockError as error:
        hint = f"batchwright lock {quote(recipe)}" if error.is_ours else error.hint
        return Judged((Problem(code=error.code, where=path, message=str(error), hint=hint),))
    if lock.recipe != Path(recipe).name:
        if (Path(path).parent / lock.recipe).is_file():
            return Judged()  # another recipe's, judged there
        message = (
            f"the lock of `{lock.recipe}`, which is not there, has the name of one of {Path(recipe).name}"
        )
        hint = f"delete it, then batchwright lock {quote(recipe)}"
        return Judged((Problem(code="lock-without-recipe", where=path, message=message, hint=hint),))
    return judge(lock, recipe=recipe, name=path, allow_moved=allow_moved)


def judge(lock: Lock, *, recipe: str, name: str, allow_moved: bool, is_past: bool = False) -> Judged:
    """A lock and its recipe; name: of the lock in messages, is_past: whether it is that of a revision."""
    try:
        now = now_of(lock, recipe=recipe)
    except LauncherError:
        return Judged()  # refused: said where recipes are checked
    comparison = compared(lock, now, recipe=recipe, name=name)
    problems: list[Problem] = []
    if comparison.semantics_moved:
        hint = (
            _REVIEW if is_past else f"if it is meant: batchwright lock {quote(recipe)}, and have it reviewed"
        )
        severity: Severity = "note" if allow_moved else "error"
        problems.append(_moved(comparison, lock, recipe=recipe, severity=severity, hint=hint))
    elif comparison.plan_moved:
        problems.append(_plan_moved(comparison, recipe=recipe))
    if (
        not comparison.semantics_moved
    ):  # else the difference says it, and another training needs what it needs
        problems += [*_split_moved(now, lock, recipe=recipe), *_memory_moved(now, lock, recipe=recipe)]
    return Judged(tuple(problems), _lines(comparison, problems), comparison.semantics_moved)


def now_of(lock: Lock, *, recipe: str) -> Now:
    """The plan of a recipe on the machines of a lock. Raises LauncherError."""
    from launcher.api import plan
    from launcher.cli.locking import Planned, plan_to_lock
    from launcher.planning.comparing.locked_split import splits_differ, with_locked_split

    planned = plan_to_lock(recipe, cluster=lock.cluster)
    if (planned.plan.semantics_hash, planned.plan.plan_hash) == (lock.semantics_hash, lock.plan_hash):
        return Now(planned, None)
    filled = with_locked_split(planned.recipe, lock)
    if filled is None:
        return Now(planned, None)
    try:
        result = plan(filled, environ={}, measured=False, traced=False)
    except LauncherError:
        return Now(planned, None)  # the batch is another one, which the locked micro-batch does not divide
    if not splits_differ(result, planned.plan):
        return Now(planned, None)
    return Now(Planned(planned.recipe, result), planned.plan.batch.micro_batch_size)


def compared(lock: Lock, now: Now, *, recipe: str, name: str) -> Comparison:
    """A lock and a plan, value by value."""
    from launcher.planning.comparing.comparing import compare
    from launcher.planning.comparing.sides import side_of_lock, side_of_plan

    planned = now.planned
    after = side_of_plan(planned.plan, recipe=planned.recipe, name=recipe)
    return compare(side_of_lock(lock, name=name), after)


def not_locked(recipe: str) -> Problem:
    """A recipe without a lock."""
    from launcher.cli.locking import names_cluster

    where = "" if names_cluster(recipe) else " --cluster NAME"
    return Problem(
        code="not-locked",
        severity="warning",
        where=recipe,
        message="the recipe has no lock",
        hint=f"batchwright lock {quote(recipe)}{where}",
    )


def _moved(comparison: Comparison, lock: Lock, *, recipe: str, severity: Severity, hint: str) -> Problem:
    from launcher.cli.locking import our_version

    ours, kinds = our_version(), ", ".join(comparison.kinds) or "its hash"
    other = (f"the lock was made by batchwright {lock.batchwright}, this is {ours}",)
    return Problem(
        code="lock-moved",
        severity=severity,
        where=recipe,
        message=f"what training means has moved since {comparison.before.name}: {kinds}",
        because=other if lock.batchwright != ours else (),
        hint=hint,
    )


def _plan_moved(comparison: Comparison, *, recipe: str) -> Problem:
    parts = ", ".join(comparison.plan_parts) or "its hash"
    return Problem(
        code="locked-plan-moved",
        severity="warning",
        where=recipe,
        message=f"training means the same as in {comparison.before.name} and is carried out otherwise: {parts}",
        hint=f"batchwright lock {quote(recipe)}",
    )


def _split_moved(now: Now, lock: Lock, *, recipe: str) -> list[Problem]:
    if now.chosen is None:
        return []
    words = f"locked with a micro-batch of {lock.micro_batch_size}; `auto` would now choose {now.chosen}"
    if now.chosen == lock.micro_batch_size:  # only a stage's
        words = "locked with other micro-batches of its stages than `auto` would now choose"
    hint = f"batchwright lock {quote(recipe)} takes it; micro_batch_size written out keeps the locked one"
    return [
        Problem(
            code="locked-split-moved",
            severity="warning",
            path="micro_batch_size",
            where=recipe,
            message=words,
            hint=hint,
        )
    ]


def _memory_moved(now: Now, lock: Lock, *, recipe: str) -> list[Problem]:
    memory, verdict = now.planned.plan.memory, now.planned.plan.verdict
    words = []
    if lock.memory is not None and memory is not None:
        low, high = lock.memory.low_bytes, lock.memory.high_bytes
        if not low <= memory.peak_bytes <= high:
            words.append(
                f"expected memory {memory.peak_bytes / _GIB:.1f} GiB is outside of the locked "
                f"{low / _GIB:.1f} to {high / _GIB:.1f} GiB"
            )
    if verdict == "does-not-fit" and lock.verdict in _FITS:
        words.append("it no longer fits")
    if not words:
        return []
    return [
        Problem(
            code="locked-memory-moved",
            severity="warning",
            where=recipe,
            message="; ".join(words),
            hint=f"batchwright plan {quote(recipe)}, then batchwright lock {quote(recipe)}",
        )
    ]


def _lines(comparison: Comparison, problems: list[Problem]) -> tuple[str, ...]:
    """The difference, where a problem is about one."""
    from launcher.reporting.diff_text import diff_lines

    told = {"lock-moved", "locked-plan-moved", "locked-memory-moved"}
    return tuple(diff_lines(comparison)) if told.intersection(each.code for each in problems) else ()
