"""What a plugin author tests with: `check_engine(ENGINE)`."""

from __future__ import annotations

from launcher.testing.engines import check_engine
from launcher.testing.plans import HOSTILE, changed, sample_plans

__all__ = ["HOSTILE", "changed", "check_engine", "sample_plans"]
