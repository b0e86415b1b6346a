"""Environment of a command line in the words of a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.engines.foreign.launch_words import LaunchWords
from launcher.engines.foreign.notes import Notes
from launcher.engines.formats.environment import OWNED, OWNED_PREFIXES, VISIBLE_DEVICES
from launcher.planning.placeholders import ACCELERATE_FILE, DEEPSPEED_FILE
from launcher.planning.schedulers.transformers import SPECIFIC

__all__ = ["could_be_filled", "escaped", "read_environment"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OURS = frozenset({"BATCHWRIGHT_RUN", "BATCHWRIGHT_PLAN_HASH", "LAUNCHER_PLAN", "PDSH_SSH_ARGS_APPEND"})
_WORDS = re.compile(
    "|".join(("[0-9]", "none", "selective", "full", *sorted(SPECIFIC, key=len, reverse=True)))
)
_WHY = "a placeholder may have stood here: {} is what it came to"


def could_be_filled(word: str, *, folder: str | None) -> bool:
    """Whether a placeholder of launch.args could have come to (a part of) this word."""
    return _WORDS.search(word) is not None or (folder is not None and folder in word)


def read_environment(env: Mapping[str, str], words: LaunchWords, notes: Notes) -> None:
    """Devices from what is visible, the meeting place, and the rest as it is; in our own commands ours is left out."""
    folder = env.get("BATCHWRIGHT_RUN") if words.is_ours else None
    for name, value in env.items():
        if name in VISIBLE_DEVICES.values():
            _visible(name, value, notes)
        elif words.is_ours and name in {"DS_ACCELERATOR", "ACCELERATE_USE_CPU", "DS_ENV_FILE"}:
            if value in ("cpu", "true"):
                notes.carry("cluster.device", "cpu", name)
        elif words.is_ours and name == "OMP_NUM_THREADS":
            notes.carry("@threads", value, name)
        elif name in _OURS:
            continue
        elif name == "MASTER_PORT" and value.isdecimal():
            notes.carry("launch.network.port", int(value), name)
        elif name == "MASTER_ADDR" and notes.says("cluster.nodes") != 1:
            notes.carry("launch.network.main_address", value, name)
        else:
            _other(name, value, notes)
    if words.is_ours:
        _ours(env, words, notes, folder)
    if not any(each.startswith("launch.env.") for each in notes.paths()):
        notes.settle("launch.env", "the environment before the command")


def _visible(name: str, value: str, notes: Notes) -> None:
    numbers = value.split(",")
    if value in ("", "-1"):
        notes.carry("cluster.device", "cpu", f"{name} is empty")
        notes.settle("cluster.devices", f"{name} is empty")
    elif all(number.strip().isdecimal() for number in numbers):
        notes.carry("cluster.devices", [int(number) for number in numbers], name)
    else:
        notes.drop(name, value, "not a list of device numbers", "write cluster.devices")


def _other(name: str, value: str, notes: Notes) -> None:
    owned = OWNED.get(name) or next((cure for p, cure in OWNED_PREFIXES.items() if name.startswith(p)), "")
    if owned:
        notes.drop(name, value, "the plan sets it", owned)
    elif _NAME.fullmatch(name):
        notes.carry(f"launch.env.{name}", escaped(value), name)
    else:
        notes.drop(name, value, "not the name of a variable")


def _ours(env: Mapping[str, str], words: LaunchWords, notes: Notes, folder: str | None) -> None:
    """Of our own commands: words that a plan may have filled in, and a port that follows from the folder."""
    notes.carry("@plan_hash", env.get("BATCHWRIGHT_PLAN_HASH"), "BATCHWRIGHT_PLAN_HASH")
    args = [_unplaced(word, folder) for word in words.args]
    if args:
        notes.carry("launch.args", args, "what follows the script")
    for at, word in enumerate(words.args):
        if could_be_filled(word, folder=folder):
            notes.carry(f"launch.args.{at}", args[at], f"argument {at + 1}", unsure=_WHY.format(f"`{word}`"))
    for path in [path for path in notes.paths() if path.startswith("launch.env.")]:
        name = path.removeprefix("launch.env.")
        word = env[name]
        unsure = _WHY.format(f"`{word}`") if could_be_filled(word, folder=folder) else ""
        notes.carry(path, _unplaced(word, folder), name, unsure=unsure)
    notes.carry("@run_dir", folder, "BATCHWRIGHT_RUN")
    if words.tool.name in {"torchrun", "accelerate"} and "cluster.devices" not in notes.paths():
        notes.settle("cluster.devices", "no variable hides a device")


def _unplaced(word: str, folder: str | None) -> str:
    """With the placeholders that the run folder's own files must have come from, and braces doubled."""
    text = escaped(word)
    if not folder:
        return text
    for name, place in (
        (DEEPSPEED_FILE, "deepspeed_config"),
        (ACCELERATE_FILE, "accelerate_config"),
        ("plan.json", "plan"),
    ):
        text = text.replace(f"{escaped(folder)}/{name}", f"{{{place}}}")
    return text.replace(escaped(folder), "{run_dir}")


def escaped(text: str) -> str:
    """With braces doubled, as launch.args and launch.env take them."""
    return text.replace("{", "{{").replace("}", "}}")
