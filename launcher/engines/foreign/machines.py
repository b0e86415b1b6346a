"""Machines of a launcher's command line, and where their ranks meet."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from launcher.engines.foreign.launch_words import LaunchWords
from launcher.engines.foreign.notes import Notes

__all__ = ["UNKNOWN", "read_machines"]

_FILLED_LATER = "\0"
_HERE = frozenset({"127.0.0.1", "localhost", "0.0.0.0"})  # noqa: S104 - read, not bound
UNKNOWN = re.compile(r"\$[\w{(]|`")
"""What a shell would fill in."""


def read_machines(words: LaunchWords, notes: Notes) -> None:
    """Nodes, devices and meeting place; accelerate's are read with its configuration."""
    if words.tool.name == "torchrun":
        _torchrun(words, notes)
    elif words.tool.name != "accelerate":
        _deepspeed(words, notes)


def _torchrun(words: LaunchWords, notes: Notes) -> None:
    nodes, processes = words.flag("nnodes"), words.flag("nproc_per_node")
    if nodes is None:
        notes.carry("cluster.nodes", 1, "torchrun without --nnodes", is_default=True)
    else:
        _count("cluster.nodes", nodes.replace(":", ".."), "--nnodes", notes)
    if processes is None:
        notes.carry("cluster.devices_per_node", 1, "torchrun without --nproc_per_node", is_default=True)
    elif processes == "cpu":
        notes.carry("cluster.device", "cpu", "--nproc_per_node cpu")
        notes.drop(
            "--nproc_per_node", processes, "as many as there are cores", "write cluster.devices_per_node"
        )
    else:
        _count("cluster.devices_per_node", processes, "--nproc_per_node", notes)
    endpoint = words.flag("rdzv_endpoint")
    address, _, port = (endpoint or "").partition(":")
    _meeting(words.flag("master_addr") or address or None, words.flag("master_port") or port or None, notes)
    if (restarts := words.flag("max_restarts")) not in (None, "0"):
        notes.drop(
            "--max_restarts", restarts, "a failed job stays failed", "start it again, or let Slurm requeue it"
        )
    if (backend := words.flag("rdzv_backend")) not in (None, "static"):
        notes.drop("--rdzv_backend", backend, "every rank is told its number, and none joins later", "")


def _deepspeed(words: LaunchWords, notes: Notes) -> None:
    world = _world(words.flag("world_info"))
    include = words.flag("include", "i")
    hostfile = words.flag("hostfile", "H")
    if world is not None:
        counts = {len(devices) for devices in world.values()}
        notes.carry("cluster.nodes", len(world), "--world_info")
        if len(counts) == 1:
            _devices(next(iter(world.values())), "--world_info", notes)
    elif include:
        _included(include, notes)
    else:
        nodes, devices = words.flag("num_nodes"), words.flag("num_gpus", "num_accelerators")
        if nodes is not None or hostfile in (None, "/dev/null"):
            _count(
                "cluster.nodes",
                nodes or "1",
                "--num_nodes" if nodes else "deepspeed without --num_nodes",
                notes,
            )
        if devices is not None:
            key = "--num_gpus" if words.flag("num_gpus") else "--num_accelerators"
            _count("cluster.devices_per_node", devices, key, notes)
            notes.settle("cluster.devices", key)
        else:
            why = "deepspeed takes all devices that it finds"
            notes.drop("deepspeed", "without --num_gpus", why, "write cluster.devices_per_node")
    if hostfile not in (None, "/dev/null") and not words.is_ours:
        notes.carry("cluster.hostfile", hostfile, "--hostfile")
    if excluded := words.flag("exclude", "e"):
        notes.drop("--exclude", excluded, "a recipe names the devices that are used", "write cluster.devices")
    _meeting(words.flag("master_addr"), words.flag("master_port"), notes)


def _world(text: str | None) -> dict[str, list[int]] | None:
    if text is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) and found else None


def _included(text: str, notes: Notes) -> None:
    """`localhost:0,1@worker-2:0,1`."""
    nodes = [part.partition(":") for part in text.split("@")]
    notes.carry("cluster.nodes", len(nodes), "--include")
    lists = {devices for _, _, devices in nodes}
    if len(lists) == 1 and re.fullmatch(r"\d+(,\d+)*", only := lists.pop()):
        numbers = [int(number) for number in only.split(",")]
        notes.carry("cluster.devices", numbers, "--include")
    else:
        notes.drop("--include", text, "nodes with different devices", "write cluster.devices")


def _devices(numbers: Sequence[int], key: str, notes: Notes) -> None:
    """Numbers from 0 on are only a count."""
    if list(numbers) == list(range(len(numbers))):
        notes.carry("cluster.devices_per_node", len(numbers), key)
        notes.settle("cluster.devices", key, unsure="the first ones may have been named", instead_of=_COUNTED)
    else:
        notes.carry("cluster.devices", list(numbers), key)


_COUNTED = ("cluster.devices_per_node",)


def _count(path: str, text: str, key: str, notes: Notes) -> None:
    if text.isdecimal() and int(text) > 0:
        notes.carry(path, int(text), key)
    elif path == "cluster.nodes" and re.fullmatch(r"\d+\.\.\d+", text):
        low, high = text.split("..")
        notes.carry(path, int(low) if low == high else text, key)
    elif UNKNOWN.search(text):
        notes.drop(key, text, "the shell fills it in, and the file does not set it", f"write {path}")
    else:
        notes.drop(key, text, "not a number", f"write {path}")


def _meeting(address: str | None, port: str | None, notes: Notes) -> None:
    """Where the ranks meet; on one machine that is a matter of course."""
    alone = notes.says("cluster.nodes") == 1
    if port is not None and _FILLED_LATER in port:  # in a bundle of ours, where only the job learns it
        port = None
    path = "launch.network.main_address"
    if address is None or _FILLED_LATER in address or (alone and address in _HERE):
        if alone or (address and _FILLED_LATER in address):
            unsure = "" if address else "one machine meets at itself, and no address is rendered"
            notes.settle(path, "--master_addr", unsure=unsure)
    elif UNKNOWN.search(address):
        notes.drop(
            "--master_addr", address, "the shell fills it in", "leave it: the first host is the default"
        )
    else:
        notes.carry(path, address, "--master_addr")
    path = "launch.network.port"
    if port is None:
        notes.settle(path, "--master_port")
    elif port.isdecimal() and 0 < int(port) < 65536:
        notes.carry(path, int(port), "--master_port")
    elif port != "0":
        notes.drop("--master_port", port, "not a port", "leave it: one is chosen for each run")
