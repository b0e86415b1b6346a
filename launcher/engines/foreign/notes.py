"""What a reader of another tool's file writes down as it goes."""

from __future__ import annotations

from typing import Any

from launcher.spec.begun import UNWRITTEN, Carried, NotCarried, Reading, Reference

__all__ = ["AUTO", "Notes"]

AUTO = "auto"
"""What DeepSpeed and Accelerate files say where the Trainer or Accelerate is to fill a number in."""


class Notes:
    """Filled by one reader, once; turned into a frozen Reading."""

    def __init__(self, source: str, kind: str) -> None:
        self.source, self.kind = source, kind
        self._carried: dict[str, Carried] = {}
        self._dropped: list[NotCarried] = []
        self._references: list[Reference] = []

    def carry(
        self,
        path: str,
        value: Any,
        key: str,
        *,
        unsure: str = "",
        instead_of: tuple[str, ...] = (),
        is_default: bool = False,
    ) -> None:
        """A value of a recipe; the last of several for one path counts, as for an option given twice."""
        self._carried[path] = Carried(path, value, self.source, key, unsure, instead_of, is_default)

    def settle(self, path: str, key: str, *, unsure: str = "", instead_of: tuple[str, ...] = ()) -> None:
        """The key is as a recipe has it where nothing is written."""
        self.carry(path, UNWRITTEN, key, unsure=unsure, instead_of=instead_of)

    def drop(self, key: str, value: Any, why: str, hint: str = "") -> None:
        """What cannot be carried over."""
        self._dropped.append(NotCarried(self.source, key, value, why, hint))

    def refer(self, path: str, key: str) -> None:
        """Another file, to be read if it is there."""
        self._references.append(Reference(path, self.source, key))

    def says(self, path: str) -> Any:
        """What was written down for a path; None where nothing was."""
        found = self._carried.get(path)
        return None if found is None or found.value is UNWRITTEN else found.value

    def reading(self) -> Reading:
        """All of it."""
        return Reading(
            source=self.source,
            kind=self.kind,
            carried=tuple(self._carried.values()),
            not_carried=tuple(self._dropped),
            references=tuple(self._references),
        )

    def paths(self) -> tuple[str, ...]:
        """Every path that something was written down for."""
        return tuple(self._carried)

    def forget(self, path: str) -> None:
        """What was written down for a path does not hold."""
        self._carried.pop(path, None)
