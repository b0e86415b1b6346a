"""`batchwright advise`: what published laws, or a run's own gradient noise, say of a batch."""

from __future__ import annotations

import argparse
import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "what published laws, or a run's gradient noise, say of the batch"
DESCRIPTION = """\
Of a recipe: the batch, learning rate and weight decay that published laws would choose for its model and data, side by
side, with what each was fitted on. A law asked more than ten times beyond its fit says nothing without --extrapolate.
Of a run's folder: batch sizes around the gradient noise scale that was measured in it, with the cost of each.
Changes nothing."""
EXAMPLE = """\
examples:
  batchwright advise recipes/quickstart/cpu-1x2.yaml
  batchwright advise recipes/quickstart/three-numbers.yaml --tokens 2.5B --set model.preset=gpt2
  batchwright advise runs/quickstart-20261121-230142-7f3a
"""
_OF_A_RECIPE = ("set", "tokens", "loss", "reference_tokens", "noise_scale", "extrapolate", "explain")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `advise`."""
    parser.add_argument(
        "target", metavar="RECIPE_OR_RUN", help="a recipe, or the folder of a run (or its name under ./runs)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one key of the recipe; may be repeated",
    )
    parser.add_argument(
        "--tokens", type=_count, metavar="N", help="tokens of the run, instead of what the recipe comes to"
    )
    parser.add_argument(
        "--loss", type=_positive, metavar="NATS", help="training loss per token, for a critical batch by loss"
    )
    parser.add_argument(
        "--reference-tokens",
        type=_count,
        metavar="N",
        help="tokens of the run in which the recipe's reference batch was found best, for laws without a scale",
    )
    parser.add_argument(
        "--noise-scale",
        type=_positive,
        metavar="SEQUENCES",
        help="gradient noise scale, as advise RUN prints it",
    )
    parser.add_argument(
        "--extrapolate", action="store_true", help="also show laws more than ten times beyond their fit"
    )
    parser.add_argument("--explain", action="store_true", help="add what each law was fitted on")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """0 when there was something to say."""
    directory = _run_folder(arguments.target)
    if directory is None:
        return _advise_recipe(arguments, around)
    written = [name for name in _OF_A_RECIPE if getattr(arguments, name) not in (None, False, [])]
    if written:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in written)
        verb = "is" if len(written) == 1 else "are"
        around.tell(f"{words} {verb} for a recipe; `{arguments.target}` is the folder of a run")
        return 2
    return _advise_run(arguments, around, directory)


def _run_folder(target: str) -> Path | None:
    """The folder of a run, or None for a recipe. Raises HandoffError for a target that is neither."""
    from pathlib import Path

    from launcher.errors import HandoffError, Problem

    path = Path(target)
    if path.is_dir() or (Path("runs") / target).is_dir():
        from launcher.handoff.afterwards.run_record import find_run

        return find_run(target)
    if path.exists() or path.suffix in {".yaml", ".yml", ".json"}:
        return None  # what is wrong with a recipe its reader says
    problem = Problem(
        code="neither-recipe-nor-run",
        message=f"`{target}` is neither a recipe nor the folder of a run",
        hint="name a YAML file, or the folder that `batchwright run` printed",
    )
    raise HandoffError([problem])


def _advise_recipe(arguments: argparse.Namespace, around: Surroundings) -> int:
    from launcher.api import load_recipe, plan
    from launcher.planning.laws.advice import advise
    from launcher.planning.laws.asked import asked_of

    recipe = load_recipe(arguments.target, overrides=arguments.set)
    asked = asked_of(
        recipe=recipe,
        plan=plan(recipe, environ=around.environ),
        run_tokens=arguments.tokens,
        loss=arguments.loss,
        reference_run_tokens=arguments.reference_tokens,
        noise_sequences=arguments.noise_scale,
    )
    advice = advise(asked, extrapolate=arguments.extrapolate)
    if arguments.json:
        around.say(json.dumps(advice.to_dict(), indent=1))
    else:
        from launcher.reporting.advice_text import advice_text

        around.say("\n".join(advice_text(advice, name=arguments.target, explain=arguments.explain)))
    return 0


def _advise_run(arguments: argparse.Namespace, around: Surroundings, directory: Path) -> int:
    from launcher.handoff.afterwards.run_record import read_run
    from launcher.planning.laws.candidates import candidates_of, earlier, with_batch_at
    from launcher.planning.noise.report import noise_report
    from launcher.reporting.noise_text import read_noise

    entries = read_noise(directory)
    step = next((entry.get("step") for entry in reversed(entries) if "noise_scale" in entry), None)
    report = noise_report(entries=entries, plan=with_batch_at(read_run(directory).plan, step=step))
    found = candidates_of(report)
    if arguments.json:
        from launcher.spec.plain import to_plain

        plain = {"advice_version": 1, **_finite(report), "candidates": to_plain(found)}
        around.say(json.dumps(plain, indent=1, allow_nan=False))
    else:
        from launcher.reporting.run_advice_text import run_advice_text

        around.say("\n".join(run_advice_text(report, found, name=arguments.target, before=earlier(entries))))
    return 0


def _finite(report: dict[str, Any]) -> dict[str, Any]:
    """With null for an end of an interval that is infinite: JSON has no word for it."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in report.items()
    }


def _count(text: str) -> float:
    from launcher.units import UnitError, parse_amount

    try:
        found = float(parse_amount(text, kind="count").number)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return _more_than_nothing(found)


def _positive(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    return _more_than_nothing(found)


def _more_than_nothing(number: float) -> float:
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("expected a finite number above 0")
    return number
