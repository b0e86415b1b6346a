"""What each named source is, found out by what it holds; and what it says, in the words of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.cli.begin_launches import (
    Launch,
    argument_readings,
    find_launches,
    launch_commands,
    unknown_source,
)
from launcher.errors import Problem, RecipeError
from launcher.spec.begun import UNWRITTEN, Carried, NotCarried, Reading, Reference

if TYPE_CHECKING:
    from launcher.loading.other_files import OtherFile

__all__ = ["Sources", "read_sources"]

_KINDS = (
    "a Hugging Face config.json, a DeepSpeed JSON, an Accelerate file, TrainingArguments as JSON, "
    "or a script that calls torchrun, accelerate launch or deepspeed"
)


_HINT = f"name {_KINDS}; or give a command line behind `--`"


@dataclass(slots=True)
class Sources:
    """All that was named, read."""

    readings: list[Reading] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Files of a folder that are of no kind that is read."""
    problems: list[Problem] = field(default_factory=list)


def read_sources(paths: Sequence[str], command: Sequence[str] = ()) -> Sources:
    """Everything that files, folders and the words behind `--` say. Problems are collected."""
    found = Sources()
    files = _files(paths, found)
    bundles = [file for file in files if _kind(file) == "bundle"]
    scripts = [file for file in files if _kind(file) == "script"]
    launches = list(find_launches(bundles, scripts, command, found))
    _follow(files, launches, found)
    if found.problems:
        return found
    ours = any(launch.words.is_ours for launch in launches)
    readings = [_of_launch(launch) for launch in launches]
    on_cpu = _on_cpu(readings) if ours else None
    found.readings.extend(readings)
    for launch in launches:
        found.readings.extend(argument_readings(launch))
    found.readings.extend(_of_accelerate(files, launches, ours=ours, on_cpu=on_cpu))
    for file in files:
        _of_file(file, found, ours=ours, on_cpu=on_cpu)
    return found


def _files(paths: Sequence[str], found: Sources) -> list[OtherFile]:
    """Every file that was named, or lies in a folder that was."""
    from launcher.loading.other_files import folder_files

    files: list[OtherFile] = []
    for path in dict.fromkeys(paths):
        is_folder = Path(path).is_dir()
        try:
            names = [str(each) for each in folder_files(path)] if is_folder else [path]
        except RecipeError as error:
            found.problems.extend(error.problems)
            continue
        before = len(files)
        for name in names:
            _read(name, files, found, of_folder=is_folder)
        if is_folder and len(files) == before and not found.problems:
            message = "nothing in this folder is of a kind that is read"
            found.problems.append(unknown_source(path, message, _HINT))
    return files


def _read(name: str, files: list[OtherFile], found: Sources, *, of_folder: bool) -> None:
    from launcher.loading.other_files import read_other_file

    try:
        file = read_other_file(name)
    except RecipeError as error:
        if of_folder and all(each.code in _SKIPPED_IN_FOLDERS for each in error.problems):
            found.skipped.append(f"{Path(name).name}: {error.problems[0].message}")
        else:
            found.problems.extend(error.problems)
        return
    kind = _kind(file)
    if kind in {"recipe", "plan"} and not of_folder:
        message = f"this is a {kind} already"
        hint = "copy it" if kind == "recipe" else "name the folder it lies in, or copy recipe.yaml"
        found.problems.append(Problem(code="already-a-recipe", where=file.shown, message=message, hint=hint))
    elif kind is None and not of_folder:
        found.problems.append(unknown_source(file.shown, f"of no kind that is read{_keys(file)}", _HINT))
    elif kind in {None, "recipe", "plan"}:
        found.skipped.append(f"{file.path.name}: {f'a {kind}' if kind else 'of no kind that is read'}")
    else:
        files.append(file)


_SKIPPED_IN_FOLDERS = (
    *("source-binary", "not-utf8", "source-unknown", "file-not-found"),
    *("several-documents", "yaml-tag", "leading-zero", "not-finite"),  # YAML of other worlds
)


def _keys(file: OtherFile) -> str:
    return f": its keys are {', '.join(list(file.values)[:6])}" if file.values else ""


@cache
def _kind(file: OtherFile) -> str | None:
    """By what the file holds, never by its name."""
    from launcher.engines.foreign.accelerate import looks_like_accelerate
    from launcher.engines.foreign.deepspeed import looks_like_deepspeed
    from launcher.engines.foreign.trainer import looks_like_trainer

    values = file.values
    if values is None:
        return "script" if launch_commands(file.text) else None
    if "plan_version" in values and "plan_hash" in values:
        return "plan"
    if "bundle_hash" in values and "commands" in values:
        return "bundle"
    if "schema" in values and ("global_batch_size" in values or "launch" in values or "model" in values):
        return "recipe"
    if "log_history" in values:
        return None  # a Trainer's state: where it has got to, not what it was told
    if looks_like_accelerate(values):
        return "accelerate"
    if looks_like_trainer(values):
        return "trainer"
    if "model_type" in values or {"architectures", "hidden_size"} <= values.keys():
        return "config"
    if looks_like_deepspeed(values):
        return "deepspeed"
    return "script" if launch_commands(file.text) else None


def _follow(files: list[OtherFile], launches: list[Launch], found: Sources) -> None:
    """Files that a command line or a file names, where they are there."""
    from launcher.engines.foreign.command import accelerate_flags
    from launcher.loading.other_files import short_path

    wanted: list[tuple[Reference, Path]] = []
    for launch in launches:
        for at, word in enumerate(launch.words.args[:-1]):
            if word in {"--deepspeed", "--deepspeed_config", "--ds_config"}:
                wanted.append((Reference(launch.words.args[at + 1], launch.source, word), launch.directory))
        config = accelerate_flags(launch.words)[1] if launch.words.tool.name == "accelerate" else None
        if config:
            wanted.append((Reference(config, launch.source, "--config_file"), launch.directory))
    seen: set[str] = set()
    while wanted:
        reference, directory = wanted.pop(0)
        path = _located(reference.path, directory, files)
        if path is None:
            if reference.path not in seen and not reference.path.startswith("-"):
                hint = "name the file, if it says anything that is not known yet"
                found.not_carried.append(
                    NotCarried(
                        reference.source, reference.key, reference.path, "there is no such file here", hint
                    )
                )
        elif path not in [file.path.resolve() for file in files]:
            _read(short_path(path), files, found, of_folder=False)
        seen.add(reference.path)
    for file in list(files):
        _follow_file(file, files, found)


def _follow_file(file: OtherFile, files: list[OtherFile], found: Sources) -> None:
    from launcher.loading.other_files import short_path

    block = (file.values or {}).get("deepspeed_config")
    name = block.get("deepspeed_config_file") if isinstance(block, Mapping) else None
    name = name or (file.values or {}).get("deepspeed")
    if not isinstance(name, str) or not name:
        return
    path = _located(name, file.path.parent, files)
    if path is None:
        hint = "name the file"
        found.not_carried.append(
            NotCarried(file.shown, "deepspeed config", name, "there is no such file here", hint)
        )
    elif path not in [each.path.resolve() for each in files]:
        _read(short_path(path), files, found, of_folder=False)


def _located(name: str, directory: Path, files: list[OtherFile]) -> Path | None:
    """Where a named file is: from the folder of what names it, from here, or beside what was named (a moved bundle)."""
    for candidate in (directory / name, Path(name), directory / Path(name).name):
        try:
            if candidate.is_file():
                return candidate.resolve()
        except OSError:
            continue
    return next((file.path.resolve() for file in files if file.path.name == Path(name).name), None)


def _of_launch(launch: Launch) -> Reading:
    from dataclasses import replace

    from launcher.engines.foreign.command import read_command

    reading = read_command(launch.words, source=launch.source, env=launch.env, folder=launch.folder)
    if launch.executor is None:
        return reading
    value = UNWRITTEN if launch.executor == "local" else launch.executor
    said = Carried("launch.executor", value, launch.source, "how its commands reach the nodes")
    wrapped = (
        () if launch.executor == "local" else ("launch.setup", "launch.container")
    )  # in its own job file
    carried = (each for each in reading.carried if each.path not in wrapped)
    return replace(reading, carried=(*carried, said))


def _on_cpu(readings: Sequence[Reading]) -> bool | None:
    return any(reading.fact("cluster.device") == "cpu" for reading in readings)


def _of_accelerate(
    files: list[OtherFile], launches: list[Launch], *, ours: bool, on_cpu: bool | None
) -> list[Reading]:
    """Accelerate's file with the flags of its command line over it, as accelerate launch takes them."""
    from launcher.engines.foreign.accelerate import read_accelerate
    from launcher.engines.foreign.command import accelerate_flags
    from launcher.engines.formats.native import merged

    named = [file for file in files if _kind(file) == "accelerate"]
    flags: dict[str, Any] = {}
    source = ""
    for launch in launches:
        if launch.words.tool.name == "accelerate":
            flags, source = accelerate_flags(launch.words)[0], launch.source
    if not named:
        return [read_accelerate(flags, source=source)] if source else []
    readings = []
    for file in named:
        config = merged(file.values or {}, flags)
        reading = read_accelerate(config, source=file.shown, ours=ours, on_cpu=on_cpu)
        readings.append(_with_flags(reading, flags, source))
    return readings


def _with_flags(reading: Reading, flags: Mapping[str, Any], source: str) -> Reading:
    """What the command line has overruled names it as its place."""
    from dataclasses import replace

    from launcher.engines.formats.native import leaves

    given = leaves(flags)
    carried = tuple(
        each._replace(source=source, key=f"--{each.key.rpartition('.')[2]}") if each.key in given else each
        for each in reading.carried
    )
    return replace(reading, carried=carried)


def _of_file(file: OtherFile, found: Sources, *, ours: bool, on_cpu: bool | None) -> None:
    from launcher.engines.foreign.deepspeed import read_deepspeed
    from launcher.engines.foreign.trainer import read_trainer
    from launcher.engines.formats.deepspeed_json import NEVER

    assert file.values is not None or _kind(file) == "script"
    values = file.values or {}
    kind = _kind(file)
    if kind == "deepspeed":
        own = ours or values.get("steps_per_print") == NEVER  # which nobody else writes
        found.readings.append(read_deepspeed(values, source=file.shown, ours=own, on_cpu=on_cpu))
    elif kind == "trainer":
        found.readings.append(read_trainer(values, source=file.shown))
    elif kind == "config":
        _of_config(file, found)


def _of_config(file: OtherFile, found: Sources) -> None:
    from launcher.loading.config_values import read_config

    try:
        found.readings.append(read_config(file.values or {}, source=file.shown))
    except RecipeError as error:
        found.problems.extend(error.problems)
