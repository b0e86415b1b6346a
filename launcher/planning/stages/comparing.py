"""What differs between runs that hold memory or tokens equal at other sequence lengths."""

from __future__ import annotations

__all__ = ["attention_share"]


def attention_share(*, sequence_length: int, hidden_size: int) -> float:
    """Work of attention scores beside that of a layer's other matrix products, s / (6 d), dimensionless.

    A layer trains 72 d^2 + 12 d s floating-point operations per token: 6 for each of 12 d^2 weights, and attention's.
    Source: 1 + s / (6 h) of Narayanan et al. 2021, arXiv:2104.04473, equation of the operations of an iteration.
    """
    return sequence_length / (6 * hidden_size)
