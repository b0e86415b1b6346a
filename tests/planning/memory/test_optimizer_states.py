"""Optimizer states per parameter, and what one step holds for a moment."""

import pytest

from launcher.planning.memory.setting import Formats, Setting
from launcher.planning.memory.states import state_bytes, step_of


def per_parameter(optimizer, *, matrix=True, numbers=1_048_576, **options):
    setting = Setting(optimizer=optimizer, **options)
    return state_bytes(setting=setting, numbers=numbers, largest=numbers, matrix=matrix) / numbers


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("sgd", 0),
        ("adam", 8),
        ("adamw", 8),
        ("rmsprop", 4),
        ("lamb", 8),
        ("lars", 4),
        ("lion", 4),
        ("muon", 4),
    ],
)
def test_fp32_states(optimizer, expected):
    """Adam and LAMB keep two numbers per parameter, RMSprop, LARS, Lion and Muon one, plain SGD none."""
    assert per_parameter(optimizer) == expected


def test_momentum():
    """Momentum adds one number to SGD and RMSprop."""
    assert per_parameter("sgd", momentum=0.9) == 4
    assert per_parameter("rmsprop", momentum=0.9) == 8
    assert per_parameter("adamw", momentum=0.9) == 8


def test_states_take_the_parameters_format():
    """Torch makes states like the parameter: bf16 halves them."""
    assert per_parameter("adamw", formats=Formats(state_bytes=2)) == 4


def test_8bit():
    """8-bit Adam keeps two bytes and, for every 256 numbers, two fp32 constants.

    Source: bitsandbytes@0.49 bitsandbytes/optim/optimizer.py (blocksize 256).
    """
    assert per_parameter("adamw-8bit") == 2 + 2 * 4 / 256


def test_muon_leaves_the_ends_to_adam():
    """Embeddings and head are Adam's."""
    assert per_parameter("muon", matrix=False) == 8


def test_adafactor_is_factored():
    """Adafactor keeps a row and a column of every matrix: 8 KiB for 1024 x 1024."""
    assert per_parameter("adafactor") * 1_048_576 == 8 * 1024


def step(optimizer="adamw", **options):
    found = step_of(Setting(optimizer=optimizer, **options))
    return found.everything, found.largest


def test_foreach_doubles_parameters():
    """Foreach holds one more copy of the parameters.

    Source: pytorch@v2.13.0 torch/optim/optimizer.py, on foreach: "uses ~ sizeof(params) more peak memory than the
    for-loop version".
    """
    assert step(optimizer_implementation="foreach") == (1, 0)


def test_loop_and_fused():
    """A loop holds the square root and its quotient of one tensor, a fused kernel nothing."""
    assert step(optimizer_implementation="for-loop") == (0, 2)
    assert step(optimizer_implementation="fused") == (0, 0)
    assert step("sgd", optimizer_implementation="for-loop") == (0, 0)
    assert step("adamw-8bit", optimizer_implementation="for-loop") == (0, 0)


@pytest.mark.parametrize(
    ("device", "engine", "expected"),
    [
        ("cuda", "torchrun", (1, 0)),
        ("cuda", "accelerate", (1, 0)),
        ("cpu", "torchrun", (0, 2)),
        ("cuda", "deepspeed", (0, 0)),
        ("cpu", "deepspeed", (0, 2)),
        ("cuda", "megatron", (0, 0)),
    ],
)
def test_auto(device, engine, expected):
    """Torch loops on CPU and uses foreach on GPUs, where DeepSpeed and Megatron bring fused kernels."""
    assert step(device_kind=device, engine=engine) == expected


def test_muon_has_no_foreach():
    """Torch's Muon steps one matrix after the other."""
    assert step("muon", optimizer_implementation="foreach") == (0, 2)
