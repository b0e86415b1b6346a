"""What of the optimizer follows the batch, beside the learning rate, in a line or two."""

from __future__ import annotations

from typing import Any

from launcher.spec.plan import OptimizerPlan

__all__ = ["optimizer_lines"]


def optimizer_lines(optimizer: OptimizerPlan) -> list[str]:
    """What was rescaled with what was written, and how long AdamW averages its weights, here and at the reference."""
    lines = []
    if optimizer.at_reference:
        words = [
            f"{_name(name)} {_shown(getattr(optimizer, name))} (at the reference {_shown(value)})"
            for name, value in optimizer.at_reference.items()
        ]
        lines.append(f"rescaled: {', '.join(words)}")
    if optimizer.weight_decay_timescale is not None:
        lines.append(_timescale(optimizer.weight_decay_timescale, optimizer.reference_timescale))
    return lines


def _timescale(here: float, at_reference: float | None) -> str:
    """Source: B / (eta lambda D), Wang & Aitchison 2024, arXiv:2405.13698."""
    before = "" if at_reference is None else f" ({at_reference:.3g} at the reference)"
    return f"weight decay averages over {here:.3g} x the run{before}"


def _name(field: str) -> str:
    return {"weight_average_decay": "weight average"}.get(field, field.replace("_", " "))


def _shown(value: Any) -> str:
    return ", ".join(f"{each:.6g}" for each in (value if isinstance(value, list | tuple) else (value,)))
