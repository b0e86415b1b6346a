"""Numbers as people read them. GiB (2**30) appears here and nowhere deeper."""

from __future__ import annotations

__all__ = ["show_bytes", "show_count", "show_rate"]


def show_count(number: int) -> str:
    """A whole number with thousands separators."""
    return f"{number:,}"


def show_bytes(number: int) -> str:
    """Bytes as GiB with one decimal (GiB = 2**30 bytes)."""
    return f"{number / 2**30:.1f} GiB"


def show_rate(learning_rate: float) -> str:
    """A learning rate with two to four significant digits, without noise (`3.0e-04` is `3.0e-4`)."""
    if learning_rate == 0:
        return "0"
    text = f"{learning_rate:.4g}" if 1e-3 <= abs(learning_rate) < 1e4 else f"{learning_rate:.3e}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    mantissa = mantissa.rstrip("0")
    mantissa = mantissa + "0" if mantissa.endswith(".") else mantissa
    return f"{mantissa}e{int(exponent)}"
