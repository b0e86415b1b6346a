"""`batchwright sharpness`: how curved the loss is at a checkpoint, beside the published limits."""

from __future__ import annotations

import argparse
from pathlib import Path

from launcher.cli.options import add_recipe
from launcher.cli.surroundings import Surroundings

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run"]

SUMMARY = "measure how curved the loss is at a checkpoint"
DESCRIPTION = """\
Load a checkpoint into the module that model.module names, and measure on one batch, in fp32 with dropout off: the
largest eigenvalue of the Hessian, the preconditioned one where the file holds Adam's moments, the critical sharpness
along the next update, and the rise of the loss in a small ball. Each is shown beside the limit that is published for
the optimizer at the learning rate of the checkpoint. These are measurements: they do not say how a model will do on
data that it has not seen. Runs in a child process with the interpreter of launch.python; on a GPU where torch sees
one. The file is one that torch.save wrote: a state dict, or {"model": ..., "optimizer": ..., "run": ...}."""
EXAMPLE = """\
examples:
  batchwright sharpness recipes/module/small-gpt.yaml --checkpoint step-1000.pt
  batchwright sharpness recipes/module/small-gpt.yaml --checkpoint step-1000.pt --batch batch.pt --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `sharpness`."""
    add_recipe(parser)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="what torch.save wrote of the training"
    )
    parser.add_argument(
        "--batch",
        type=Path,
        metavar="FILE",
        help="a batch of your data, as torch.save writes it (default: the sample of model.module)",
    )
    parser.add_argument(
        "--iterations",
        type=_count,
        default=20,
        metavar="N",
        help="Hessian-vector products at most, each about two backward passes (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print what was measured as one JSON object")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give up after that long (default: 600)",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Prints what was measured; LauncherError when nothing can be."""
    from launcher.api import load_recipe, plan
    from launcher.cli.module_setting import setting_here
    from launcher.cli.ordering import located
    from launcher.errors import LauncherError
    from launcher.measuring.sharpness_asked import sharpness_of

    recipe = load_recipe(arguments.recipe, overrides=arguments.set)
    try:
        found = sharpness_of(
            recipe=recipe,
            plan=plan(recipe, environ=around.environ),
            setting=setting_here(recipe, around.environ),
            checkpoint=arguments.checkpoint,
            batch=arguments.batch,
            iterations=arguments.iterations,
            environ=around.environ,
            beside=around.beside,
            timeout_seconds=arguments.timeout,
        )
    except LauncherError as error:
        raise type(error)(located(error.problems, recipe)) from None
    if arguments.json:
        import json

        around.say(json.dumps(found, indent=1))
    else:
        from launcher.reporting.sharpness_text import sharpness_text

        around.say("\n".join(sharpness_text(found)))
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}`: expected a whole number from 1")
    return int(text)
