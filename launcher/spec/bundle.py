"""What an engine renders: files and commands, not yet on any disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["RUN_DIR", "LaunchBundle", "NodeCommand"]

RUN_DIR = "\0run-dir\0"
"""Stands for the folder the bundle will lie in, in argv, env and file text. NUL: no recipe value can hold it."""


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

    def placed(self, directory: str) -> LaunchBundle:
        """The same bundle for one folder (absolute path)."""

        def put(text: str) -> str:
            return text.replace(RUN_DIR, directory)

        return LaunchBundle(
            files={name: put(text) for name, text in self.files.items()},
            commands=tuple(
                replace(
                    command,
                    argv=tuple(put(word) for word in command.argv),
                    env={key: put(value) for key, value in command.env.items()},
                )
                for command in self.commands
            ),
        )
