"""What every rank of the short collective runs: an all-reduce with its sum checked, and rates within and between hosts.

Started by the recipe's engine like a training script. A rank that waits too long says where and leaves: collectives
between consumer cards can hang for ever (https://github.com/NVIDIA/nccl-tests/issues/117).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

__all__ = ["BEGIN", "END", "WAITED", "main"]

BEGIN, END = "<batchwright-collective>", "</batchwright-collective>"
WAITED = "batchwright-collective: "
_MEET_SECONDS = 60.0
_TIMES = 5
_WAIT_EXIT = 75


def main(argv: Sequence[str]) -> None:
    """backend, seconds for each measurement, bytes of the tensor."""
    import torch
    import torch.distributed as dist

    backend, seconds, size = argv[0], float(argv[1]), int(argv[2])
    local = int(os.environ.get("LOCAL_RANK", "0"))  # noqa: TID251 - the engine's word to this process
    if backend == "gloo":
        device = torch.device("cpu")
    else:
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    with _watched("meeting the other ranks", _MEET_SECONDS):
        dist.init_process_group(backend, timeout=timedelta(seconds=_MEET_SECONDS))
    world = _World(device=device, size=size, seconds=seconds)
    found = world.measure()
    if dist.get_rank() == 0:
        print(f"{BEGIN}{json.dumps(found)}{END}", flush=True)
    dist.destroy_process_group()


class _World:
    """The ranks, and a tensor of each."""

    def __init__(self, *, device: Any, size: int, seconds: float) -> None:
        import torch
        import torch.distributed as dist

        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self._device, self._seconds = device, seconds
        self._tensor = torch.ones(size // 4, dtype=torch.float32, device=device)
        self.hosts: list[str] = [""] * self.count

    def measure(self) -> dict[str, Any]:
        """Per rank: host, whether its sum was right, seconds of each measurement."""
        import torch.distributed as dist

        with _watched("telling the others of this host", self._seconds):
            dist.all_gather_object(self.hosts, socket.gethostname())
        own: dict[str, Any] = {"rank": self.rank, "host": self.hosts[self.rank]}
        with _watched("the all-reduce", self._seconds):
            own["correct"] = self._sum_is_right()
            own["seconds"] = self._timed(lambda: dist.all_reduce(self._tensor))
        own["within"] = self._within()
        own["between"] = self._between()
        every: list[Any] = [None] * self.count
        with _watched("collecting what was measured", self._seconds):
            dist.all_gather_object(every, own)
        return {"ranks": every, "bytes": self._tensor.numel() * 4}

    def _sum_is_right(self) -> bool:
        import torch.distributed as dist

        self._tensor.fill_(self.rank + 1.0)
        dist.all_reduce(self._tensor)
        wanted = self.count * (self.count + 1) / 2
        right = bool((self._tensor == wanted).all())
        self._tensor.zero_()
        return right

    def _within(self) -> float | None:
        """Seconds of an all-reduce between the ranks of this host alone; one host after the other."""
        import torch.distributed as dist

        own = None
        names = list(dict.fromkeys(self.hosts))
        for name in names if len(names) > 1 else ():
            ranks = [rank for rank, host in enumerate(self.hosts) if host == name]
            if len(ranks) < 2:
                continue
            with _watched(f"the all-reduce within {name}", self._seconds):
                group = dist.new_group(ranks)
                if self.rank in ranks:
                    dist.all_reduce(self._tensor, group=group)
                    own = self._timed(partial(dist.all_reduce, self._tensor, group=group))
                dist.barrier()
        return own

    def _between(self) -> dict[str, float]:
        """Seconds of a transfer between the first ranks of two hosts that are neighbours in the list, by the other."""
        firsts = [self.hosts.index(name) for name in dict.fromkeys(self.hosts)]
        pairs = [(firsts[at], firsts[(at + 1) % len(firsts)]) for at in range(len(firsts))]
        found = {}
        for one, other in pairs[:1] if len(firsts) == 2 else pairs if len(firsts) > 2 else ():
            found.update(self._pair(one, other))
        return found

    def _pair(self, one: int, other: int) -> dict[str, float]:
        import torch.distributed as dist

        def there_and_back() -> None:
            if self.rank == one:
                dist.send(self._tensor, other)
                dist.recv(self._tensor, other)
            else:
                dist.recv(self._tensor, one)
                dist.send(self._tensor, one)

        found: dict[str, float] = {}
        with _watched(f"a transfer between {self.hosts[one]} and {self.hosts[other]}", self._seconds):
            if self.rank in (one, other):
                there_and_back()
                partner = other if self.rank == one else one
                found[self.hosts[partner]] = self._timed(there_and_back) / 2
            dist.barrier()
        return found

    def _timed(self, act: Callable[[], object]) -> float:
        """Seconds of one act, of several."""
        self._settle()
        start = time.perf_counter()
        for _ in range(_TIMES):
            act()
        self._settle()
        return (time.perf_counter() - start) / _TIMES

    def _settle(self) -> None:
        if self._device.type == "cuda":
            import torch

            torch.cuda.synchronize(self._device)


@contextmanager
def _watched(what: str, seconds: float) -> Iterator[None]:
    """Ends this process, with words, when the block takes longer."""
    rank = os.environ.get("RANK", "?")  # noqa: TID251 - the engine's word to this process

    def give_up() -> None:
        where = f"rank {rank} on {socket.gethostname()}"
        print(f"{WAITED}{where} waited {seconds:g} s in {what}", file=sys.stderr, flush=True)
        os._exit(_WAIT_EXIT)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


if __name__ == "__main__":
    main(sys.argv[1:])
