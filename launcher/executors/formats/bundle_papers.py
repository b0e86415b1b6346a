"""plan.json and bundle.json beside the engine's own files: what every node of a job reads, wherever it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from launcher.spec.bundle import LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["MANIFEST", "bundle_papers"]

MANIFEST = "bundle.json"


def bundle_papers(*, plan: RunPlan, bundle: LaunchBundle, placed: LaunchBundle) -> dict[str, str]:
    """The rendered files for one folder, plan.json, and bundle.json with hashes and commands.

    bundle: before it was placed, for a hash that is the same in every folder.
    """
    files = {"plan.json": _json(plan.to_dict()), **placed.files}
    manifest = {
        "bundle_hash": _bundle_hash(bundle),
        "plan_hash": plan.plan_hash,
        "workdir": plan.launch.workdir,
        "files": {name: _sha256(text) for name, text in sorted(files.items())},
        "commands": [_command(each) for each in placed.commands],
        "nodes": [_command(each) for each in placed.nodes],
        "stop": [list(words) for words in placed.stop],
        "hosts": list(placed.hosts),
        "log": placed.log,
        "main_address": _main_address(plan, placed),
        "main_port": plan.launch.main_port or placed.main_port,
    }
    return {**files, MANIFEST: _json(manifest)}


def _command(command: NodeCommand) -> dict[str, Any]:
    return {
        "node_rank": command.node_rank,
        "host": command.host,
        "argv": list(command.argv),
        "env": dict(command.env),
    }


def _main_address(plan: RunPlan, placed: LaunchBundle) -> str | None:
    """Where the ranks meet; None where only the job learns it."""
    if plan.launch.main_address != "auto":
        return plan.launch.main_address
    return placed.hosts[0] if placed.hosts else None


def _bundle_hash(bundle: LaunchBundle) -> str:
    """sha256 over files and commands before they are placed, so that it is the same in every folder."""
    content = {
        "files": dict(bundle.files),
        "commands": [
            [each.node_rank, each.host, list(each.argv), dict(each.env)]
            for each in (*bundle.commands, *bundle.nodes)
        ],
    }
    return _sha256(json.dumps(content, sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"
