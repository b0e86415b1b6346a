"""Codes about recipes as files of a repository: checked, locked, compared, begun from other tools' files."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["RECIPE_CODES"]

RECIPE_CODES: dict[str, CodeInfo] = {}
