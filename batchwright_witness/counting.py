"""Counts of this process: samples and tokens by the place where they were seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Counts", "Seen", "rows_and_tokens"]

DEPTH = 3
"""How deep a batch is searched for its first tensor: `{"inputs": (ids, mask)}` is 2."""
MEMBERS = 16
"""How many members of a mapping or sequence are looked at: a batch may be a list of thousands of strings."""


class Seen(NamedTuple):
    """What one process saw between two optimizer steps."""

    numbers: dict[str, int]
    """Samples by `loader0 rows` (first dimension of the batch), `loader0 drawn` (indices the sampler gave), `forward
    rows` (first dimension of the model's input), and tokens by `loader0 tokens`, `forward tokens`."""
    unsure: tuple[str, ...]
    """Numbers that an epoch's begin or end falls into: read-ahead and partial batches make them differ."""


class Counts:
    """Running totals. A loader that reads ahead is ahead by a constant, which differences do not see."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def add(self, name: str, number: int | None) -> None:
        """Samples or tokens, where they could be seen."""
        if number is not None:
            self.totals[name] = self.totals.get(name, 0) + number

    def batch(self, source: str, batch: Any) -> None:
        """One batch handed to the script or to the model."""
        rows, tokens = rows_and_tokens(batch)
        self.add(f"{source} rows", rows)
        self.add(f"{source} tokens", tokens)

    def edge(self, source: str, *, ended: bool) -> None:
        """A loader began an epoch, or came to its end."""
        self.add(f"{source} edges", 1)
        if ended:
            self.add("all ends", 1)

    def forget(self, source: str) -> None:
        """A loader is gone; evaluation makes a new one each time."""
        for name in [name for name in self.totals if name.startswith(f"{source} ")]:
            del self.totals[name]

    def since(self, mark: Mapping[str, int]) -> Seen:
        """What came since `mark`, an earlier copy of the totals."""
        new = {
            name: total - mark.get(name, 0)
            for name, total in self.totals.items()
            if total != mark.get(name, 0)
        }
        numbers = {
            name: number for name, number in new.items() if name.split(" ")[1] not in {"edges", "ends"}
        }
        unsure = [
            name
            for name in numbers
            if f"{name.split(' ')[0]} edges" in new or ("all ends" in new and name.startswith("forward"))
        ]
        return Seen(numbers, tuple(unsure))


def rows_and_tokens(batch: Any) -> tuple[int | None, int | None]:
    """First dimension of the first tensor, and the size of the first two-dimensional whole-number tensor."""
    rows: int | None = None
    for tensor in _tensors(batch, DEPTH):
        if rows is None:
            rows = int(tensor.shape[0])
        if len(tensor.shape) == 2 and _holds_whole_numbers(tensor):
            return rows, int(tensor.shape[0]) * int(tensor.shape[1])
    return rows, None


def _tensors(batch: Any, depth: int) -> Iterator[Any]:
    """Everything with a shape; `input_ids` before its companions."""
    if isinstance(batch, Mapping):
        if "input_ids" in batch:
            yield from _tensors(batch["input_ids"], depth - 1)
        parts = list(batch.values())[:MEMBERS]
    elif isinstance(batch, list | tuple):
        parts = list(batch[:MEMBERS])
    else:
        shape = getattr(batch, "shape", None)
        if isinstance(shape, tuple) and shape and hasattr(batch, "dtype"):
            yield batch
        return
    if depth > 0:
        for part in parts:
            yield from _tensors(part, depth - 1)


def _holds_whole_numbers(tensor: Any) -> bool:
    """int32 and int64, as token ids are; not bool masks, not pixels."""
    return str(tensor.dtype).rpartition(".")[2] in {"int32", "int64"}
