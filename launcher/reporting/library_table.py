"""The library as a table, one row per recipe from its header and plan: on the screen and as recipes/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from launcher.reporting.columns import table
from launcher.units import show_count

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = ["LibraryRow", "library_lines", "library_page", "library_row", "rows_of_page"]

_HEAD = """\
# Recipes

A folder is a model, a file name the machine and what distinguishes it. A recipe is complete in itself: differences go
through `--set` or a copy. `batchwright recipes` prints this list, `batchwright recipes copy NAME` copies one of them;
both work where only the package is installed ([how](../docs/how-to/use-the-library.md)).

`verified: run`: a test trains it here. `verified: arithmetic`: loaded, planned and rendered in tests, and its published
numbers are compared with the plan's. Everything below is printed from the files and their plans.

| recipe | model | parameters | machine | per step | engines | verified | what it is |
|---|---|---|---|---|---|---|---|
"""
_CLUSTERS = """
## Machines

`cluster: NAME` takes one of these from any repository.

| name | machine | what it is |
|---|---|---|
"""
HERE = "this machine"
"""The machine of a recipe that names none."""


class LibraryRow(NamedTuple):
    """What is said of one recipe."""

    name: str
    title: str
    model: str
    parameters: str
    machine: str
    per_step: str
    engines: str
    verified: str


def library_row(
    *, name: str, title: str, engines: Sequence[str], verified: str, plan: RunPlan, here: bool
) -> LibraryRow:
    """The row of one recipe. title, engines, verified: of its header; here: whether it names no machine."""
    layout = plan.layout
    return LibraryRow(
        name=name,
        title=title,
        model=plan.model.kind,
        parameters=_parameters(plan),
        machine=HERE if here else f"{show_count(layout.world_size)} x {layout.device}",
        per_step=_per_step(plan),
        engines=", ".join(engines or (plan.launch.engine,)),
        verified=verified or "-",
    )


def library_lines(rows: Sequence[LibraryRow]) -> list[str]:
    """The table for a screen of 100 columns."""
    cells = [
        (
            row.name,
            row.parameters.partition(",")[0],
            row.machine.partition(" x ")[0] if row.machine != HERE else "here",
            row.per_step.removesuffix(" tokens").partition(" tokens in ")[0],
            row.engines,
            row.verified,
        )
        for row in rows
    ]
    return table(("recipe", "size", "devices", "tokens per step", "engines", "verified"), cells)


def library_page(rows: Sequence[LibraryRow], machines: Sequence[tuple[str, str, str]]) -> str:
    """recipes/README.md. machines: name, machine and title of every cluster file."""
    lines = [
        f"| [{row.name}]({row.name}.yaml) | {row.model} | {row.parameters} | {row.machine} | {row.per_step} |"
        f" {row.engines} | {row.verified} | {row.title} |\n"
        for row in rows
    ]
    clusters = [
        f"| [{name}](clusters/{name}.yaml) | {machine} | {title} |\n" for name, machine, title in machines
    ]
    return "".join([_HEAD, *lines, _CLUSTERS if clusters else "", *clusters])


def rows_of_page(page: str) -> dict[str, LibraryRow]:
    """The rows that library_page has printed, by name."""
    found = {}
    for line in page.partition(_CLUSTERS)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[0].startswith("["):
            name, title = cells[0][1:].partition("]")[0], cells[7]
            found[name] = LibraryRow(name, title, *cells[1:7])
    return found


def _parameters(plan: RunPlan) -> str:
    model = plan.model
    total = _short(model.num_parameters)
    if model.num_active_parameters is not None and model.num_active_parameters != model.num_parameters:
        return f"{total}, {_short(model.num_active_parameters)} active"
    return total


def _short(number: int | None) -> str:
    """Three digits: `124 M`."""
    if number is None:
        return "-"
    for size, word in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            digits = number / size
            return f"{digits:.0f} {word}" if digits >= 100 else f"{digits:.3g} {word}"
    return str(number)


def _per_step(plan: RunPlan) -> str:
    """Tokens, or samples where there are none; of each stage."""
    batches = [stage.batch for stage in plan.stages] if plan.stages else [plan.batch]
    numbers = [
        batch.global_batch_size if batch.tokens_per_step is None else batch.tokens_per_step
        for batch in batches
    ]
    unit = "samples" if batches[0].tokens_per_step is None else "tokens"
    shown = [show_count(number) for number in dict.fromkeys(numbers)]
    if len(shown) > 3:
        return f"{shown[0]} to {shown[-1]} {unit} in {len(shown)} stages"
    return f"{', '.join(shown)} {unit}"
