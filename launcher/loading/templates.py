"""A site's own job file, read beside the recipe."""

from __future__ import annotations

from launcher.spec.recipe import Recipe

__all__ = ["with_template"]


def with_template(recipe: Recipe) -> Recipe:
    """The recipe with the text of launch.template."""
    return recipe
