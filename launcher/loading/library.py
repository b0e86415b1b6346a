"""The library of recipes that comes with the package: where it lies, and what each file is called."""

from __future__ import annotations

from pathlib import Path

__all__ = ["cluster_names", "library_file", "library_folder", "recipe_names", "shown_in_library"]

CLUSTERS = "clusters"


def library_folder() -> Path:
    """Absolute folder of the library: `launcher/library`, in a checkout a link to its `recipes`."""
    return Path(__file__).resolve().parent.parent.joinpath("library").resolve()


def recipe_names() -> tuple[str, ...]:
    """`model/hardware` of every recipe, sorted."""
    return tuple(name for name in _names() if CLUSTERS not in name.split("/"))


def cluster_names() -> tuple[str, ...]:
    """Every cluster file, by the name that `cluster:` takes."""
    return tuple(name.removeprefix(f"{CLUSTERS}/") for name in _names() if name.split("/")[:-1] == [CLUSTERS])


def library_file(name: str) -> Path:
    """The file of a recipe, or of a cluster as `clusters/NAME`."""
    return library_folder() / f"{name}.yaml"


def shown_in_library(path: Path) -> str:
    """A file of the library as messages and plans name it, alike on every machine."""
    return f"batchwright:{path.relative_to(library_folder()).as_posix()}"


def _names() -> list[str]:
    folder = library_folder()
    inner = (path.relative_to(folder) for path in folder.rglob("*.yaml"))
    return sorted(
        path.with_suffix("").as_posix() for path in inner if not any(part[0] == "." for part in path.parts)
    )
