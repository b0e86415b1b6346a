"""What can go wrong through something a person can change: problems as values, and the exceptions that carry them.

* LauncherError            exit 1, the problems, no traceback
  + RecipeError            a recipe cannot be read or does not fit the schema
  + PlanError              well formed, but no plan exists
  + EngineError            an engine is unknown, clashing, or cannot express this plan
  + HandoffError           a file, a process or a host failed; refused before anything started: exit 78
  + WorldError             the ranks that train are not the ranks that were planned
"""

from launcher.errors.codes import CODES, CodeInfo
from launcher.errors.problems import (
    EngineError,
    HandoffError,
    LauncherError,
    PlanError,
    Problem,
    RecipeError,
    WorldError,
)

__all__ = [
    "CODES",
    "CodeInfo",
    "EngineError",
    "HandoffError",
    "LauncherError",
    "PlanError",
    "Problem",
    "RecipeError",
    "WorldError",
]
