"""The same training by formula, in one process, without anything of ours but the order of the samples."""

from __future__ import annotations

import torch
from exactness_cases import BATCH, CLIPPING, FINAL, PEAK, WARMUP
from exactness_model import build_model, build_optimizer, collate, dataset


def reference_rate(samples, total):
    """Linear from 0 to the peak over the warmup, then linear to the final rate at the end."""
    if samples <= WARMUP:
        return PEAK * samples / WARMUP
    return PEAK - (PEAK - FINAL * PEAK) * (samples - WARMUP) / (total - WARMUP)


def train_reference(order, *, variant, steps, rows_of=None, rates=None):
    """Parameters after some steps; order: the sample indices of every step. One sequence at a time.

    rows_of: dataset of a step, numbered from 0. rates: of every step; by reference_rate when None.
    """
    rows, model = dataset(), build_model()
    optimizer = build_optimizer("adamw" if variant == "adamw" else "sgd", model.parameters(), PEAK)
    total, seen, norms = sum(len(indices) for indices in order), 0, []
    for number, indices in enumerate(order[:steps]):
        rows = rows if rows_of is None else rows_of(number)
        tokens = sum(int((rows[index]["labels"] != -100).sum()) for index in indices)
        for index in indices:
            (model(collate([rows[index]])).sum() / tokens).backward()
        norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
        norms.append(float(norm))
        if variant == "clipped":
            for parameter in model.parameters():
                parameter.grad *= min(1.0, CLIPPING / float(norm))
        seen += len(indices)
        for group in optimizer.param_groups:
            group["lr"] = reference_rate(seen, total) if rates is None else rates[number]
        optimizer.step()
        optimizer.zero_grad()
    return {name: value.detach() for name, value in model.named_parameters()}, norms


def train_naive(order, *, micro, accumulation, ranks):
    """What a loop does that averages each micro-batch by itself and then averages the averages."""
    rows, model = dataset(), build_model()
    optimizer = build_optimizer("sgd", model.parameters(), PEAK)
    total, seen = sum(len(indices) for indices in order), 0
    for indices in order:
        for first in range(0, BATCH, micro):
            batch = collate([rows[index] for index in indices[first : first + micro]])
            mean = model(batch).sum() / (batch["labels"] != -100).sum()
            (mean / accumulation / ranks).backward()
        seen += len(indices)
        for group in optimizer.param_groups:
            group["lr"] = reference_rate(seen, total)
        optimizer.step()
        optimizer.zero_grad()
    return {name: value.detach() for name, value in model.named_parameters()}


def distance(found, expected):
    """Largest difference of any entry, relative to its tensor's largest entry."""
    assert found.keys() == expected.keys()
    return max(
        float((found[name] - value).abs().max() / value.abs().max()) for name, value in expected.items()
    )
