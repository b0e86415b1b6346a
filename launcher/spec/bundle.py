"""What an engine renders: files and commands, not yet on any disk."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["MAIN_PORT", "RUN_DIR", "LaunchBundle", "NodeCommand", "port_of"]

RUN_DIR = "\0run-dir\0"
"""Stands for the folder the bundle will lie in, in argv, env and file text. NUL: no recipe value can hold it."""

MAIN_PORT = "\0main-port\0"
"""Stands for the port the ranks meet at, where neither the recipe nor the engine's own tool chooses one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCommand:
    """One command on one node; argv and env are never read by a shell."""

    node_rank: int
    host: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchBundle:
    """Files by name inside the bundle's folder, and one command per node (or one for all, on node 0)."""

    files: Mapping[str, str]
    commands: tuple[NodeCommand, ...]

    def placed(self, directory: str, *, main_port: int | None = None) -> LaunchBundle:
        """The same bundle for one folder (absolute path).

        main_port: what MAIN_PORT becomes; port_of(directory) when None.
        """
        port = str(port_of(directory) if main_port is None else main_port)

        def put(text: str) -> str:
            return text.replace(RUN_DIR, directory).replace(MAIN_PORT, port)

        return LaunchBundle(
            files={name: put(_put_json(text, directory, port)) for name, text in self.files.items()},
            commands=tuple(
                replace(
                    command,
                    argv=tuple(put(word) for word in command.argv),
                    env={key: put(value) for key, value in command.env.items()},
                )
                for command in self.commands
            ),
        )


def port_of(directory: str) -> int:
    """A port for the ranks of the job in this folder, 20000 to 29999: below the range systems give out by themselves.

    From the folder, which is one job's own, and not from the plan: the same plan may run twice at once.
    """
    return 20_000 + zlib.crc32(directory.encode(errors="surrogateescape")) % 10_000


def _put_json(text: str, directory: str, port: str) -> str:
    """Inside a JSON string a folder needs JSON's escapes; a port is a number there, without quotes."""
    from json import dumps

    return text.replace(dumps(MAIN_PORT), port).replace(dumps(RUN_DIR)[1:-1], dumps(directory)[1:-1])
