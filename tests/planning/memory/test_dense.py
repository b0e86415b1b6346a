"""Perceptrons and bags of embeddings in parts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.kinds.dense import bag, mlp
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting

PLAIN = Network(kind="mlp", hidden_size=128, num_layers=3, input_size=40, num_classes=10, norm="none")
SETTING = Setting(device_kind="cpu", micro_batch_size=32, formats=Formats(compute="fp32"))
CUDA = replace(SETTING, device_kind="cuda")


def saved(parts):
    """Bytes kept by all copies of all parts."""
    return sum(part.repeat * part.saved for part in parts)


def counted(parts):
    """Parameters of all copies of all parts."""
    return sum(part.repeat * weight.count for part in parts for weight in part.weights)


def test_parameters_of_a_perceptron_are_those_of_its_linear_layers():
    """40 -> 128 -> 128 -> 128 -> 10 with biases."""
    assert counted(mlp(PLAIN, SETTING)) == 41 * 128 + 2 * 129 * 128 + 129 * 10


def test_a_norm_has_a_scale_and_a_shift_unless_it_is_rmsnorm():
    """Three hidden layers with one norm each."""
    plain = counted(mlp(PLAIN, SETTING))
    assert counted(mlp(replace(PLAIN, norm="layernorm"), SETTING)) == plain + 3 * 2 * 128
    assert counted(mlp(replace(PLAIN, norm="rmsnorm"), SETTING)) == plain + 3 * 128


@pytest.mark.parametrize(("activation", "maps"), [("relu", 1), ("tanh", 1), ("gelu", 2), ("silu", 2)])
def test_what_an_activation_keeps(activation, maps):
    """From its result ReLU's and tanh's derivative follow, and the next layer keeps that anyway; others need more."""
    parts = mlp(replace(PLAIN, activation=activation), SETTING)
    images, labels = 32 * 40 * 4, 32 * (8 + 10 * 4) + 4
    assert saved(parts) == images + 3 * maps * 32 * 128 * 4 + labels


def test_dropout_keeps_a_byte_on_cuda_and_a_number_on_cpu():
    """A mask of one byte, or a factor as wide as the values; both beside ReLU's result and its dropped copy."""
    network = replace(PLAIN, activation="relu", dropout=0.1)
    width = 3 * 32 * 128
    assert saved(mlp(network, CUDA)) - saved(mlp(PLAIN_RELU, CUDA)) == width * (1 + 4)
    assert saved(mlp(network, SETTING)) - saved(mlp(PLAIN_RELU, SETTING)) == width * (4 + 4)


PLAIN_RELU = replace(PLAIN, activation="relu")


def test_autocast_keeps_a_copy_of_every_weight_but_the_first():
    """The first layer's is not needed, since no gradient reaches its input."""
    setting = replace(SETTING, formats=Formats(compute="bf16", autocast=True))
    assert sum(part.repeat * part.casts for part in mlp(PLAIN, setting)) == 2 * (2 * 128 * 128 + 128 * 10)


def test_autocast_on_cuda_norms_in_fp32():
    """CUDA's autocast casts the input of a LayerNorm to fp32, CPU's does not."""
    formats = Formats(compute="bf16", autocast=True)
    network = replace(PLAIN, norm="layernorm", activation="relu")
    cpu, cuda = (saved(mlp(network, replace(each, formats=formats))) for each in (SETTING, CUDA))
    assert cuda > cpu


def test_without_classes_a_perceptron_predicts_numbers():
    """`output_size` numbers, one when absent, with both sides of the squared error kept."""
    numbers = replace(PLAIN_RELU, num_classes=0, output_size=3)
    *_, head = mlp(numbers, SETTING)
    assert counted((head,)) == 129 * 3
    assert head.logits == 2 * 32 * 3 * 4
    assert counted(mlp(replace(numbers, output_size=0), SETTING)[-1:]) == 129


def test_absent_sizes():
    """One hidden layer, and rows as wide as it."""
    parts = mlp(Network(kind="mlp", hidden_size=64, norm="none"), SETTING)
    assert counted(parts) == 65 * 64 + 65


def test_a_bag_keeps_indices_not_vectors():
    """What a bag of 50 tokens saves does not depend on the width of its embedding."""
    network = Network(kind="bag", hidden_size=64, vocab_size=1000, num_classes=20)
    setting = replace(SETTING, sequence_length=50)
    embeddings, head = bag(network, setting)
    assert counted((embeddings,)) == 64_000
    assert embeddings.saved == bag(replace(network, hidden_size=256), setting)[0].saved
    assert embeddings.saved == 8 * (2 * 32 * 50 + 3 * 32 + 1)
    assert counted((head,)) == 65 * 20


def test_a_checkpointed_layer_keeps_its_input():
    """Its own tensors come back while it is in its backward pass."""
    _, layer, _ = mlp(replace(PLAIN, norm="layernorm", activation="gelu"), SETTING)
    assert layer.boundary == 32 * 128 * 4
    assert layer.recomputed == layer.saved - layer.boundary


def test_frozen_layers_up_to_the_first_trained_one_keep_nothing():
    """No gradient reaches them."""
    parts = mlp(replace(PLAIN, frozen=("layer",)), SETTING)
    *layers, head = parts
    assert [part.saved for part in layers] == [0, 0]
    assert [weight.trained for part in layers for weight in part.weights] == [0, 0]
    assert head.saved > 0


sizes = st.integers(1, 8).map(lambda n: 32 * n)


@given(
    width=sizes,
    layers=st.integers(1, 6),
    rows=st.integers(1, 64),
    norm=st.sampled_from(["none", "layernorm", "rmsnorm", "batchnorm", "groupnorm"]),
    activation=st.sampled_from(["relu", "tanh", "gelu", "silu", "gelu_new"]),
    device=st.sampled_from(["cpu", "cuda"]),
    autocast=st.booleans(),
)
def test_more_of_anything_keeps_more(*, width, layers, rows, norm, activation, device, autocast):
    """Saved bytes grow with batch, width and depth, and never with checkpointing."""
    formats = Formats(compute="bf16" if autocast else "fp32", autocast=autocast)
    setting = Setting(device_kind=device, micro_batch_size=rows, formats=formats)
    network = Network(kind="mlp", hidden_size=width, num_layers=layers, norm=norm, activation=activation)
    here = saved(mlp(network, setting))
    assert here < saved(mlp(network, replace(setting, micro_batch_size=rows + 1)))
    assert here < saved(mlp(replace(network, hidden_size=width + 32), setting))
    assert here < saved(mlp(replace(network, num_layers=layers + 1), setting))
    whole = mlp(network, setting)
    assert all(part.boundary <= part.saved or part.recomputed is not None for part in whole)
    assert all(part.backward >= 0 and part.backward_gradients >= 0 for part in whole)
