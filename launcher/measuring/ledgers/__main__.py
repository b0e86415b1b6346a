"""`python -m launcher.measuring.ledgers [IMPLEMENTATION [FAMILY]] [--check]`: measures ledgers of the catalog anew."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from launcher import catalog
from launcher.measuring.ledgers.family import Family
from launcher.measuring.ledgers.files import as_text

__all__ = ["main"]

_FOLDER = Path(catalog.__file__).parent / "ledger_files"


def main(arguments: Sequence[str]) -> int:
    """Writes the files, or with --check compares and prints what differs; 1 where something does."""
    parser = argparse.ArgumentParser(prog="python -m launcher.measuring.ledgers", description=__doc__)
    parser.add_argument("implementation", nargs="?", help="transformers or torch; all where absent")
    parser.add_argument("family", nargs="?", help="a family of that implementation; all where absent")
    parser.add_argument("--check", action="store_true", help="write nothing; print differences")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the files are")
    given = parser.parse_args(arguments)
    chosen = _chosen(given.implementation, given.family)
    if not chosen:
        parser.error(f"no family {given.implementation}/{given.family}; there are {', '.join(_names())}")
    differing = 0
    for family in chosen:
        path = given.folder / family.implementation / f"{family.name}.json"
        differing += _one(family, path, check=given.check)
    return 1 if differing and given.check else 0


def _families() -> tuple[Family, ...]:
    from launcher.measuring.ledgers.known import FAMILIES

    return FAMILIES


def _names() -> list[str]:
    return [f"{family.implementation}/{family.name}" for family in _families()]


def _chosen(implementation: str | None, name: str | None) -> list[Family]:
    return [
        family
        for family in _families()
        if implementation in (None, family.implementation) and name in (None, family.name)
    ]


def _one(family: Family, path: Path, *, check: bool) -> int:
    from launcher.measuring.ledgers.making import make_ledger

    measured = as_text(make_ledger(family))
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    if check:
        sys.stdout.writelines(
            difflib.unified_diff(
                written.splitlines(keepends=True),
                measured.splitlines(keepends=True),
                f"{family.implementation}/{path.name} (catalog)",
                f"{family.implementation}/{path.name} (measured)",
            )
        )
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(measured, encoding="utf-8")
    print(f"{family.implementation}/{family.name}: {'as written' if written == measured else 'differs'}")
    return int(written != measured)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
