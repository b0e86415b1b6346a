"""Recipe text to Recipe: strict YAML, every problem at once, each with its place."""

from launcher.loading.locating import in_order, locate
from launcher.loading.recipes import load_recipe, salvage_recipe

__all__ = ["in_order", "load_recipe", "locate", "salvage_recipe"]
