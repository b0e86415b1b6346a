"""What a check says: a line for each file that is in order, and one line that counts."""

from __future__ import annotations

import json

from launcher.spec.checked import Checked, CheckedFile
from launcher.spec.cluster import Cluster
from launcher.spec.plan import BatchPlan, RunPlan
from launcher.units import show_bytes, show_count

__all__ = ["batch_words", "good_lines", "peak_words", "summary"]

_WIDTH = len("unknown-memory")


def good_lines(checked: Checked) -> list[str]:
    """One line for each file without an error: verdict, name, and what the batch comes to."""
    return [_good(file) for file in checked.files if _is_good(file)]


def summary(checked: Checked) -> str:
    """`12 recipes, 2 clusters: 3 problems, 1 warning in 2 files; 4 other YAML files skipped`."""
    kinds = [(kind, checked.number(kind)) for kind in ("recipe", "cluster", "catalog")]
    files = ", ".join(_counted(number, kind) for kind, number in kinds if number) or "no recipe"
    errors, warnings = checked.count("error"), checked.count("warning")
    found = [_counted(errors, "problem")] if errors or not warnings else []
    found += [_counted(warnings, "warning")] if warnings else []
    where = f" in {_counted(checked.bad_files, 'file')}" if checked.bad_files else ""
    skipped = len(checked.skipped)
    others = f"; {_counted(skipped, 'other YAML file')} skipped" if skipped else ""
    return f"{files}: {', '.join(found)}{where}{others}"


def batch_words(plan: RunPlan) -> str:
    """How the global batch is cut: `480 = 12 micro x 5 accumulation x 8 ranks, 491,520 tokens per step`."""
    if not plan.stages:
        return _cut(plan.batch)
    first, last = plan.stages[0].batch, plan.stages[-1].batch
    if first == last:
        return f"{_counted(len(plan.stages), 'stage')}: {_cut(last)}"
    return f"{len(plan.stages)} stages from {show_count(first.global_batch_size)} to {_cut(last)}"


def peak_words(plan: RunPlan) -> str:
    """`61.2 of 79.1 GiB`; empty where nobody knows."""
    memory = plan.memory
    if memory is None:
        return ""
    peak = show_bytes(memory.peak_bytes)
    return peak if memory.usable_bytes is None else f"{peak.split()[0]} of {show_bytes(memory.usable_bytes)}"


def _is_good(file: CheckedFile) -> bool:
    """Whether nothing is wrong with it; with a recipe that has no plan something is, in another file."""
    if file.kind == "other" or file.count("error"):
        return False
    return file.kind != "recipe" or file.plan is not None


def _good(file: CheckedFile) -> str:
    if file.plan is not None:
        verdict = "plan only" if not _starts(file.plan) else file.plan.verdict
        return f"{verdict:<{_WIDTH}}  {_one_line(file.path)}  {batch_words(file.plan)}"
    words = "ok" if file.cluster is None else _machines(file.cluster)
    return f"{file.kind:<{_WIDTH}}  {_one_line(file.path)}  {words}"


def _one_line(path: str) -> str:
    return path if path.isprintable() else json.dumps(path)[1:-1]


def _starts(plan: RunPlan) -> bool:
    return plan.launch.script is not None or plan.launch.module is not None


def _cut(batch: BatchPlan) -> str:
    idle = f" less {show_count(batch.idle_slots)} idle" if batch.idle_slots else ""
    text = (
        f"{show_count(batch.global_batch_size)} = {batch.micro_batch_size} micro x "
        f"{batch.gradient_accumulation_steps} accumulation x {_counted(batch.data_parallel_size, 'rank')}{idle}"
    )
    tokens = batch.tokens_per_step
    return text if tokens is None else f"{text}, {_counted(tokens, 'token')} per step"


def _machines(cluster: Cluster) -> str:
    if cluster.groups:
        return f"{_counted(len(cluster.groups), 'group')} of nodes"
    listed = len(cluster.devices or ()) or 1
    per_node = cluster.devices_per_node or listed
    nodes = cluster.nodes if isinstance(cluster.nodes, str) else show_count(cluster.nodes)
    return f"{nodes} node{'' if nodes == '1' else 's'} x {per_node} {cluster.device or 'cpu'}"


def _counted(number: int, noun: str) -> str:
    return f"{show_count(number)} {noun}{'' if number == 1 else 's'}"
