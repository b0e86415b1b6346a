"""Codes about batches, learning rates, schedules, stages and what is measured of them."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["BATCH_CODES"]

BATCH_CODES: dict[str, CodeInfo] = {}
