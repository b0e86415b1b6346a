"""How a script is told to go on from a checkpoint: its own arguments, then those of `resume.args`."""

from __future__ import annotations

from dataclasses import replace

from launcher.spec.recipe import Recipe

__all__ = ["from_checkpoint", "resuming_words"]


def resuming_words(recipe: Recipe, *, checkpoint: str) -> tuple[str, ...]:
    """All arguments of a start that goes on; braces in the checkpoint's path are not placeholders."""
    assert recipe.resume is not None
    place = checkpoint.replace("{", "{{").replace("}", "}}")
    return (
        *recipe.launch.args,
        *(word.replace("{latest_checkpoint}", place) for word in recipe.resume.args),
    )


def from_checkpoint(recipe: Recipe, *, checkpoint: str) -> Recipe:
    """The recipe whose script goes on from a checkpoint."""
    args = resuming_words(recipe, checkpoint=checkpoint)
    return replace(recipe, launch=replace(recipe.launch, args=args))
