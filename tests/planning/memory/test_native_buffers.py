"""Bucket sizes that a recipe hands to DeepSpeed by its native keys."""

import pytest

from launcher.api import load_recipe, plan

RECIPE = {
    "global_batch_size": 8,
    "sequence_length": 64,
    "hidden_size": 512,
    "cluster": {"devices_per_node": 4, "device": "h100-sxm-80gb"},
    "parallel": {"data": {"strategy": "zero", "stage": 2}},
    "optimizer": {"learning_rate": 1e-3},
}


def buffers(native):
    launch = {"engine": "deepspeed", "script": "train.py", "native": {"deepspeed": native}}
    return plan(load_recipe({**RECIPE, "launch": launch})).memory.components["communication_buffers"]


def test_a_smaller_bucket_takes_less():
    """The bucket that is written is the one that is counted."""
    assert buffers({"zero_optimization": {"reduce_bucket_size": 1000}}) < buffers({})


@pytest.mark.parametrize(
    "native",
    [
        {"zero_optimization": {"reduce_bucket_size": "auto", "overlap_comm": "auto"}},
        {"zero_optimization": {"reduce_bucket_size": None}},
    ],
)
def test_what_is_no_number_is_as_if_it_were_absent(native):
    """`auto` and other values that only DeepSpeed or its callers can read leave the usual sizes."""
    assert buffers(native) == buffers({})
