"""The texts that a folder of ours holds beside the engine's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from launcher.handoff.environment import job_environment
from launcher.handoff.launch_papers import caller_variables
from launcher.handoff.order import Order, job_commands
from launcher.spec.bundle import LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan
from launcher.spec.shell import command_line

__all__ = ["MANIFEST", "bundle_papers", "run_papers", "shown_host"]

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


def run_papers(order: Order, placed: LaunchBundle) -> dict[str, str]:
    """Everything that a run folder holds when the run starts."""
    return {
        **bundle_papers(plan=order.plan, bundle=order.bundle, placed=placed),
        "recipe.yaml": order.recipe_text,
        "commands.txt": commands_text(order, placed),
        "environment.txt": environment_text(order),
    }


def commands_text(order: Order, placed: LaunchBundle) -> str:
    """What was asked and what is started, ready to be pasted; for people."""
    rendered = placed.commands
    workdir = order.plan.launch.workdir
    lines = [
        "# asked",
        f"#   {command_line(argv=order.asked, env={})}".replace("\n", "\n#   "),
        "# started, with the caller's variables that environment.txt names",
    ]
    for command, node in zip(job_commands(order, placed), rendered, strict=True):
        if len(rendered) > 1:
            lines.append(f"# node {node.node_rank}, {node.host}")
        lines.append(command_line(argv=command.argv, env=node.env, directory=command.directory))
    for node in placed.nodes:
        lines.append(f"# started by it on node {node.node_rank}, {shown_host(node)}")
        lines.append(command_line(argv=node.argv, env=node.env, directory=workdir).replace("\0", ""))
    return "\n".join(lines) + "\n"


def environment_text(order: Order) -> str:
    """Names of the variables that the job gets, by where they come from; values only of what the plan sets."""
    rendered: dict[str, str] = {}
    for command in order.bundle.nodes or order.bundle.commands:
        rendered.update(command.env)
    passed = set(order.plan.launch.pass_env)
    handed = (
        caller_variables(order)
        if order.bundle.nodes
        else job_environment(environ=order.environ, rendered={}, pass_env=tuple(passed))
    )
    kept = sorted(name for name in handed if name not in rendered and name not in passed)
    sections = {
        "set by the plan (values in commands.txt)": sorted(rendered),
        "handed on because launch.pass_env names them": sorted(passed - set(rendered)),
        "handed on from the caller": kept,
    }
    return "".join(
        f"# {title}\n" + "".join(f"{name}\n" for name in names) for title, names in sections.items()
    )


def _command(command: NodeCommand) -> dict[str, Any]:
    return {
        "node_rank": command.node_rank,
        "host": command.host,
        "argv": list(command.argv),
        "env": dict(command.env),
    }


def shown_host(command: NodeCommand) -> str:
    """The host's name, or what stands for it until the job knows it."""
    return command.host.strip("\0")


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
