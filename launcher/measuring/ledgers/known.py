"""Every family whose ledger is measured."""

from __future__ import annotations

from launcher.measuring.ledgers.family import Family
from launcher.measuring.ledgers.torch_modules import TORCH
from launcher.measuring.ledgers.transformers_decoders import DECODERS
from launcher.measuring.ledgers.transformers_more import MORE
from launcher.measuring.ledgers.transformers_others import OTHERS

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = (*DECODERS, *OTHERS, *MORE, *TORCH)
