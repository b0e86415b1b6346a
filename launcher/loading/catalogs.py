"""A user's own rows of the catalog: `catalog/devices.yaml` and `catalog/models.yaml` beside the recipe or above it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.loading.files import UnreadableError, read_text
from launcher.loading.found import Found
from launcher.loading.reader import read
from launcher.loading.tree import Entry, Keys, Place, shown, shown_path
from launcher.spec.catalog import NUMBERS, CatalogFile, Device, ModelRow, Peaks
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of

if TYPE_CHECKING:
    from launcher.catalog.models import Preset

__all__ = ["Catalogs", "read_catalog", "read_catalogs"]

_FILES = ("devices.yaml", "models.yaml")
_NAMED_ELSEWHERE = ("preset", "config", "module")


@dataclass(frozen=True, slots=True)
class Catalogs:
    """Rows of all files that one recipe sees, the nearest file first."""

    devices: dict[str, Device] = field(default_factory=dict)
    presets: dict[str, Preset] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    """Of every row by `devices.NAME` or `models.NAME`."""

    @property
    def all_presets(self) -> Mapping[str, Preset]:
        """The shipped models, and these."""
        from launcher.catalog.models import PRESETS

        return {**PRESETS, **self.presets}


def read_catalogs(*, directory: str, shown_from: str, found: Found) -> Catalogs:
    """Every row that a recipe of a folder may name.

    directory: absolute folder of the recipe; shown_from: folder that paths in messages are relative to, or "".
    """
    catalogs = Catalogs()
    for path in _files(directory):
        called = os.path.relpath(path, shown_from) if shown_from else str(path)
        _read_file(path, shown_path(called), catalogs, found)
    return catalogs


def read_catalog(path: str, found: Found) -> Catalogs:
    """The rows of one file alone."""
    catalogs = Catalogs()
    _read_file(Path(path), shown_path(path), catalogs, found)
    return catalogs


def _files(directory: str) -> Iterable[Path]:
    """Catalog files that exist, beside the recipe first, then beside each folder above it."""
    for folder in (Path(directory), *Path(directory).parents):
        for inner in ("catalog", "recipes/catalog"):
            for name in _FILES:
                path = folder / inner / name
                if os.path.lexists(
                    path
                ):  # a link to nowhere is told, a folder that is closed to us is not ours
                    yield path


def _read_file(path: Path, called: str, catalogs: Catalogs, found: Found) -> None:
    rows = Found()  # its paths are no paths of a recipe
    root = _root(path, called, rows)
    if root is not None:
        read(section_of(CatalogFile), Entry(root, root.place), "", rows)
        for name, entry in _entries(root, "devices"):
            device, is_whole = _row(Device, entry)
            if isinstance(device, Device):
                _add_device(name, device, rows, catalogs, is_whole=is_whole)
        for name, entry in _entries(root, "models"):
            model, is_whole = _row(ModelRow, entry)
            if isinstance(model, ModelRow):
                _add_model(name, model, entry, rows, catalogs, is_whole=is_whole)
    rows.marks.clear()
    rows.lost.clear()
    found.add(rows)


def _entries(root: Keys, section: str) -> Iterable[tuple[str, Entry]]:
    node = root.entries[section].node if section in root.entries else None
    return node.entries.items() if isinstance(node, Keys) else ()


def _row(kind: type, entry: Entry) -> tuple[Any, bool]:
    """One row whatever is wrong with the others, and whether all of it could be read.

    Its problems have been told with the whole file's.
    """
    found = Found(guesses=False)
    return read(section_of(kind), entry, "", found), not found.problems()


def _root(path: Path, called: str, rows: Found) -> Keys | None:
    from launcher.loading.yaml_text import NotYamlError, read_yaml

    place = Place("cluster", called)
    try:
        root = read_yaml(read_text(str(path)), place=place, found=rows)
    except UnreadableError as error:
        at = replace(place, line=error.line, column=error.column)
        rows.complain(error.code, at, str(error), hint=error.hint)
        return None
    except NotYamlError as error:
        rows.complain("yaml-syntax", error.place, str(error), hint=error.hint)
        return None
    if isinstance(root, Keys) and root.entries:
        return root
    if root is None or isinstance(root, Keys):
        hint = f"write `{path.stem}:` and a row below it, or delete the file"
        rows.complain("empty-recipe", place, "the catalog holds no rows", hint=hint)
    elif not rows.problems():
        rows.complain("not-a-mapping", root.place, f"`{shown(root)}`: expected `key: value` lines")
    return None


def _add_device(name: str, row: Device, rows: Found, catalogs: Catalogs, *, is_whole: bool) -> None:
    from launcher.catalog.devices import DEVICES

    path = f"devices.{name}"
    place = _key_place(rows, path)
    if is_whole:  # else what could not be read would look missing
        _check_numbers(row, path, rows)
    shipped = DEVICES.get(name)
    where = None if shipped is None else f"the shipped catalog, from {shipped.source}"
    if _is_new(path, place, where, catalogs, rows, replaces=row.replaces_shipped):
        catalogs.devices[name] = replace(row, name=name, mark=place.mark(place))


def _check_numbers(row: Device, path: str, rows: Found) -> None:
    """What no type says: usable memory is part of the memory, and a source belongs to a number that is written."""
    if row.memory_gib is not None and row.usable_gib is not None and row.usable_gib > row.memory_gib:
        rows.complain(
            "bad-choice",
            _place(rows, f"{path}.usable_gib"),
            f"`{shown_path(path)}.usable_gib: {row.usable_gib:g}` is more than memory_gib: {row.memory_gib:g}",
            path=f"{path}.usable_gib",
            hint="write what torch calls total capacity, or leave it out",
        )
    if row.kind != "cpu" and row.memory_gib is None and row.usable_gib is None:
        rows.complain(
            "missing-key",
            _key_place(rows, path),
            f"`{shown_path(path)}.memory_gib` is missing: expected a number above 0",
            path=f"{path}.memory_gib",
            hint="add `memory_gib`",
        )
    for number in row.sources:
        key = f"{path}.sources.{number}"
        if number not in NUMBERS:
            message = f"unknown key `{shown_path(number)}` in `{shown_path(path)}.sources`"
            rows.complain(
                "unknown-key",
                _key_place(rows, key),
                message,
                path=key,
                hint=f"write one of {', '.join(NUMBERS)}",
            )
        elif getattr(row, number) in {None, Peaks()}:
            message = f"`{shown_path(key)}` is the source of a number that is not written"
            rows.complain(
                "bad-choice",
                _key_place(rows, key),
                message,
                path=key,
                hint=f"write {number}, or drop its source",
            )


def _add_model(
    name: str, row: ModelRow, entry: Entry, rows: Found, catalogs: Catalogs, *, is_whole: bool
) -> None:
    from launcher.catalog.models import PRESETS, Preset

    path = f"models.{name}"
    place = _key_place(rows, path)
    dims = _written(row, entry, path, rows)
    if is_whole:
        _check_count(row, path, rows)
    shipped = PRESETS.get(name)
    where = None if shipped is None else f"the shipped catalog, from {shipped.source}"
    if _is_new(path, place, where, catalogs, rows, replaces=row.replaces_shipped):
        catalogs.presets[name] = Preset(row.hidden_size, dims, row.num_parameters, f"{row.source}, {place}")


def _written(row: ModelRow, entry: Entry, path: str, rows: Found) -> dict[str, Any]:
    """The keys of `model` that stand in the row."""
    model = entry.node.entries.get("model") if isinstance(entry.node, Keys) else None
    written = model.node.entries if model and isinstance(model.node, Keys) else {}
    for key in _NAMED_ELSEWHERE:
        if key in written:
            rows.complain(
                "bad-choice",
                written[key].key,
                f"`{shown_path(path)}.model.{key}`: a row holds the dimensions themselves",
                path=f"{path}.model.{key}",
                hint="write num_layers, num_attention_heads and the like",
            )
    known = [key for key in written if hasattr(row.model, key) and key not in _NAMED_ELSEWHERE]
    return {key: getattr(row.model, key) for key in known}


def _check_count(row: ModelRow, path: str, rows: Found) -> None:
    """The formulas give the number of parameters that is written."""
    from launcher.planning.memory.counting import count_parameters
    from launcher.planning.memory.from_recipe import network_of
    from launcher.planning.model import solve_model

    if row.num_parameters is None or any(getattr(row.model, key) for key in _NAMED_ELSEWHERE):
        return
    recipe = Recipe(hidden_size=row.hidden_size, sequence_length=1, model=row.model)
    solved = solve_model(recipe).value
    if solved is None:
        return
    counted = count_parameters(network_of(recipe=recipe, model=solved)).total
    if counted != row.num_parameters:
        rows.complain(
            "ambiguous-model",
            _place(rows, f"{path}.num_parameters"),
            f"`{shown_path(path)}.num_parameters: {row.num_parameters}` differs from what its dimensions give, "
            f"{counted}",
            path=f"{path}.num_parameters",
            hint="check the dimensions, or leave num_parameters out",
        )


def _is_new(
    path: str, place: Place, shipped: str | None, catalogs: Catalogs, rows: Found, *, replaces: bool
) -> bool:
    """Whether no other row has the name, or this one says that it stands in for the shipped one."""
    earlier = catalogs.places.get(path)
    if earlier is not None:
        rows.complain(
            "row-twice",
            place,
            f"`{shown_path(path)}` is also a row of {earlier}",
            path=path,
            hint="rename one of the two, or delete it",
        )
        return False
    catalogs.places[path] = place
    if shipped is not None and not replaces:
        rows.complain(
            "row-twice",
            place,
            f"`{shown_path(path)}` is also a row of {shipped}",
            path=path,
            hint="rename yours, or write `replaces_shipped: true` in it",
        )
    elif shipped is None and replaces:
        rows.complain(
            "bad-choice",
            _place(rows, f"{path}.replaces_shipped"),
            f"`{shown_path(path)}.replaces_shipped: true`: no shipped row has that name",
            path=f"{path}.replaces_shipped",
            hint="drop it, or check the name",
        )
    return shipped is None or replaces


def _place(rows: Found, path: str) -> Place:
    mark = rows.marks.get(path)
    return Place("cluster") if mark is None else Place("cluster", mark.file, mark.line, mark.column)


def _key_place(rows: Found, path: str) -> Place:
    mark = rows.marks.get(path)
    return Place("cluster") if mark is None else Place("cluster", mark.file, mark.key_line, mark.key_column)
