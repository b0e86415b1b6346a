"""What a person reads when something is refused, or when we have a bug."""

from __future__ import annotations

import json
from typing import Any

from launcher.cli.surroundings import Surroundings
from launcher.errors import LauncherError, PlanError

__all__ = ["print_bug", "print_refusal"]


def print_refusal(error: LauncherError, around: Surroundings, *, as_json: bool) -> None:
    """Every error and how many, on stderr; the ways out, or the whole as JSON, on stdout."""
    errors = [problem for problem in error.problems if problem.severity == "error"]
    for problem in errors:
        around.tell(str(problem))
    around.tell(f"{len(errors)} problem{'s' if len(errors) != 1 else ''}")
    around.stderr.flush()
    if as_json:
        around.say(json.dumps(refusal(error), indent=1))
    elif isinstance(error, PlanError) and error.alternatives:
        from launcher.reporting.ways_out import ways_out

        around.say("\n".join(["", *ways_out(error.alternatives)]))
    around.stdout.flush()


def refusal(error: LauncherError) -> dict[str, Any]:
    """One object with the names of a plan, whatever was refused."""
    from launcher.spec.plain import to_plain

    plan = error.to_dict() if isinstance(error, PlanError) else {}
    found = {"plan_version": 1, **plan, "verdict": "refused", "problems": to_plain(error.problems)}
    found["alternatives"] = to_plain(getattr(error, "alternatives", ())) or found.get("alternatives") or []
    return found


def print_bug(around: Surroundings) -> None:
    """The traceback and what we need to know to find it."""
    import platform
    import traceback
    from importlib.metadata import PackageNotFoundError, version

    def known(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} not installed"

    around.tell(traceback.format_exc())
    packages = ", ".join(known(name) for name in ("batchwright", "torch", "deepspeed", "accelerate"))
    around.tell("this is a bug of batchwright; please report it with the lines above")
    around.tell(f"  {packages}, Python {platform.python_version()}, {platform.platform()}")
