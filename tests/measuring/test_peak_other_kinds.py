"""The allocator's peak over a real training step of recurrent, dense, residual and vision networks on this CPU."""

import pytest

pytest.importorskip("torch")

from plain_steps import PlainStep, one_thread, plain_setting

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network

pytestmark = pytest.mark.torch

MLP = {"hidden_size": 256, "num_layers": 4, "input_size": 100, "num_classes": 10}
LM = {"hidden_size": 128, "num_layers": 2, "vocab_size": 1000}
FEATURES = {"hidden_size": 96, "num_layers": 2, "input_size": 40, "output_size": 5}
RESNET = {"depth": 18, "image_size": 64, "num_classes": 10}
VIT = {
    "hidden_size": 64,
    "num_layers": 3,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 8,
    "num_classes": 10,
}
SGD = {"optimizer": "sgd"}
ROWS = {"micro_batch_size": 2048}
TEXT = {"micro_batch_size": 16, "sequence_length": 64}
IMAGES = {"micro_batch_size": 8}
BF16, AUTOCAST, FULL = {"precision": "bf16"}, {"precision": "autocast"}, {"checkpointing": "full"}

CASES = [
    ("mlp", MLP, {**ROWS, **SGD}, "backward"),
    ("mlp", {**MLP, "norm": "none", "activation": "relu", "dropout": 0.1}, {**ROWS, **AUTOCAST}, "backward"),
    ("mlp", {**MLP, "norm": "groupnorm", "activation": "silu"}, {**ROWS, **BF16}, "backward"),
    ("mlp", {**MLP, "hidden_size": 512}, {"micro_batch_size": 16}, "optimizer-step"),
    ("mlp", {**MLP, "num_layers": 8}, {**ROWS, **SGD, **FULL}, "backward"),
    ("bag", {"hidden_size": 128, "vocab_size": 1000, "num_classes": 20}, TEXT, "optimizer-step"),
    ("rnn", {**LM, "tie_word_embeddings": False}, TEXT, "forward-end"),
    ("gru", FEATURES, {**TEXT, **SGD}, "forward-end"),
    ("gru", {**FEATURES, "bidirectional": True}, {**TEXT, **AUTOCAST}, "forward-end"),
    ("lstm", LM, TEXT, "forward-end"),
    ("lstm", FEATURES, {**TEXT, **SGD}, "backward"),
    ("lstm", {**FEATURES, "bidirectional": True, "dropout": 0.1}, {**TEXT, **BF16}, "backward"),
    ("lstm", {**LM, "hidden_size": 192, "num_layers": 1, "vocab_size": 4000}, {**TEXT, "micro_batch_size": 1, **SGD}, "backward"),
    ("resnet", {**RESNET, "hidden_size": 32, "image_size": 97}, {**IMAGES, **SGD}, "backward"),
    ("resnet", {**RESNET, "depth": 50, "hidden_size": 16, "image_size": 128}, {**IMAGES, **SGD}, "backward"),
    ("resnet", {**RESNET, "hidden_size": 32}, {**IMAGES, **AUTOCAST, **SGD}, "backward"),
    ("resnet", {**RESNET, "hidden_size": 32, "norm": "groupnorm"}, {**IMAGES, **SGD}, "backward"),
    ("resnet", {**RESNET, "hidden_size": 32}, {"micro_batch_size": 2}, "optimizer-step"),
    ("resnet", {**RESNET, "depth": 34, "hidden_size": 16, "image_size": 128}, {**IMAGES, **SGD, **FULL}, "backward"),
    ("vit", VIT, {**IMAGES, **SGD}, "backward"),
    ("vit", {**VIT, "dropout": 0.1, "num_layers": 2}, IMAGES, "backward"),
    ("vit", {**VIT, "num_layers": 6}, {**IMAGES, **SGD, **FULL}, "backward"),
]  # fmt: skip


def named(case):
    """The case in few words."""
    kind, dimensions, setting, _ = case
    return f"{kind}-" + "-".join(f"{name}={value}" for name, value in {**dimensions, **setting}.items())


@pytest.mark.parametrize("case", CASES, ids=named)
def test_peak_of_a_step_is_that_of_real_torch(case):
    """The estimate lies within 2 % of the profiler's memory events over a whole step, and names the phase."""
    kind, dimensions, more, phase = case
    network = Network(kind=kind, implementation="torch", **dimensions)
    setting = plain_setting(**{"optimizer": "adamw", **more})
    if not PlainStep.runs_in_onednn(network, setting):
        pytest.skip("this CPU runs LSTM in two bytes step by step")
    with one_thread():
        measured = PlainStep(network, setting).peak()
    (stage,) = estimate_memory(network=network, setting=setting).stages
    assert stage.allocated == pytest.approx(measured, rel=0.02)
    assert stage.phase == phase
