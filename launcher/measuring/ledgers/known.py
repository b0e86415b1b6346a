"""Every family whose ledger is measured."""

from __future__ import annotations

from launcher.measuring.ledgers import transformers_models
from launcher.measuring.ledgers.family import Family

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = transformers_models.FAMILIES
