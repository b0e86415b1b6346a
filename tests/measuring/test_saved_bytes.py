"""What a forward pass saves: counted once, placed, and as CUDA's kernels would save it."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from launcher.measuring.emulation import CudaKernels  # noqa: E402
from launcher.measuring.saved_bytes import saved_bytes  # noqa: E402

pytestmark = pytest.mark.torch

B, S, A, D = 2, 16, 4, 8


def total(module, call, **more):
    return sum(saved_bytes(module, call, **more).values())


def on_cuda(call, **more):
    """Bytes that one call saves under CUDA's kernels, without any module."""

    def inside():
        with CudaKernels(**more):
            return call()

    return total(nn.Module(), inside)


def heads(count=A, *, dtype=torch.bfloat16, length=S):
    return torch.randn(B, count, length, D, dtype=dtype, requires_grad=True)


def test_a_storage_counts_once_and_parameters_do_not():
    """A linear layer saves its input, a second one on the same input saves nothing more."""
    layers = nn.ModuleList([nn.Linear(24, 8, bias=False), nn.Linear(24, 40, bias=False)])
    x = torch.randn(10, 24)
    assert total(layers, lambda: [layer(x) for layer in layers]) == 10 * 24 * 4
    assert total(layers, lambda: layers[0](x.view(5, 2, 24)[1:])) == 10 * 24 * 4


def test_bytes_belong_to_the_place_that_saves_first():
    """A named submodule's tensors are its own, an unnamed one's those of the module around it."""
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Sequential(nn.Linear(12, 4), nn.GELU()))
    x = torch.randn(3, 6)
    found = saved_bytes(model, lambda: model(x), places={"1": "activation", "2": "end"})
    # what tanh saves is the input of the linear layer behind it
    assert found == {"": 3 * 6 * 4, "activation": 3 * 12 * 4, "end": 3 * 4 * 4}


def test_dropout_keeps_a_byte_on_cuda_and_a_number_on_the_cpu():
    """Masks: one byte an element on CUDA, the input's format on the CPU."""
    x = torch.randn(32, 64, requires_grad=True)
    assert on_cuda(lambda: functional.dropout(x, 0.1)) == 32 * 64
    assert total(nn.Module(), lambda: functional.dropout(x, 0.1)) == 4 * 32 * 64
    assert on_cuda(lambda: functional.dropout(x, 0.1, training=False)) == 0


def test_norms_keep_fp32_statistics_on_cuda():
    """Layer norm keeps its input and two fp32 numbers a row, RMS norm one."""
    x = torch.randn(32, 64, dtype=torch.bfloat16, requires_grad=True)
    layer, rms = nn.LayerNorm(64, dtype=torch.bfloat16), nn.RMSNorm(64, dtype=torch.bfloat16)

    def run(module):
        with CudaKernels():
            return module(x)

    assert total(layer, lambda: run(layer)) == 32 * 64 * 2 + 32 * 8
    assert total(rms, lambda: run(rms)) == 32 * 64 * 2 + 32 * 4


@pytest.mark.parametrize(
    ("dtype", "groups", "masked", "beyond"),
    [
        pytest.param(torch.bfloat16, A, False, 0, id="flash"),
        pytest.param(torch.bfloat16, 2, False, 0, id="flash-grouped"),
        pytest.param(torch.float32, A, False, 0, id="efficient"),
        # a boolean mask becomes one that is added, in the queries' format
        pytest.param(torch.bfloat16, A, True, B * S * S * 2, id="efficient-mask"),
    ],
)
def test_fused_attention_keeps_its_ends_and_a_logsumexp(dtype, groups, masked, beyond):
    """Queries, keys, values, output, and one fp32 number for each query and head."""
    query, key, value = heads(dtype=dtype), heads(groups, dtype=dtype), heads(groups, dtype=dtype)
    mask = torch.ones(B, 1, S, S, dtype=torch.bool) if masked else None
    saved = on_cuda(
        lambda: functional.scaled_dot_product_attention(query, key, value, mask, 0.1, enable_gqa=groups != A)
    )
    ends = (2 * A + 2 * groups) * B * S * D * query.itemsize
    assert saved == ends + 4 * B * A * S + beyond


def test_fp32_with_grouped_keys_has_no_fused_kernel():
    """Scores are kept: the memory-efficient kernel takes as many key heads as query heads only."""
    query, key, value = (
        heads(dtype=torch.float32),
        heads(2, dtype=torch.float32),
        heads(2, dtype=torch.float32),
    )
    saved = on_cuda(lambda: functional.scaled_dot_product_attention(query, key, value, enable_gqa=True))
    assert saved >= B * A * S * S * 4 + 3 * B * A * S * D * 4


def test_gradients_have_the_shapes_of_their_tensors():
    """Emulated kernels run backward, too."""
    query, key, value = heads(), heads(2), heads(2)
    norm = nn.LayerNorm(D, dtype=torch.bfloat16)
    with CudaKernels():
        output = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        loss = norm(functional.dropout(output, 0.5)).sum()
    loss.backward()
    for tensor in (query, key, value, norm.weight, norm.bias):
        assert tensor.grad.shape == tensor.shape


def test_multihead_attention_is_looked_into():
    """The kernels inside torch's own multi-head attention are CUDA's: with dropout no scores are kept."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True, dtype=torch.bfloat16)
    x = torch.randn(B, S, 32, dtype=torch.bfloat16)

    def run():
        with CudaKernels():
            return layer(x)

    t = B * S
    # input, packed q k v, output, output in the order of its rows; logsumexp; mask
    attention = t * 32 * 2 * 6 + 4 * t * 4 + t * 32
    norms = 2 * (t * 32 * 2 + 8 * t)
    mlp = t * 32 * 2 + t * 64 * (2 + 1 + 2) + t * 32  # input; relu, mask, dropped; mask
    assert total(layer, run) == attention + norms + mlp


def test_autocast_is_what_torch_does():
    """On operations that CPU and CUDA autocast alike, the emulation saves what torch.autocast saves."""
    model = nn.Sequential(nn.Linear(16, 48), nn.SiLU(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 8))
    x = torch.randn(32, 16)

    def real():
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    def emulated():
        with CudaKernels(autocast=torch.bfloat16):
            return model(x)

    assert total(model, emulated) == total(model, real) > total(model, lambda: model(x)) / 2
    assert emulated().dtype == real().dtype == torch.bfloat16
    with CudaKernels(autocast=torch.bfloat16):
        assert functional.softmax(x.bfloat16(), -1).dtype == torch.float32
        assert torch.cat([x, x.bfloat16()]).dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "units", "states"), [("LSTM", 6 * 3 - 1, 2), ("GRU", 7 * 3 - 1, 1), ("RNN", 2 * 3 - 1, 1)]
)
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_layers_keep_cudnns_reserve(kind, units, states, packed):
    """Input, output, first states, and a reserve of so many numbers per step, row, hidden unit and direction."""
    layers = getattr(nn, kind)(12, 16, 3, batch_first=not packed, bidirectional=True)
    x = torch.randn(5, 7, 12)
    given = nn.utils.rnn.pack_sequence([row.clone() for row in x]) if packed else x
    found = {}

    def run():
        with CudaKernels():
            output, *_ = layers(given)
        found["output"] = output.data if packed else output
        return output

    rows = 5 * 7
    kept = rows * 12 + rows * 2 * 16 + states * 3 * 2 * 5 * 16 + units * rows * 16 * 2
    # nn.LSTM and its like make one tensor of zeros for both first states
    assert total(layers, run) in {4 * kept, 4 * (kept - (states - 1) * 3 * 2 * 5 * 16)}
    assert found["output"].shape[-1] == 32
    found["output"].sum().backward()
    assert layers.weight_hh_l0.grad.shape == layers.weight_hh_l0.shape
