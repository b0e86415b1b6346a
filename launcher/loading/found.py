"""What reading has found so far: problems with their places, and marks of the values written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from launcher.errors import Problem
from launcher.loading.tree import Entry, Place
from launcher.spec.marks import Mark

__all__ = ["Found"]

_ORDER = ("recipe", "cluster", "command-line")


@dataclass(slots=True)
class Found:
    """Filled while reading; the one mutable thing in this package."""

    marks: dict[str, Mark] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Dotted paths of which nobody knows what was meant; the empty one stands for every key of the recipe."""
    guesses: bool = True
    """Whether to look what an unknown key may have meant; a guess makes no guesses of its own."""
    _problems: list[tuple[Place, Problem]] = field(default_factory=list)

    def complain(
        self,
        code: str,
        place: Place,
        message: str,
        *,
        path: str = "",
        because: tuple[str, ...] = (),
        hint: str = "",
    ) -> None:
        """Add one problem."""
        problem = Problem(code=code, path=path, where=str(place), message=message, because=because, hint=hint)
        self._problems.append((place, problem))
        if path:
            self.lost.add(path)

    def add(self, other: Found, *, only: Callable[[Problem], bool] = lambda _problem: True) -> None:
        """Add what another reading found; only: which of its problems."""
        self._problems.extend(item for item in other._problems if only(item[1]))
        self.marks.update(other.marks)
        self.lost |= other.lost

    def mark(self, path: str, entry: Entry) -> None:
        """Remember where a written value stands."""
        self.marks[path] = entry.node.place.mark(entry.key)

    def problems(self) -> tuple[Problem, ...]:
        """In the order a person meets them: the recipe from top to bottom, the cluster file, the command line."""
        ordered = sorted(self._problems, key=lambda item: _order(item[0]))
        return tuple(problem for _, problem in ordered)


def _order(place: Place) -> tuple[int, int, str, int, int]:
    return _ORDER.index(place.origin), place.turn, place.file, place.line, place.column
