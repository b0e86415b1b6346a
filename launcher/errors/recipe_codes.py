"""Codes about recipes as files of a repository: checked, locked, compared, begun from other tools' files."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["RECIPE_CODES"]

RECIPE_CODES: dict[str, CodeInfo] = {
    "row-twice": CodeInfo(
        "two rows of the catalog have one name: two of your own, or one of yours and a shipped one",
        "rename yours, or write `replaces_shipped: true` in it where it stands in for the shipped one",
    ),
    "unknown-recipe": CodeInfo(
        "the library that comes with the package has no recipe of that name",
        "`batchwright recipes` lists them; a recipe of your own is named by its path",
    ),
    "would-overwrite": CodeInfo(
        "a file that would be written is there already", "name another folder, or move the file away"
    ),
    "nothing-to-explain": CodeInfo(
        "the word is no error code, no key of a recipe, no number of a plan and no placeholder",
        "`batchwright explain` alone lists what there is",
    ),
}
