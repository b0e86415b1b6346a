"""The texts that a folder of ours holds beside the engine's own files."""

from __future__ import annotations

from launcher.executors.formats.bundle_papers import bundle_papers
from launcher.handoff.launch_papers import caller_variables
from launcher.handoff.order import Order, job_commands, with_callers_options
from launcher.handoff.running.environment import job_environment
from launcher.spec.bundle import LaunchBundle, NodeCommand
from launcher.spec.shell import command_line

__all__ = ["run_papers", "shown_host"]


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
        env = with_callers_options(environ=order.environ, rendered=node.env)
        lines.append(command_line(argv=command.argv, env=env, directory=command.directory))
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


def shown_host(command: NodeCommand) -> str:
    """The host's name, or what stands for it until the job knows it."""
    return command.host.strip("\0")
