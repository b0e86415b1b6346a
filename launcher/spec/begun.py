"""What other tools' files say in the words of a recipe: values with the place of each, and what has no words here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = ["UNWRITTEN", "Carried", "Missing", "NotCarried", "Reading", "Reference"]


class _Unwritten:
    """Stands for a key that the file settles by not writing it, or by writing the default of a recipe."""

    def __repr__(self) -> str:
        return "UNWRITTEN"


UNWRITTEN: Final = _Unwritten()


class Carried(NamedTuple):
    """A key of a recipe and the value that a file gives it; a path that starts with `@` is a fact to reckon with."""

    path: str
    value: Any
    """UNWRITTEN: the file says that nothing is to be written."""
    source: str
    key: str
    """As the file calls it."""
    unsure: str = ""
    """Why the recipe that was meant may say something else; empty where it cannot."""
    instead_of: tuple[str, ...] = ()
    """Paths that are not to be written beside this one, should it be written by hand."""
    is_default: bool = False
    """Whether it is what a tool takes where nothing is written: whatever another file says counts before it."""

    @property
    def place(self) -> str:
        """For a message."""
        return f"{self.source}: {self.key}" if self.source and self.key else self.source or self.key

    @property
    def comment(self) -> str:
        """For a comment behind the key: the file's own name of it only where that is another one."""
        return self.source if f".{self.path}".endswith(f".{self.key}") and self.source else self.place


class NotCarried(NamedTuple):
    """A key of a file that no recipe takes, or whose value says nothing."""

    source: str
    key: str
    value: Any
    why: str
    hint: str = ""


class Missing(NamedTuple):
    """A key that none of the files says, or not for certain."""

    path: str
    why: str
    needed: bool = False
    """Whether there is no plan without it."""
    instead_of: tuple[str, ...] = ()
    is_unsure: bool = False
    """Whether a file says it, and somebody may have said it otherwise."""


class Reference(NamedTuple):
    """Another file that a file names."""

    path: str
    source: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that one source says."""

    source: str
    kind: str
    """In words: `a DeepSpeed JSON`."""
    carried: tuple[Carried, ...]
    not_carried: tuple[NotCarried, ...] = ()
    references: tuple[Reference, ...] = ()

    def fact(self, path: str) -> Any:
        """The value at a path; None where the source does not say."""
        return next((each.value for each in self.carried if each.path == path), None)

    def facts(self) -> Mapping[str, Any]:
        """Path to value."""
        return {each.path: each.value for each in self.carried}
