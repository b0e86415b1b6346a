"""Hosts and slots, as a hostfile names them: strict, every problem at once, each with its place."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.errors import Problem, RecipeError
from launcher.planning.layout import machines_of
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Mark
from launcher.spec.recipe import Recipe

__all__ = ["Host", "parse_hostfile", "with_hosts"]

_LARGEST = 4 * 2**20
"""Bytes; ten thousand hosts need a few hundred thousand."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
"""What neither ssh nor pdsh reads as anything but a name: no `-option`, `[1-4]`, `,`, `^file`, `%h`, `user@`."""
_SLOTS = re.compile(r"slots=([1-9][0-9]{0,5})")
_FORM = "expected `name slots=N`"
_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One line of a hostfile."""

    name: str
    slots: int
    """Devices of the host."""
    where: str
    """`file:line:col`."""


def with_hosts(recipe: Recipe) -> Recipe:
    """The recipe with the hosts of cluster.hostfile, and with nodes and devices that only the file says.

    A path that is not absolute is taken from the recipe's folder. Raises RecipeError with every problem of the file.
    """
    cluster = recipe.cluster
    if not isinstance(cluster, Cluster) or cluster.hostfile is None:
        return recipe
    shown = _shown(recipe, cluster.hostfile)
    text = _read(Path(recipe.directory, cluster.hostfile), shown=shown, recipe=recipe)
    hosts, problems = parse_hostfile(text, shown=shown)
    if not problems:
        cluster, problems = _fitted(cluster, hosts, recipe=recipe, shown=shown)
    if problems:
        raise RecipeError(problems)
    filled = {
        f"cluster.{name}": Mark(origin="cluster", file=shown)
        for name in ("nodes", "devices_per_node")
        if getattr(cluster, name) != getattr(recipe.cluster, name)
    }
    names = tuple(host.name for host in hosts)
    return replace(recipe, cluster=cluster, hosts=names, marks={**recipe.marks, **filled})


def parse_hostfile(text: str, *, shown: str) -> tuple[tuple[Host, ...], tuple[Problem, ...]]:
    """Hosts in the order of the file, and what is wrong with it. shown: the file as messages call it."""
    hosts: list[Host] = []
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = list(re.finditer(r"[^ \t\r]+", line.partition("#")[0]))
        if not words:
            continue
        name = words[0][0]
        places = [f"{shown}:{number}:{word.start() + 1}" for word in words]
        found = [*_name_problems(name, places[0]), *_rest_problems([word[0] for word in words], places)]
        known = first.setdefault(name.lower().rstrip("."), number)
        if known != number:
            found.insert(0, _twice(name, places[0], known))
        problems += found
        if not found:
            hosts.append(Host(name=name, slots=int(words[1][0].partition("=")[2]), where=places[0]))
    if not first:
        problems.append(
            _problem("hostfile-syntax", "the hostfile names no host", shown, hint=_hint("node-a"))
        )
    return tuple(hosts), tuple(problems)


def _name_problems(name: str, where: str) -> Iterator[Problem]:
    if _NAME.fullmatch(name):
        return
    if "@" in name:
        message = f"`{_printable(name)}`: expected a host without a user"
        hint = f"write `User {_printable(name.partition('@')[0])}` for the host in ~/.ssh/config"
    elif re.search(r"[\[\],]", name):
        message = f"`{_printable(name)}`: expected one host; a range or list is not read"
        hint = "write one line for each host; `scontrol show hostnames` expands Slurm's lists"
    elif ":" in name:
        message = f"`{_printable(name)}`: expected a name or an IPv4 address"
        hint = "give the host a name in /etc/hosts or ~/.ssh/config; slots are written `slots=N`"
    else:
        message = f"`{_printable(name)}`: expected a host name of letters, digits, `.`, `-` and `_`"
        hint = "write the name as ssh takes it"
    yield _problem("hostfile-syntax", message, where, hint=hint)


def _rest_problems(words: Sequence[str], places: Sequence[str]) -> Iterator[Problem]:
    """What is wrong behind the name: one problem a line, at the first word that is to blame."""
    name, *rest = words
    if not rest:
        message = f"`{_printable(name)}`: slots are missing; {_FORM}"
        yield _problem("hostfile-syntax", message, places[0], hint=_hint(_clean(name)))
        return
    for word, where in zip(rest, places[1:], strict=True):
        if _SLOTS.fullmatch(word) and word is rest[0]:
            continue
        if not word.startswith("slots="):
            message = f"unknown word `{_printable(word)}`; {_FORM}"
        elif word is not rest[0]:
            message = f"`{_printable(word)}`: slots are already written; {_FORM}"
        else:
            message = f"`{_printable(word)}`: expected a whole number of at least 1"
        yield _problem("hostfile-syntax", message, where, hint=_hint(_clean(name)))
        return


def _twice(name: str, where: str, known: int) -> Problem:
    message = f"host `{_printable(name)}` is already written at line {known}"
    hint = "delete one of the two; `slots` says how many devices a host has"
    return _problem("hostfile-duplicate", message, where, hint=hint)


def _fitted(
    cluster: Cluster, hosts: Sequence[Host], *, recipe: Recipe, shown: str
) -> tuple[Cluster, tuple[Problem, ...]]:
    """The cluster with what only the hostfile says, or where the two differ."""
    if "cluster.nodes" not in recipe.marks and cluster.nodes == 1 and not cluster.groups:
        cluster = replace(cluster, nodes=len(hosts))
    nodes, per_node = machines_of(cluster)
    if nodes > len(hosts):
        written = "cluster.groups" if cluster.groups else "cluster.nodes"
        message = f"`{written}` asks for {nodes} nodes; {shown} names {len(hosts)}"
        hint = f"add hosts to the file, or write `nodes: {len(hosts)}`"
        where = str(recipe.marks.get(written) or shown)
        short = Problem(code="hostfile-too-short", path=written, where=where, message=message, hint=hint)
        return cluster, (short,)
    used = hosts[:nodes]
    if cluster.devices_per_node is None and cluster.devices is None and not cluster.groups:
        if different := _different(used):
            return cluster, (different,)
        return replace(cluster, devices_per_node=used[0].slots), ()
    return cluster, tuple(_too_few(host, per_node) for host in used if host.slots < per_node)


def _different(hosts: Sequence[Host]) -> Problem | None:
    """Slots that are not the same everywhere, where nothing else says how many devices count."""
    by_slots: dict[int, list[str]] = {}
    for host in hosts:
        by_slots.setdefault(host.slots, []).append(host.name)
    if len(by_slots) == 1:
        return None
    least = min(by_slots)
    odd = next(host for host in hosts if host.slots != hosts[0].slots)
    return _problem(
        "hostfile-slots",
        "the hosts have different slots, and `cluster.devices_per_node` does not say how many count",
        odd.where,
        because=tuple(f"slots={slots}: {_listed(names)}" for slots, names in by_slots.items()),
        hint=f"write `devices_per_node: {least}` to use {least} of each",
    )


def _too_few(host: Host, per_node: int) -> Problem:
    message = (
        f"host `{host.name}` has slots={host.slots}; the recipe's cluster has {per_node} devices per node"
    )
    hint = f"write `devices_per_node: {host.slots}`, or leave the host out"
    return _problem("hostfile-slots", message, host.where, hint=hint)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(names[:_MOST])}{more}"


def _shown(recipe: Recipe, hostfile: str) -> str:
    """The file as a person would name it from where the recipe's own name leads."""
    named = next((mark.file for mark in recipe.marks.values() if mark.origin == "recipe"), "")
    return _printable(posixpath.normpath(posixpath.join(posixpath.dirname(named), hostfile)))


def _read(path: Path, *, shown: str, recipe: Recipe) -> str:
    """The text of the file; RecipeError at the key that names it where there is none."""
    hint = "the path is taken from the recipe's folder"
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "this is a folder"
    except UnicodeDecodeError as error:
        reason, hint = f"byte 0x{error.object[error.start]:02x} is not UTF-8", "save the file as UTF-8"
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
    message = f"`cluster.hostfile: {shown}`: {reason}"
    mark = recipe.marks.get("cluster.hostfile")
    raise RecipeError([_problem("hostfile-unreadable", message, str(mark or ""), hint=hint)])


def _problem(code: str, message: str, where: str, *, because: tuple[str, ...] = (), hint: str) -> Problem:
    return Problem(
        code=code, path="cluster.hostfile", message=message, where=where, because=because, hint=hint
    )


def _hint(name: str) -> str:
    return f"write `{name} slots=8`"


def _clean(name: str) -> str:
    """The name for an example; another where this one cannot stay."""
    return name if _NAME.fullmatch(name) else "node-a"


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]
