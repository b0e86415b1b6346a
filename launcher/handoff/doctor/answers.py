"""What a host answered: its facts, or the words of whoever could not get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of one host. sent, received: seconds since 1970 by the asker's clock."""

    host: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """launcher.discovery.node_facts.collect's; empty when none came."""
    said: tuple[str, ...] = ()
    """Lines of ssh, or of the shell on the host."""
    partial: str = ""
    """Of facts that are still coming."""
    exit: int | None = None
    """Exit code of ssh; 255: its own failure."""
    sent: float = 0.0
    received: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether a shell of the host was reached at all, facts or not."""
        return bool(self.facts) or self.exit not in (None, 255)

    def of(self, check: str) -> Any:
        """What a check found there; None where it did not."""
        return self.facts.get(check)
