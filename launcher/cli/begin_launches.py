"""Command lines among the sources of a recipe: in scripts, in a bundle of ours, or behind `--`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from launcher.errors import Problem
from launcher.spec.begun import NotCarried, Reading

if TYPE_CHECKING:
    from launcher.engines.foreign.launch_words import LaunchWords
    from launcher.loading.other_files import OtherFile

__all__ = ["Launch", "argument_readings", "find_launches", "launch_commands", "unknown_source"]


class Said(Protocol):
    """Where complaints go."""

    problems: list[Problem]
    not_carried: list[NotCarried]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One command line and where it stands."""

    words: LaunchWords
    env: Mapping[str, str]
    source: str
    folder: str | None = None
    directory: Path = Path()
    executor: str | None = None
    """As a bundle of ours shows it."""


def find_launches(
    bundles: Sequence[OtherFile], scripts: Sequence[OtherFile], command: Sequence[str], said: Said
) -> Iterator[Launch]:
    """At most one: the same launch on several nodes is one."""
    every: list[Launch] = []
    for file in bundles:
        every.extend(_of_bundle(file, said)[:1])
    for file in scripts:
        every.extend(_of_script(file, said))
    if command:
        every.extend(_of_words(command, said))
    if len(every) > 1 and all(launch.words.is_ours for launch in every):
        every = every[:1]  # a bundle, and the command that render printed for it
    if len({launch.source for launch in every}) > 1:
        where = ", ".join(dict.fromkeys(launch.source for launch in every))
        said.problems.append(
            Problem(
                code="several-launches",
                message=f"{len(every)} command lines: {where}",
                hint="name one of them",
            )
        )
        return
    yield from every


def launch_commands(text: str) -> list[tuple[Any, LaunchWords]]:
    """Commands of a text that start a launcher with a script."""
    from launcher.engines.foreign.launch_words import find_launch
    from launcher.engines.foreign.shell_words import read_commands

    found = []
    for command in read_commands(text):
        words = find_launch(command.words)
        if words is not None and (words.script or words.module):
            found.append((command, words))
    return found


def unknown_source(where: str, message: str, hint: str) -> Problem:
    """A source of no kind that is read."""
    return Problem(code="source-unknown", where=where, message=message, hint=hint)


def _of_bundle(file: OtherFile, said: Said) -> list[Launch]:
    """The words of the job itself, which lie in `nodes` where `commands` only reach the nodes."""
    from launcher.engines.foreign.launch_words import find_launch

    assert file.values is not None
    launches = []
    reached = bool(file.values.get("nodes"))
    started = [
        str(word) for command in file.values.get("commands") or () for word in command.get("argv", ())
    ][:1]
    program = started[0].rpartition("/")[2] if started else ""
    executor = _EXECUTORS.get(program) if reached else "local"
    for each in file.values.get("nodes") or file.values.get("commands") or ():
        words = find_launch([str(word) for word in each.get("argv", ())])
        if words is not None:
            folder = file.values.get("workdir")
            launches.append(
                Launch(
                    words=words,
                    env=dict(each.get("env", {})),
                    source=file.shown,
                    folder=folder,
                    directory=file.path.parent,
                    executor=executor,
                )
            )
    if not launches:
        said.problems.append(
            unknown_source(
                file.shown,
                "none of its commands calls a launcher that is read",
                "name the engine's own files",
            )
        )
    return launches


_EXECUTORS = {"pdsh": "ssh", "srun": "slurm", "sbatch": "slurm", "kubectl": "kubernetes"}


def _of_script(file: OtherFile, said: Said) -> list[Launch]:
    commands = launch_commands(file.text)
    different = {
        (words.tool.name, words.script, words.module, words.args, _without_rank(words))
        for _, words in commands
    }
    if len(different) > 1:
        lines = ", ".join(str(command.line) for command, _ in commands)
        said.problems.append(
            Problem(
                code="several-launches",
                where=file.shown,
                message=f"{len(commands)} different trainings are started, in lines {lines}",
                hint="give the words of one of them behind `--`",
            )
        )
        return []
    command, words = commands[0]
    for text in command.unknown:
        if not any(text in word for word in words.args):
            said.not_carried.append(
                NotCarried(
                    file.shown,
                    text,
                    text,
                    "only a shell could fill it in",
                    "write the key that it stands for",
                )
            )
    launch = _of_shell(command, words, text=file.text, source=f"{file.shown}:{command.line}")
    return [replace(launch, directory=file.path.parent)]


def _of_shell(command: Any, words: LaunchWords, *, text: str, source: str) -> Launch:
    """A command as a shell would start it: with its variables, in the folder that the text goes to first."""
    env = {**command.exported, **command.settings, **_env_words(words.before)}
    folder = next((each.words[1] for each in _cd(text) if len(each.words) > 1), None)
    return Launch(words=words, env=env, source=source, folder=folder)


def _cd(text: str) -> list[Any]:
    from launcher.engines.foreign.shell_words import read_commands

    return [command for command in read_commands(text) if command.words[0] == "cd" and not command.unknown]


def _without_rank(words: LaunchWords) -> tuple[Any, ...]:
    own = {"node_rank", "machine_rank"}
    return tuple(flag for flag in words.flags if flag[0] not in own)


def _env_words(before: Sequence[str]) -> dict[str, str]:
    """`env A=b C=d` before the launcher."""
    pairs = (word.partition("=") for word in before if "=" in word and not word.startswith("-"))
    return {name: value for name, _, value in pairs}


def _of_words(command: Sequence[str], said: Said) -> list[Launch]:
    """The words behind `--`; one word alone is a whole command line in quotes."""
    from launcher.engines.foreign.launch_words import find_launch

    if len(command) == 1:
        commands = launch_commands(command[0])
        if len(commands) == 1:
            line, words = commands[0]
            return [_of_shell(line, words, text=command[0], source="command line")]
    words_ = find_launch(command)
    if words_ is None or (words_.script is None and words_.module is None):
        shown = " ".join(command)
        message = f"`{shown if len(shown) <= 60 else f'{shown[:57]}...'}` calls no launcher with a script"
        hint = "begin with torchrun, accelerate launch, deepspeed or python -m torch.distributed.run"
        said.problems.append(unknown_source("--", message, hint))
        return []
    return [Launch(words=words_, env=_env_words(words_.before), source="command line")]


def argument_readings(launch: Launch) -> list[Reading]:
    """The Trainer's arguments among the script's."""
    from launcher.engines.foreign.argument_words import trainer_arguments
    from launcher.engines.foreign.trainer import read_trainer

    given = trainer_arguments(launch.words.args)
    if not given:
        return [] if launch.words.is_ours else _of_unknown_script(launch)
    return [read_trainer(given, source=launch.source, dashes=True, unsure=launch.words.is_ours)]


def _of_unknown_script(launch: Launch) -> list[Reading]:
    """Words that look like a key of a recipe: only the script knows what it makes of them."""
    from launcher.loading.other_names import OTHER_NAMES

    found = []
    args = launch.words.args
    for at, word in enumerate(args):
        name, equals, value = word.partition("=")
        hint = OTHER_NAMES.get(name.lstrip("-").replace("-", "_")) if name.startswith("--") else None
        if hint is not None:
            value = value if equals else args[at + 1] if at + 1 < len(args) else ""
            why = "a word of the script's, and only the script knows what it does with it: it stays in launch.args"
            found.append(NotCarried(launch.source, name, value, why, hint))
    return [Reading(source=launch.source, kind="a command line", carried=(), not_carried=tuple(found))]
