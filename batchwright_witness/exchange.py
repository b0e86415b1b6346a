"""The ranks tell each other what they counted, through the key-value store that torch.distributed already has.

No collectives: ranks that behave differently would hang in one. A rank that says nothing costs one time-out, once.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

__all__ = ["Exchange"]

Report = dict[str, Any]
Judge = Callable[[list[Report]], Report]
PREFIX = "batchwright-witness"
ACKNOWLEDGE_SECONDS = 5.0
"""How long rank 0, which may hold the store, waits for the others to have recorded why they stop."""


class Exchange:
    """One round per optimizer step: every rank reports, rank 0 judges, every rank reads the verdict."""

    def __init__(self, *, attempt: str, timeout_seconds: float) -> None:
        self._prefix = f"{PREFIX}/{attempt}"
        self._timeout = timedelta(seconds=timeout_seconds)
        self.failed: str | None = None
        """Why there is no exchange any more."""
        self.heard = False
        """Whether the last verdict came from all ranks."""
        self._own_word = ""
        self._unread: list[str] = []  # not the store: whoever holds it at exit keeps its threads from ending

    def round(self, name: str, report: Report, judge: Judge) -> Report | None:
        """The verdict of all ranks; None where they cannot be heard."""
        distributed: Any = sys.modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return judge([report])
        self.heard = False
        rank, size = distributed.get_rank(), distributed.get_world_size()
        if size == 1:
            return judge([report])
        if self.failed:
            return None
        try:
            store, key = _store(), f"{self._prefix}/{name}"
            if rank == 0:
                verdict = self._lead(store, key, size, report, judge)
            else:
                verdict = self._follow(store, key, rank, report)
        except (
            RuntimeError,
            ValueError,
            AttributeError,
        ) as error:  # torch.distributed's errors are RuntimeErrors
            self.failed = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            return None
        self.heard = True
        return verdict

    def _follow(self, store: Any, key: str, rank: int, report: Report) -> Report:
        store.set(f"{key}/{rank}", json.dumps(report))
        store.wait([f"{key}/verdict"], self._timeout)
        verdict: Report = json.loads(store.get(f"{key}/verdict"))
        self._own_word = f"{key}/read/{rank}"
        return verdict

    def _lead(self, store: Any, key: str, size: int, report: Report, judge: Judge) -> Report:
        others = [f"{key}/{other}" for other in range(1, size)]
        store.wait(others, self._timeout)
        verdict = judge([report, *(json.loads(text) for text in store.multi_get(others))])
        store.set(f"{key}/verdict", json.dumps(verdict))
        self._unread = [f"{key}/read/{other}" for other in range(1, size)]
        return verdict

    def take_leave(self) -> None:
        """After the last verdict, before the end: the others say that they have recorded it, rank 0 waits for that."""
        with contextlib.suppress(RuntimeError, ValueError):
            if self._own_word:
                _store().set(self._own_word, "1")
            if self._unread:
                _store().wait(self._unread, timedelta(seconds=ACKNOWLEDGE_SECONDS))


def _store() -> Any:
    """The store of the default process group, for which torch has no public name."""
    return sys.modules["torch.distributed"].distributed_c10d._get_default_store()  # noqa: SLF001
