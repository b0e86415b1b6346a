"""What a command may touch: streams, variables, its own words. Handed in, never looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

__all__ = ["Surroundings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a command runs."""

    environ: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO
    argv: tuple[str, ...]
    """What the person typed, the program's name first."""
    beside: Path
    """Folder of the interpreter that runs us."""

    def say(self, text: str) -> None:
        """Data, to standard output."""
        print(text, file=self.stdout)

    def tell(self, text: str) -> None:
        """Everything that is not data, to standard error."""
        print(text, file=self.stderr)

    @property
    def colour(self) -> bool:
        """Whether standard output is a terminal that wants colour (https://no-color.org)."""
        return (
            self.stdout.isatty() and not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"
        )
