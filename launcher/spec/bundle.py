"""What an engine renders: files and commands, not yet on any disk."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = [
    "MAIN_ADDRESS",
    "MAIN_PORT",
    "PYTHON",
    "RUN_DIR",
    "RUN_ID",
    "SETUP_MARK",
    "LaunchBundle",
    "NodeCommand",
    "encoded",
    "port_of",
    "run_id",
]

RUN_DIR = "\0run-dir\0"
"""Stands for the folder the bundle will lie in, in argv, env and file text. NUL: no recipe value can hold it."""

MAIN_PORT = "\0main-port\0"
"""Stands for the port the ranks meet at, where neither the recipe nor the engine's own tool chooses one."""

MAIN_ADDRESS = "\0main-address\0"
"""Stands for the main node's address, where only the job itself learns its hosts; filled in on the node."""

PYTHON = "\0python\0"
"""Stands for the interpreter of the job on every node."""

RUN_ID = "\0run-id\0"
"""Stands for a name that schedulers take, one per RUN_DIR: letters, digits and `-` only."""

SETUP_MARK = "BATCHWRIGHT_SETUP"
"""Variable with the names of those that launch.setup has exported, by which they get past the allow-list."""

_PLACE = re.compile(r"\0(?P<name>[a-z-]+)(?P<encodings>(?:\|[a-z]+)*)\0")
_JSON_PLACE = re.compile(r"\\u0000(?P<name>[a-z-]+)(?P<encodings>(?:\|[a-z]+)*)\\u0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCommand:
    """One command on one node; argv and env are never read by a shell."""

    node_rank: int
    host: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchBundle:
    """Files by name inside the bundle's folder, and the commands that start the job from where the person is."""

    files: Mapping[str, str]
    commands: tuple[NodeCommand, ...]
    """Started here: an engine's own, one per node (or one for all, on node 0); or what an executor starts them with."""
    nodes: tuple[NodeCommand, ...] = ()
    """One per node, where commands only reach the nodes: each node looks its own up in bundle.json."""
    stop: tuple[tuple[str, ...], ...] = ()
    """Commands that ask the job to end, in their order; none: SIGTERM to the processes started here."""
    log: str | None = None
    """File of the bundle's folder that the job prints to, where what it prints does not come through the commands."""
    ended: str | None = None
    """File of the folder with the job's exit code once it is over, where what waits for the job may notice late."""
    attached: bool = True
    """False: commands hand the job over and return; it goes on without us."""
    detached: tuple[NodeCommand, ...] = ()
    """Instead of commands where nobody wants to wait; none: the executor cannot hand a job over, or always does."""
    hosts: tuple[str, ...] = field(default=())
    """Hosts to reach before anything starts, in the order of node ranks; empty where only the job learns them."""
    secret_files: bool = False
    """Whether each node finds the values of launch.pass_env in a file of the run folder, which it reads once."""
    main_port: int | None = None
    """What MAIN_PORT became; None before the bundle is placed."""
    job_port: bool = False
    """Whether the job itself chooses MAIN_PORT (BATCHWRIGHT_MAIN_PORT); nodes keep the placeholder until then."""

    def placed(
        self,
        directory: str,
        *,
        main_port: int | None = None,
        python: str = "python3",
        main_address: str | None = None,
    ) -> LaunchBundle:
        """The same bundle for one folder (absolute path).

        main_port: what MAIN_PORT becomes; port_of(directory) when None. main_address: stays a placeholder when None.
        """
        port = port_of(directory) if main_port is None else main_port
        values = {"run-dir": directory, "main-port": str(port), "python": python, "run-id": run_id(directory)}
        if main_address is not None:
            values["main-address"] = main_address

        def put(text: str, known: Mapping[str, str] = values) -> str:
            return _filled(_PLACE, text, known)

        def put_all(
            commands: tuple[NodeCommand, ...], known: Mapping[str, str] = values
        ) -> tuple[NodeCommand, ...]:
            return tuple(
                replace(
                    command,
                    host=put(command.host, known),
                    argv=tuple(put(word, known) for word in command.argv),
                    env={key: put(value, known) for key, value in command.env.items()},
                )
                for command in commands
            )

        on_nodes = {name: text for name, text in values.items() if name != "main-port" or not self.job_port}
        return replace(
            self,
            files={name: put(_put_json(text, values)) for name, text in self.files.items()},
            commands=put_all(self.commands),
            detached=put_all(self.detached),
            nodes=put_all(self.nodes, on_nodes),
            stop=tuple(tuple(put(word) for word in words) for words in self.stop),
            main_port=port,
        )


def encoded(place: str, *encodings: str) -> str:
    """A placeholder whose value is put into other text.

    encodings, applied in their order: `shell` (one word of a POSIX shell), `pdsh` (% doubled), `json` (inside a
    JSON string).
    """
    return f"\0{place.strip(chr(0))}{''.join(f'|{name}' for name in encodings)}\0"


def port_of(directory: str) -> int:
    """A port for the ranks of the job in this folder, 20000 to 29999: below the range systems give out by themselves.

    From the folder, which is one job's own, and not from the plan: the same plan may run twice at once.
    """
    return 20_000 + zlib.crc32(directory.encode(errors="surrogateescape")) % 10_000


def run_id(directory: str) -> str:
    """A name for schedulers, one per folder: letters, digits and `-`, a letter first, 45 characters at most.

    Kubernetes makes names of pods from it, which end in `-node-0-NNN-xxxxx` and may have 63. What is cut off, or is
    no letter, is made up for by a sum over the whole path.
    """
    name = re.sub(r"[^a-z0-9]+", "-", directory.rstrip("/").rpartition("/")[2].lower())[:24].strip("-")
    return f"batchwright-{name or 'run'}-{zlib.crc32(directory.encode(errors='surrogateescape')):08x}"


def _put_json(text: str, values: Mapping[str, str]) -> str:
    """Inside a JSON string a folder needs JSON's escapes; a port is a number there, without quotes."""
    from json import dumps

    text = text.replace(dumps(MAIN_PORT), values["main-port"])
    escaped = {name: dumps(value)[1:-1] for name, value in values.items()}
    return _filled(_JSON_PLACE, text, escaped)


def _filled(places: re.Pattern[str], text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match["name"])
        if found is None:
            return match[0]
        for encoding in filter(None, match["encodings"].split("|")):
            found = _encode(encoding, found)
        return found

    return places.sub(value, text)


def _encode(encoding: str, text: str) -> str:
    if encoding == "shell":
        from launcher.spec.shell import quote

        return quote(text)
    if encoding == "pdsh":
        return text.replace("%", "%%")
    from json import dumps

    return dumps(text)[1:-1]
