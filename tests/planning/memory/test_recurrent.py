"""Recurrent networks in parts: tokens or features in, every step or the last one out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.kinds.chain import Value, chain
from launcher.planning.memory.kinds.recurrent import recurrent
from launcher.planning.memory.kinds.recurrent_layers import Shape, kernels_of, layers_of, workspace
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting

FP32 = Setting(device_kind="cpu", micro_batch_size=16, sequence_length=64, formats=Formats(compute="fp32"))
CUDA = replace(FP32, device_kind="cuda")
LM = Network(kind="lstm", hidden_size=128, num_layers=2, vocab_size=1000)


def saved(parts):
    """Bytes kept by all parts."""
    return sum(part.repeat * part.saved for part in parts)


def counted(parts):
    """Parameters, a tied tensor once."""
    return sum(part.repeat * weight.count for part in parts for weight in part.weights if not weight.tied)


def of_layers(kind, *, steps, rows, hidden, layers, directions=1, kernels):
    """Bytes that the layers keep, without their input."""
    shape = Shape(
        rows=rows,
        steps=steps,
        given=hidden,
        hidden=hidden,
        state=hidden,
        directions=directions,
        layers=layers,
    )
    network = Network(kind=kind, hidden_size=hidden, num_layers=layers, bidirectional=directions == 2)
    tokens = Value(elements=rows * steps * hidden, width=4)
    kept = chain(layers_of(network, FP32, shape, tokens, kernels=kernels), tokens).saved
    # what a step hands on is kept one time less than there are steps: first states fill the gap
    return kept - directions * tokens.size


@pytest.mark.parametrize(
    ("kind", "steps", "rows", "hidden", "layers", "directions", "mebibytes"),
    [
        ("lstm", 64, 16, 128, 2, 1, 7.50),
        ("lstm", 32, 8, 256, 3, 2, 11.50),
        ("gru", 64, 16, 128, 2, 1, 7.50),
        ("gru", 32, 8, 64, 4, 1, 1.94),
        ("rnn", 128, 8, 128, 2, 1, 1.51),
    ],
)
def test_steps_of_aten_are_those_measured(*, kind, steps, rows, hidden, layers, directions, mebibytes):
    """ATen's own kernels on real networks: (8L-1) T B H for LSTM and GRU, (2L-1) T B H for RNN and first states."""
    kept = of_layers(
        kind, steps=steps, rows=rows, hidden=hidden, layers=layers, directions=directions, kernels="aten"
    )
    assert kept / 2**20 == pytest.approx(mebibytes, rel=0.004)


@pytest.mark.parametrize(
    ("steps", "rows", "reads", "hidden", "width", "size"),
    [
        (64, 16, 128, 128, 4, 8_011_776),
        (1, 1, 1, 1, 4, 28_672),
        (64, 16, 128, 64, 4, 5_636_096),
        (64, 16, 100, 100, 4, 6_569_984),
        (64, 16, 256, 256, 4, 16_429_056),
        (64, 16, 300, 512, 4, 32_321_536),
        (64, 16, 128, 130, 4, 8_523_776),
        (64, 16, 128, 128, 2, 5_636_096),
        (64, 16, 128, 64, 2, 4_182_016),
        (64, 16, 512, 512, 2, 22_818_816),
        (3, 16, 128, 128, 2, 327_680),
    ],
)
def test_workspace_of_onednn_is_what_torch_allocates(*, steps, rows, reads, hidden, width, size):
    """The uint8 tensor that `mkldnn_rnn_layer` keeps in torch 2.13.0 on x86-64, to the byte."""
    shape = Shape(rows=rows, steps=steps, given=reads, hidden=hidden, state=hidden, directions=1, layers=1)
    assert workspace(shape, layer=0, width=width) == size


@pytest.mark.parametrize(("kind", "size"), [("lstm", 736_000_000), ("gru", 864_000_000)])
def test_reserve_of_cudnn_is_the_published_one(kind, size):
    """pytorch/pytorch#2895: four layers of 320 over 25,000 steps and rows; input, result and states come on top."""
    shape = Shape(rows=25, steps=1000, given=320, hidden=320, state=320, directions=1, layers=4)
    network = Network(kind=kind, hidden_size=320, num_layers=4)
    (layers,) = layers_of(network, CUDA, shape, Value(elements=1, width=4))
    states = (2 if kind == "lstm" else 1) * 4 * 25 * 320
    assert layers.beside - 4 * (2 * 25_000 * 320 + states) == size


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_parameters_are_torchs(kind, gates):
    """Two matrices and two biases for each gate, direction and layer, a table and a head."""
    network = replace(LM, kind=kind, bidirectional=True, tie_word_embeddings=False)
    layers = 2 * gates * 128 * ((128 + 128 + 2) + (256 + 128 + 2))
    assert counted(recurrent(network, FP32)) == 1000 * 128 + layers + 257 * 1000


def test_a_projection_narrows_the_state_of_an_lstm_only():
    """Torch refuses `proj_size` for the other two kinds."""
    projected = replace(LM, projection_size=32, tie_word_embeddings=False)
    layers = 512 * (128 + 32 + 2) + 32 * 128 + 512 * (32 + 32 + 2) + 32 * 128
    assert counted(recurrent(projected, FP32)) == 1000 * 128 + layers + 33 * 1000
    gru = replace(LM, kind="gru")
    assert recurrent(replace(gru, projection_size=32), FP32) == recurrent(gru, FP32)
    assert kernels_of(projected, FP32) == "aten"


def test_a_tied_head_counts_once():
    """Head and table are one tensor where their shapes agree, and two where they cannot."""
    tied, untied = recurrent(LM, FP32), recurrent(replace(LM, tie_word_embeddings=False), FP32)
    assert counted(untied) - counted(tied) == 128 * 1000
    both = replace(LM, bidirectional=True)
    assert recurrent(both, FP32) == recurrent(replace(both, tie_word_embeddings=False), FP32)


def test_features_replace_the_embedding():
    """With `input_size` there is no table, and one number comes out of every step."""
    parts = recurrent(replace(LM, input_size=40), FP32)
    assert [part.name for part in parts] == ["lstm", "head"]
    assert counted(parts[-1:]) == 129


def test_labels_come_from_the_last_step():
    """`num_classes` needs logits of one step only, but its view keeps all steps' results."""
    labels = recurrent(replace(LM, kind="gru", num_classes=5), FP32)
    assert counted(labels[-1:]) == 129 * 5
    assert labels[-1].logits == 16 * (5 * 4 + 8) + 4
    assert labels[-1].saved > 16 * 64 * 128 * 4


def test_truncated_steps_bound_everything():
    """A graph of 16 steps of a sequence of 64 is that of a sequence of 16."""
    assert recurrent(replace(LM, truncate_steps=16), FP32) == recurrent(LM, replace(FP32, sequence_length=16))
    assert recurrent(replace(LM, truncate_steps=100), FP32) == recurrent(LM, FP32)


def test_logits_in_chunks_or_never():
    """Full logits are the largest part of the head; a chunk is held for a moment; fused ones never exist."""
    full, chunked, fused = (
        recurrent(replace(LM, vocab_size=50_000), replace(FP32, logits=logits))[-1]
        for logits in ("full", "chunked", "fused")
    )
    tokens = 16 * 64
    assert full.saved - fused.saved == tokens * (50_000 * 4 + 8 - 12) + 4
    assert chunked.saved == fused.saved
    assert fused.backward < chunked.backward < full.backward
    assert counted((full,)) == counted((fused,))


@given(
    kind=st.sampled_from(["rnn", "lstm", "gru"]),
    width=st.integers(8, 300),
    layers=st.integers(1, 4),
    rows=st.integers(1, 32),
    steps=st.integers(2, 64),
    device=st.sampled_from(["cpu", "cuda"]),
    both=st.booleans(),
    compute=st.sampled_from(["fp32", "bf16"]),
)
def test_more_of_anything_keeps_more(*, kind, width, layers, rows, steps, device, both, compute):
    """Saved bytes grow with batch, length, width and depth."""
    setting = Setting(
        device_kind=device,
        micro_batch_size=rows,
        sequence_length=steps,
        formats=Formats(compute=compute, autocast=compute == "bf16"),
    )
    network = Network(kind=kind, hidden_size=width, num_layers=layers, vocab_size=100, bidirectional=both)
    here = saved(recurrent(network, setting))
    assert here < saved(recurrent(network, replace(setting, micro_batch_size=rows + 1)))
    assert here < saved(recurrent(network, replace(setting, sequence_length=steps + 1)))
    assert here < saved(recurrent(replace(network, hidden_size=width + 32), setting))
    assert here < saved(recurrent(replace(network, num_layers=layers + 1), setting))
