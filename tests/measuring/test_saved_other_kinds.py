"""What recurrent, dense, residual and vision networks keep for their backward pass, in real torch on this CPU."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")

from plain_steps import PlainStep, one_thread, plain_setting

from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:LSTM with projections")]

MLP = {"hidden_size": 96, "num_layers": 3, "input_size": 40, "num_classes": 10}
LM = {"hidden_size": 64, "num_layers": 2, "vocab_size": 300}
FEATURES = {"hidden_size": 48, "num_layers": 2, "input_size": 20, "output_size": 5}
LABELS = {"hidden_size": 48, "num_layers": 2, "input_size": 20, "num_classes": 7}
RESNET = {"depth": 18, "image_size": 64, "hidden_size": 16, "num_classes": 10}
VIT = {
    "hidden_size": 48,
    "num_layers": 2,
    "num_attention_heads": 4,
    "image_size": 48,
    "patch_size": 8,
    "num_classes": 10,
}
BATCH, IMAGES = {"micro_batch_size": 64}, {"micro_batch_size": 4}
TEXT = {"micro_batch_size": 8, "sequence_length": 24}
BF16, AUTOCAST = {"precision": "bf16"}, {"precision": "autocast"}
CHECKPOINTED, EAGER = {"checkpointing": "full"}, {"attention": "eager"}

CASES = [
    ("mlp", MLP, BATCH),
    ("mlp", {**MLP, "norm": "none", "activation": "relu"}, BATCH),
    ("mlp", {**MLP, "norm": "batchnorm", "activation": "tanh", "dropout": 0.1}, {**BATCH, **BF16}),
    ("mlp", {**MLP, "norm": "groupnorm", "activation": "silu"}, {**BATCH, **AUTOCAST}),
    ("mlp", {**MLP, "norm": "rmsnorm", "activation": "gelu_new", "dropout": 0.1}, BATCH),
    ("mlp", {**MLP, "norm": "rmsnorm", "activation": "relu"}, {**BATCH, **BF16}),
    ("mlp", {"hidden_size": 80, "output_size": 3, "norm": "none"}, {**BATCH, **AUTOCAST}),
    ("mlp", {**MLP, "num_layers": 5}, {**BATCH, **CHECKPOINTED}),
    ("mlp", {**MLP, "norm": "none", "activation": "relu", "dropout": 0.2}, {**BATCH, **CHECKPOINTED}),
    ("bag", {"hidden_size": 64, "vocab_size": 500, "num_classes": 20}, TEXT),
    ("bag", {"hidden_size": 64, "vocab_size": 500, "num_layers": 2, "output_size": 2}, {**TEXT, **AUTOCAST}),
    ("rnn", LM, TEXT),
    ("rnn", {**FEATURES, "bidirectional": True, "activation": "tanh"}, {**TEXT, **BF16}),
    ("rnn", {**LABELS, "dropout": 0.1}, {**TEXT, **AUTOCAST}),
    ("gru", {**LM, "bidirectional": True}, TEXT),
    ("gru", {**FEATURES, "dropout": 0.1}, {**TEXT, **AUTOCAST}),
    ("gru", {**LABELS, "num_layers": 3}, {**TEXT, **BF16}),
    ("lstm", LM, TEXT),
    ("lstm", {**LM, "num_layers": 1, "tie_word_embeddings": False}, {**TEXT, **AUTOCAST}),
    ("lstm", {**FEATURES, "bidirectional": True, "dropout": 0.1}, TEXT),
    ("lstm", {**LABELS, "bidirectional": True}, {**TEXT, **AUTOCAST}),
    ("lstm", LABELS, {**TEXT, **BF16}),
    ("lstm", {**LM, "projection_size": 24}, TEXT),
    ("lstm", {**FEATURES, "projection_size": 24, "bidirectional": True}, {**TEXT, **BF16}),
    ("lstm", LM, {**TEXT, **CHECKPOINTED}),
    ("resnet", RESNET, IMAGES),
    ("resnet", {**RESNET, "image_size": 75, "hidden_size": 8}, {**IMAGES, **BF16}),
    ("resnet", {**RESNET, "depth": 50}, IMAGES),
    ("resnet", {**RESNET, "depth": 50, "hidden_size": 8}, {**IMAGES, **AUTOCAST}),
    ("resnet", {**RESNET, "depth": 34}, {**IMAGES, **CHECKPOINTED}),
    ("resnet", {**RESNET, "norm": "groupnorm", "hidden_size": 32}, IMAGES),
    ("resnet", {**RESNET, "norm": "groupnorm", "hidden_size": 32, "depth": 50}, {**IMAGES, **AUTOCAST}),
    ("vit", VIT, IMAGES),
    ("vit", {**VIT, "intermediate_size": 100, "activation": "relu"}, {**IMAGES, **BF16}),
    ("vit", VIT, {**IMAGES, **AUTOCAST}),
    ("vit", {**VIT, "dropout": 0.1}, IMAGES),
    ("vit", {**VIT, "dropout": 0.1, "num_attention_heads": 2}, {**IMAGES, **AUTOCAST}),
    ("vit", VIT, {**IMAGES, **EAGER}),
    ("vit", {**VIT, "dropout": 0.1}, {**IMAGES, **EAGER, **AUTOCAST}),
    ("vit", {**VIT, "num_layers": 4}, {**IMAGES, **CHECKPOINTED}),
]


def named(case):
    """The case in few words."""
    kind, dimensions, setting = case
    return f"{kind}-" + "-".join(f"{name}={value}" for name, value in {**dimensions, **setting}.items())


@pytest.mark.parametrize("case", CASES, ids=named)
def test_kept_bytes_are_those_of_real_torch(case):
    """Parameters are exact, and saved storages within 1 % of what autograd packs (2 % where checkpointed)."""
    kind, dimensions, more = case
    network, setting = Network(kind=kind, implementation="torch", **dimensions), plain_setting(**more)
    parts = KINDS[kind](network, setting)
    if not PlainStep.runs_in_onednn(network, setting):
        pytest.skip("this CPU runs LSTM in two bytes step by step")
    with one_thread():
        step = PlainStep(network, setting)
        measured = step.saved()
    assert counted(parts) == step.parameters()
    checkpointed = setting.checkpointing == "full"
    expected = sum(part.repeat * bytes_kept(part, checkpointed=checkpointed) for part in parts)
    assert expected == pytest.approx(measured, rel=0.02 if checkpointed else 0.01)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "autocast"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_hugging_faces_vit_keeps_what_its_ledger_says(attention, precision, dropout):
    """Real ViTForImageClassification, against the ledger's rows for this device kind: within 1 %, parameters exact."""
    transformers = pytest.importorskip("transformers")
    network = Network(kind="vit", dropout=dropout, **VIT)
    setting = plain_setting(precision=precision, attention=attention, **IMAGES)
    model = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=192,
            image_size=48,
            patch_size=8,
            num_labels=10,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            attn_implementation=attention,
        )
    )
    with one_thread():
        step = PlainStep(network, setting, model=model)
        measured = step.saved()
    parts = KINDS["vit"](network, setting)
    assert counted(parts) == step.parameters()
    assert sum(part.repeat * part.saved for part in parts) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case[0] in ("mlp", "bag", "resnet") and "checkpointing" not in case[2]]
    + [
        ("vit", {**VIT, "hidden_size": 64, "dropout": 0.1}, IMAGES),
        ("vit", VIT, {**IMAGES, **EAGER, **AUTOCAST}),
    ],
    ids=named,
)
def test_cuda_rows_agree_with_emulated_kernels(case):
    """Not a GPU's word: what CUDA's kernels save, emulated on CPU tensors, within 1 % of the cuda formulas."""
    kind, dimensions, more = case
    network = Network(kind=kind, implementation="torch", **dimensions)
    setting = replace(plain_setting(**more), device_kind="cuda")
    with one_thread():
        measured = PlainStep(network, setting).saved()
    expected = sum(part.repeat * part.saved for part in KINDS[kind](network, setting))
    assert expected == pytest.approx(measured, rel=0.01)


def counted(parts):
    """Parameters of all parts, a tied one once."""
    return sum(part.repeat * weight.count for part in parts for weight in part.weights if not weight.tied)


def bytes_kept(part, *, checkpointed):
    """Bytes that one copy of a part keeps."""
    return part.boundary if checkpointed and part.checkpointable and part.place == "body" else part.saved
