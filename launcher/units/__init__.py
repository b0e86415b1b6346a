"""Quantities as people write them, turned into exact numbers. Nothing here knows about training."""

from launcher.units.amounts import Amount, UnitError, parse_amount
from launcher.units.show import show_bytes, show_count, show_rate

__all__ = ["Amount", "UnitError", "parse_amount", "show_bytes", "show_count", "show_rate"]
