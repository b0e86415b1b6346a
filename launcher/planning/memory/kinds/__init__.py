"""Model kinds: one file for each family of kinds, registered here."""

from __future__ import annotations

from launcher.planning.memory.kinds.dense import bag, mlp
from launcher.planning.memory.kinds.residual import resnet
from launcher.planning.memory.part import Build

__all__ = ["KINDS"]

KINDS: dict[str, Build] = {
    "bag": bag,
    "mlp": mlp,
    "resnet": resnet,
}
"""Kind of the recipe to the function that lays the network out in parts."""
