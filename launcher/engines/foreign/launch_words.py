"""A launcher's command line taken apart: which tool, its flags, the script and the script's own words.

Source: torch@2.13 distributed/run.py:get_args_parser, accelerate@1.15.0 commands/launch.py:launch_command_parser,
deepspeed@0.19.8 launcher/runner.py:parse_args, launcher/launch.py:parse_args.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["WITNESS", "LaunchWords", "Tool", "find_launch"]

WITNESS = "batchwright_witness"

_MODULES = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate.commands.launch": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
    "deepspeed.launcher.launch": "deepspeed-node",
}
_PROGRAMS = {
    "torchrun": "torchrun",
    "accelerate-launch": "accelerate",
    "deepspeed": "deepspeed",
    "ds": "deepspeed",
}

_SWITCHES = {
    "torchrun": "standalone m module no_python run_path virtual_local_rank use_env use-env",
    "deepspeed": "module no_python no_local_rank no_ssh no_ssh_check force_multi save_pid bind_cores_to_rank q quiet",
    "deepspeed-node": "module no_python no_local_rank bind_cores_to_rank",
    "accelerate": "quiet q cpu multi_gpu tpu enable_cpu_affinity dynamo_use_fullgraph dynamo_use_dynamic"
    " dynamo_use_regional_compilation use_deepspeed use_fsdp use_parallelism_config use_megatron_lm same_network m"
    " module no_python tpu_cluster no_tpu_cluster tpu_use_sudo downcast_bf16 debug fp8_use_autocast_during_eval",
}
"""Flags that take no value, per tool."""


class Tool(NamedTuple):
    """Which program starts the ranks, and how it was called."""

    name: str
    python: str | None
    """Interpreter, where it was started as a module."""
    at: int
    """Index of its first word."""
    behind: int
    """Index behind its own name."""


class LaunchWords(NamedTuple):
    """One launch."""

    tool: Tool
    before: tuple[str, ...]
    """Words before the launcher: `srun`, `nohup`, an image."""
    flags: tuple[tuple[str, str | None], ...]
    """Name with `_`, without dashes; None for a switch."""
    written: tuple[tuple[str, ...], ...]
    """The same as they were written."""
    script: str | None
    module: str | None
    args: tuple[str, ...]
    is_ours: bool
    """Whether Batchwright's witness runs the script: the command is one of its own."""

    def flag(self, *names: str) -> str | None:
        """Value of the last of these flags; "" for a switch, None where there is none."""
        return next((value or "" for name, value in reversed(self.flags) if name in names), None)


def find_launch(words: Sequence[str]) -> LaunchWords | None:
    """The launch in the words of one command; None where no known launcher is called."""
    tool = _tool(words)
    if tool is None:
        return None
    flags, written, rest = _flags(words[tool.behind :], frozenset(_SWITCHES[tool.name].split()))
    is_module = any(name in {"m", "module"} for name, _ in flags)
    if rest[:1] == [WITNESS] and rest[1:2] == ["--plan"]:
        rest = rest[3:]
        is_module = rest[:1] == ["--module"]
        rest = rest[1:] if is_module else rest
        ours = True
    else:
        ours = False
    target, args = (rest[0], tuple(rest[1:])) if rest else (None, ())
    return LaunchWords(
        tool=tool,
        before=tuple(words[: tool.at]),
        flags=tuple(flags),
        written=tuple(written),
        script=None if is_module else target,
        module=target if is_module else None,
        args=args,
        is_ours=ours,
    )


def _tool(words: Sequence[str]) -> Tool | None:
    """The first launcher among the words, behind whatever stands before it."""
    for at, word in enumerate(words):
        name = word.rpartition("/")[2]
        following = tuple(words[at + 1 : at + 3])
        if name.startswith("python"):
            start = at + 1
            while words[start : start + 1] and words[start].startswith("-") and words[start] != "-m":
                start += 1
            called = tuple(words[start : start + 2])
            module = called[1] if called[:1] == ("-m",) and len(called) == 2 else ""
            if module in _MODULES:
                return Tool(_MODULES[module], word, at, start + 2)
            if module == "accelerate.commands.accelerate_cli":
                return Tool("accelerate", word, at, start + 3)
        elif name == "accelerate" and following[:1] == ("launch",):
            return Tool("accelerate", None, at, at + 2)
        elif name in _PROGRAMS and following:
            return Tool(_PROGRAMS[name], None, at, at + 1)
    return None


def _flags(
    words: Sequence[str], switches: frozenset[str]
) -> tuple[list[tuple[str, str | None]], list[tuple[str, ...]], list[str]]:
    """The tool's own flags, up to the first word that is none, and what follows."""
    flags: list[tuple[str, str | None]] = []
    written: list[tuple[str, ...]] = []
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        if word == "--":
            at += 1
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if equals:
            flags.append((name, value))
            written.append((word,))
        elif name in switches or at + 1 >= len(words):
            flags.append((name, None))
            written.append((word,))
        else:
            flags.append((name, words[at + 1]))
            written.append((word, words[at + 1]))
            at += 1
        at += 1
    return flags, written, list(words[at:])
