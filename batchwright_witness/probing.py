"""What a trial asks of a rank: end after a few optimizer steps, within a limit, and say what it took and saw.

Trials are the jobs of `batchwright probe`, `rehearse` and `selftest`.
"""

from __future__ import annotations

import functools
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from batchwright_witness.inspecting import inspected

__all__ = [
    "INSPECT",
    "LIMIT",
    "SAMPLES",
    "STEPS",
    "ProbeOrder",
    "confine",
    "probe_order",
    "probe_record",
    "relax",
]

STEPS = "BATCHWRIGHT_PROBE_STEPS"
"""Optimizer steps after which every rank ends with exit code 0."""
LIMIT = "BATCHWRIGHT_PROBE_LIMIT"
"""Bytes of private memory that this process may have; set on a CPU, where no device says stop."""
SAMPLES = "BATCHWRIGHT_PROBE_SAMPLES"
"""`longest`: the runtime takes the longest samples first; `ragged`: half of the first batch are the shortest."""
INSPECT = "BATCHWRIGHT_PROBE_INSPECT"
"""`1`: gradient, loss, parameters and optimizer state of every step are put on record."""

_LIBRARIES = ("torch", "deepspeed", "accelerate", "transformers")
_NOT_THE_SCRIPTS = frozenset({"site-packages", "dist-packages", ".batchwright"})
_OURS = Path(__file__).resolve().parents[1]


class ProbeOrder(NamedTuple):
    """A trial's wishes."""

    steps: int
    limit_bytes: int | None = None
    samples: str | None = None
    """longest, ragged; None: the planned order."""
    inspect: bool = False

    def environ(self) -> dict[str, str]:
        """The variables that say it, for probe_order to read."""
        said = {STEPS: str(self.steps), LIMIT: self.limit_bytes, SAMPLES: self.samples}
        return {
            **{name: str(value) for name, value in said.items() if value is not None},
            **({INSPECT: "1"} if self.inspect else {}),
        }


def probe_order(environ: Mapping[str, str]) -> ProbeOrder | None:
    """None in a job that is no trial."""
    steps, limit = environ.get(STEPS, ""), environ.get(LIMIT, "")
    if not steps.isdecimal():
        return None
    return ProbeOrder(
        steps=int(steps),
        limit_bytes=int(limit) if limit.isdecimal() else None,
        samples=environ.get(SAMPLES) or None,
        inspect=environ.get(INSPECT) == "1",
    )


def confine(order: ProbeOrder) -> None:
    """From here on an allocation beyond the limit fails, in this process and in workers that it forks.

    Other programs that it starts are free: a compiler (DeepSpeed and torch.compile call one) is no part of training.
    RLIMIT_DATA counts private writable memory, resident or not; what is mapped from files is left out.
    Source: getrlimit(2), Linux 4.7 and later.
    """
    if order.limit_bytes is None:
        return
    import subprocess

    _set_limit(order.limit_bytes)
    start = subprocess.Popen._execute_child  # type: ignore[attr-defined]  # noqa: SLF001

    @functools.wraps(start)
    def _execute_child(*arguments: Any, **keywords: Any) -> Any:
        before = resource.getrlimit(resource.RLIMIT_DATA)[0]
        relax()
        try:
            return start(*arguments, **keywords)
        finally:
            _set_limit(before)

    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]  # noqa: SLF001


def relax() -> None:
    """Room again, for the last words of a process that has run out of memory."""
    _set_limit(resource.getrlimit(resource.RLIMIT_DATA)[1])


def probe_record(*, steps: int) -> dict[str, Any]:
    """Peak memory of this process so far, in bytes, what it runs, and the optimizer steps it has done."""
    resident = _resident_peak()
    seen = inspected()
    return {
        "steps": steps,
        **(_device_peak() or {"peak_bytes": resident}),
        "host_bytes": resident,
        "versions": _versions(),
        "files": _files(),
        **({} if seen is None else {"inspected": seen}),
    }


def _set_limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _device_peak() -> dict[str, int] | None:
    """Bytes on the device that this process has used most; None where it has used none.

    The allocator keeps what it has reserved, so what the device holds now is what it held at the peak, but for what
    was given back in between.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    cuda = torch.cuda
    device = max(range(cuda.device_count()), key=cuda.max_memory_allocated)
    allocated, reserved = cuda.max_memory_allocated(device), cuda.max_memory_reserved(device)
    if not reserved:
        return None
    free, total = cuda.mem_get_info(device)
    return {
        "peak_bytes": int(total - free + reserved - cuda.memory_reserved(device)),
        "allocated_bytes": int(allocated),
        "reserved_bytes": int(reserved),
    }


def _resident_peak() -> int:
    """Largest resident size of this process, in bytes.

    Source: proc_pid_status(5), VmHWM; where there is no /proc, getrusage(2).
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _versions() -> dict[str, str]:
    loaded = {name: sys.modules.get(name) for name in _LIBRARIES}
    found = {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items() if module}
    return {"python": ".".join(map(str, sys.version_info[:3])), **found}


def _files() -> list[str]:
    """Absolute paths of what the script has imported from the folder it runs in."""
    here = Path.cwd().resolve()
    found = {str(path) for module in [*sys.modules.values()] if (path := _own_file(module, here))}
    return sorted(found)


def _own_file(module: ModuleType, here: Path) -> Path | None:
    name = getattr(module, "__file__", None)
    if not isinstance(name, str):
        return None
    path = Path(name).resolve()
    if not path.is_relative_to(here) or not path.is_file():
        return None
    ours = any(path.is_relative_to(_OURS / package) for package in ("launcher", "batchwright_witness"))
    return None if ours or _NOT_THE_SCRIPTS.intersection(path.parts) else path
