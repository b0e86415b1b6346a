"""What a run would write and start, as text: the same papers and commands, handed to nobody."""

from __future__ import annotations

import time
from pathlib import Path

from launcher.handoff.launch_papers import caller_variables
from launcher.handoff.order import Order, job_commands, placed_bundle, with_callers_options
from launcher.handoff.papers import run_papers, shown_host
from launcher.handoff.run_folder import run_name
from launcher.spec.shell import command_line

__all__ = ["dry_run_lines"]


def dry_run_lines(order: Order, directory: Path | None) -> list[str]:
    """Names and sizes of all files, the text of those that an engine reads, and each command with its variables."""
    plan = order.plan
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = run_name(recipe_name=plan.recipe_name, plan_hash=plan.plan_hash, stamp=stamp)
    target = (directory or Path("runs", name)).absolute()
    placed = placed_bundle(order.bundle, str(target), python=order.python)
    papers = run_papers(order, placed)
    lines = [f"would write to {target}"]
    lines += [f"  {name:<20}{len(text.encode(errors='replace')):>9,} bytes" for name, text in papers.items()]
    for name, text in placed.files.items():
        lines += ["", f"{name}:", *(f"  {line}" for line in text.splitlines())]
    lines += ["", "would start"]
    for command, node in zip(job_commands(order, placed), placed.commands, strict=True):
        env = with_callers_options(environ=order.environ, rendered=node.env)
        lines.append(f"  {command_line(argv=command.argv, env=env, directory=command.directory)}")
        if not placed.nodes:
            others = sorted(name for name in command.env if name not in node.env)
            lines.append(f"  # and from the caller: {', '.join(others)}")
    for node in placed.nodes:
        lines.append(f"on node {node.node_rank}, {shown_host(node)}")
        line = command_line(argv=node.argv, env=node.env, directory=plan.launch.workdir)
        lines.append(f"  {line}".replace("\0", ""))
    if placed.nodes and (others := sorted(caller_variables(order))):
        lines.append(f"  # and from the caller: {', '.join(others)}")
    return lines
