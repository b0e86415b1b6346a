"""What `batchwright trace` prints: the sums, the modules, and how far they extend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.reporting.columns import labelled, table
from launcher.units import show_count

__all__ = ["trace_text"]

_WORTH_A_ROW = 0.005
"""Share of the parameters or of the saved bytes."""
_DEEPEST = 5
"""Parts of a path that are shown."""
_WORDS = {"b": "b", "s": "s", "t": "b*s", "s*s": "s*s", "t*s": "b*s*s"}


def trace_text(*, trace: Mapping[str, Any], path: str, cached: bool) -> list[str]:
    """Lines of at most 100 characters."""
    return [
        *_head(trace),
        "",
        *_sums(trace),
        "",
        *table(("module", "parameters", "saved", "share"), _rows(trace)),
        "",
        *_extent(trace),
        *labelled("file", [f"{path}{' (nothing has changed, not traced again)' if cached else ''}"]),
    ]


def _head(trace: Mapping[str, Any]) -> list[str]:
    sizes, totals = trace["sizes"], trace["totals"]
    length = f", length {sizes['sequence_length']}" if sizes["sequence_length"] > 1 else ""
    numbers = f"{trace['compute']}{' autocast' if trace['autocast'] else ''}"
    kernels = "CPU" if trace["device_kind"] == "cpu" else "CUDA"
    return [
        f"{trace['module']}   {_size(totals['peak_bytes'])} at the {_PHASES[totals['peak_phase']]}",
        f"micro-batch {sizes['micro_batch_size']}{length}, {numbers}, {kernels} kernels, loss: {trace['loss']}",
    ]


_PHASES = {
    "forward-end": "end of the forward pass",
    "backward": "backward pass",
    "optimizer-step": "optimizer step",
}


def _sums(trace: Mapping[str, Any]) -> list[str]:
    totals, optimizer = trace["totals"], trace["optimizer"]
    trained = totals["trained"]
    of = "" if trained == totals["parameters"] else f", {show_count(trained)} trained"
    states = f"{optimizer['name']} ({optimizer['implementation']})"
    rows = [
        ("parameters", _size(totals["parameter_bytes"]), show_count(totals["parameters"]) + of),
        ("gradients", _size(totals["gradient_bytes"]), ""),
        (
            "optimizer states",
            _size(totals["optimizer_state_bytes"]),
            states if optimizer["how"] == "stepped" else f"not traced: {optimizer['how']}",
        ),
        ("saved for backward", _size(totals["saved_bytes"]), ""),
        ("batch and buffers", _size(totals["batch_bytes"] + totals["buffer_bytes"]), ""),
        *((f"peak, {_PHASES[name]}", _size(size), "") for name, size in totals["phases"].items()),
    ]
    wide = max(len(row[0]) for row in rows)
    return [f"{name:<{wide}}  {size:>10}  {words}".rstrip() for name, size, words in rows]


def _rows(trace: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Modules, equal ones of a list together, each with all that is inside it; what a module does itself below it."""
    sums = _by_path(trace["modules"])
    all_parameters, all_saved = max(1, trace["totals"]["parameters"]), max(1, trace["totals"]["saved_bytes"])

    def row(name: str, parameters: int, saved: int) -> tuple[str, str, str, str]:
        share = f"{100 * saved / all_saved:.1f} %" if saved else "-"
        return name, show_count(parameters) if parameters else "-", _size(saved) if saved else "-", share

    rows = []
    for path in _tree(list(sums)):
        one, depth = sums[path], path.count(".")
        if depth < _DEEPEST and one.worth_a_row(all_parameters, all_saved):
            times = f" ({len(one.members)} x)" if path.endswith("*") else ""
            rows.append(row(f"{'  ' * depth}{path.rpartition('.')[2]}{times}", one.parameters, one.saved))
            if one.own < one.saved and one.own > _WORTH_A_ROW * all_saved:
                rows.append(row(f"{'  ' * depth}  (by itself)", 0, one.own))
    own = [module for module in trace["modules"] if not module["path"]]
    return rows + [row("(by itself)", one["parameters"], one["saved_bytes"]) for one in own]


@dataclass(slots=True)
class _Sum:
    """Of a module, or of equal ones."""

    parameters: int = 0
    saved: int = 0
    own: int = 0
    """Bytes that came outside the modules inside."""
    members: set[str] = field(default_factory=set)

    def worth_a_row(self, parameters: int, saved: int) -> bool:
        return max(self.parameters / parameters, self.saved / saved) >= _WORTH_A_ROW


def _by_path(modules: Sequence[Mapping[str, Any]]) -> dict[str, _Sum]:
    """Sums by path, with `*` for numbers; the module itself is left out."""
    found: dict[str, _Sum] = {}
    for module in modules:
        parts = module["path"].split(".") if module["path"] else []
        for end in range(1, len(parts) + 1):
            one = found.setdefault(".".join("*" if part.isdigit() else part for part in parts[:end]), _Sum())
            one.parameters += module["parameters"]
            one.saved += module["saved_bytes"]
            one.own += module["saved_bytes"] if end == len(parts) else 0
            one.members.add(".".join(parts[:end]))
    return found


def _tree(paths: Sequence[str]) -> list[str]:
    """Children after their parent, otherwise as they came."""
    first = {path: at for at, path in enumerate(paths)}

    def key(path: str) -> tuple[int, ...]:
        parts = path.split(".")
        return tuple(first[".".join(parts[:end])] for end in range(1, len(parts) + 1))

    return sorted(paths, key=key)


def _extent(trace: Mapping[str, Any]) -> list[str]:
    """How far the numbers go beyond the size that was traced, and the polynomial of what is saved."""
    names = {"micro_batch_size": "micro-batch", "sequence_length": "length", "num_layers": "layers"}
    lines = []
    for key, name in names.items():
        extends = trace["extends"][key]
        if extends["exact"]:
            lines.append(
                f"{name}: exact, from {_list(extends['fitted_at'])}; to the byte at {_list(extends['checked_at'])}"
            )
        elif extends["reason"] != "there is none":
            lines.append(f"{name}: not extended: {extends['reason']}")
    if trace["parts_of_one"]:
        lines.append("micro-batch 1 is traced by itself: torch copies less along a dimension of one")
    lines.append(f"saved = {_saved(trace)} bytes")
    return labelled("extends", lines)


def _saved(trace: Mapping[str, Any]) -> str:
    """Polynomial of all saved bytes in micro-batch b, length s and layers n."""
    total: dict[str, float] = {}
    for part in trace["parts"]:
        for times, repeat in part["repeat"].items():
            for name, coefficient in part["saved"].items():
                key = "*".join(each for each in (_WORDS.get(name, ""), "" if times == "1" else "n") if each)
                total[key] = total.get(key, 0) + repeat * coefficient
    terms = sorted(((key, number) for key, number in total.items() if number), key=lambda term: -len(term[0]))
    words = " + ".join(f"{number:,.12g} {key}".strip() for key, number in terms)
    return words.replace("+ -", "- ") or "0"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "-"


def _size(size: int) -> str:
    if size >= 2**30:
        return f"{size / 2**30:.2f} GiB"
    if size >= 2**20:
        return f"{size / 2**20:.1f} MiB"
    return f"{size / 2**10:.1f} KiB" if size >= 2**10 else f"{size} B"
