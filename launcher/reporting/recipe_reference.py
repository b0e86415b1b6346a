"""docs/reference/recipe.md: every key of a recipe, printed from the types that the reader uses."""

from __future__ import annotations

import json
from collections.abc import Iterator

from launcher.reporting.field_help import field_help, section_help
from launcher.spec.plain import to_plain
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import (
    EitherShape,
    Key,
    ListShape,
    QuantityShape,
    SectionShape,
    Shape,
    section_of,
)
from launcher.spec.words import in_words, joined
from launcher.units.amounts import KINDS, describe_kind, unit_words

__all__ = ["default_words", "recipe_reference"]

_HEAD = """\
# Recipe reference

A recipe is one YAML file that describes one training run. The smallest one is three numbers:

```yaml
global_batch_size: 256     # sequences per optimizer step, over the whole job
sequence_length: 1024      # tokens per sequence
hidden_size: 768           # width of the model
```

Everything else has a default or may be absent, and `batchwright plan` shows where each number of the plan comes
from. What you write is never changed: it is used as written, or refused with the numbers that would work.

This page is printed from the types that read a recipe. `batchwright schema` prints the same as JSON Schema, for
editors.

## How values are written

- Only `true` and `false` are truth values, only `null` and `~` mean absent. `no`, `on` and `12:30:00` are text.
- Numbers are decimal: `1_000_000`, `1e-4`, `.5`. A leading zero (`010`) is refused, and so are `.inf` and `.nan`.
- A whole number is written without a point and without quotes. Where any number fits, a whole one does too.
- Text that looks like something else needs quotes: `args: ["--lr", "3e-4"]`.
- A value without quotes ends with its line; one that runs on into the next line is refused.
- A key that is unknown, or written twice, is an error. So are tags, anchors and aliases: a recipe is complete in
  itself.
- All problems are reported at once, each with file, line, column and a code that [errors](errors.md) explains.

## Changing a value from the command line

`--set path=value` sets one value before the recipe is checked; the value is read by the same rules. Sections that
are not there are created, items of a list go by number, and the last of several wins:

    batchwright plan recipe.yaml --set optimizer.learning_rate=3e-4 --set launch.args.1=7

## Naming a cluster

`cluster` holds the keys of a cluster, the path of a file that holds them (from the recipe's folder), or a name. A
name is looked for as `clusters/NAME.yaml` and `recipes/clusters/NAME.yaml` beside the recipe, and in every folder
above it, and last among the clusters that come with the package, which `batchwright recipes clusters` lists. A plan
names a file of the package as `batchwright:clusters/NAME.yaml`.
"""
_AMOUNTS = """\
## Amounts

A number and a unit, kept exact. The number may have `_`, a point and an exponent. Before `steps`, `samples`,
`tokens` and `epochs`, and in a count, it may end in `K`, `M`, `B`, `T` (thousand, million, 10^9, 10^12) or in `Ki`,
`Mi`, `Gi`, `Ti` (powers of 1024): `8Mi` is 8,388,608.

| Amount | Written as | Units |
|---|---|---|
"""
_ROOT = "## Top level\n\nThe three numbers, the sections, and what concerns the whole run.\n"


def recipe_reference() -> str:
    """The page as Markdown: how values are written, then every section with its keys."""
    root = section_of(Recipe)
    homes = {section.kind: path for path, section in reversed(list(_sections(root)))}
    parts = [
        _HEAD,
        _AMOUNTS + "".join(_amount_row(kind) for kind in KINDS),
        f"{_ROOT}\n{_table(root, homes)}",
    ]
    for path, section in _sections(root):
        if homes[section.kind] == path:
            level = "##" if "." not in path else "###"
            parts.append(f"{level} `{path}`\n\n{section_help(section.kind)}\n\n{_table(section, homes)}")
    return "\n".join(parts)


def default_words(key: Key) -> str:
    """The default of a key as the tables of the reference have it; empty where there is none."""
    if key.required:
        return "**required**"
    if isinstance(key.shape, SectionShape):
        return ""
    return "" if key.default is None else f"`{_as_yaml(to_plain(key.default))}`"


def _amount_row(kind: str) -> str:
    words = ", ".join(f"`{word}`" for word in unit_words(kind=kind)) or "none"
    return f"| {kind} | {describe_kind(kind)} | {words} |\n"


def _sections(shape: Shape, path: str = "") -> Iterator[tuple[str, SectionShape]]:
    """Every section below a shape with its path, parents first; those of stages last: they repeat the others."""
    match shape:
        case SectionShape(keys=keys):
            if path:
                yield path, shape
            for key in sorted(keys, key=lambda key: key.name == "stages"):
                yield from _sections(key.shape, f"{path}.{key.name}" if path else key.name)
        case EitherShape(options=options):
            for option in options:
                yield from _sections(option, path)
        case ListShape(item=item):
            yield from _sections(item, path)
        case _:
            return


def _table(section: SectionShape, homes: dict[type, str]) -> str:
    rows = [
        f"| `{key.name}` | {_takes(key.shape, homes)} | {default_words(key)} | {field_help(section.kind)[key.name]} |\n"
        for key in section.keys
    ]
    return "| Key | Takes | Default | Meaning |\n|---|---|---|---|\n" + "".join(rows)


def _takes(shape: Shape, homes: dict[type, str]) -> str:
    match shape:
        case QuantityShape(unit=unit):
            return f"[{unit.kind}](#amounts)"
        case SectionShape(kind=kind):
            return f"[keys](#{homes[kind].replace('.', '')})"
        case EitherShape(options=options):
            return joined([_takes(option, homes) for option in options], last=", or ")
        case ListShape(item=SectionShape() as item):
            return f"list of {_takes(item, homes)}"
        case _:
            return in_words(shape).removeprefix("a ")


def _as_yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
