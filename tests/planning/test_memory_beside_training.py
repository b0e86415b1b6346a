"""Evaluation and saving: the states stay, nothing is kept for a backward pass."""

import pytest
from plan_of import amount, plan_of

from launcher.spec.launch import Launch
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.training import Evaluation

A100 = {"devices": 8, "device": "a100-sxm-80gb", "micro_batch_size": 8}


def memory_of(**keys):
    return plan_of(**{**A100, **keys}).memory


def test_no_evaluation_has_no_peak():
    """A recipe that names no evaluation gets none; saving is always possible."""
    memory = memory_of()
    assert memory.evaluation_peak_bytes is None
    assert memory.save_peak_bytes < memory.peak_bytes


def test_an_evaluation_holds_states_and_one_part_at_work():
    """Between the states alone and the training peak at the same batch; it grows with its own batch."""
    every = amount("10 steps")
    same = memory_of(evaluation=Evaluation(every=every))
    large = memory_of(evaluation=Evaluation(every=every, batch_size=64))
    assert same.save_peak_bytes < same.evaluation_peak_bytes < same.peak_bytes
    assert large.evaluation_peak_bytes > same.evaluation_peak_bytes
    assert large.peak_bytes == same.peak_bytes


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_saving_gathers_where_weights_are_shared(stage):
    """ZeRO 3 gathers one part, the largest: GPT-2's embeddings, 2 bytes each; lower stages gather nothing."""
    data = DataParallel(strategy="zero", stage=stage)
    memory = memory_of(parallel=Parallel(data=data), launch=Launch(engine="deepspeed"))
    names = ("parameters", "master_weights", "optimizer_states", "gathered_parameters")
    beside = ("workspaces", "context", "communicators")
    states = sum(memory.components.get(name, 0) for name in (*names, *beside))
    gathered = 2 * (50257 + 1024) * 768 if stage == 3 else 0
    assert memory.save_peak_bytes == states + gathered
