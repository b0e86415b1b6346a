"""A trace against real torch on this CPU: bytes saved for the backward pass, and the allocator's peak of a whole step."""

import contextlib

import pytest
import real_step
import torch
import traced_modules

from launcher.measuring.trace_module import make_ready
from launcher.measuring.trace_optimizer import trace_optimizer
from launcher.measuring.trace_step import trace_step
from launcher.measuring.trace_surroundings import surroundings

pytestmark = [
    pytest.mark.torch,
    # nn.TransformerEncoder looks at addresses, which tensors without numbers do not have
    pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor"),
]

SIZES = {"micro_batch_size": 4, "sequence_length": 128}
CASES = [
    # module, its arguments, number format, autocast
    pytest.param(("perceptron", {}, "fp32", False), marks=pytest.mark.full),
    ("perceptron", {"micro_batch_size": 512}, "fp32", False),
    ("perceptron", {"micro_batch_size": 512}, "bf16", True),
    ("decoder", SIZES, "fp32", False),
    ("decoder", SIZES, "bf16", False),
    ("decoder", SIZES, "bf16", True),
    ("decoder", {**SIZES, "dropout": 0.1, "tied": True}, "fp32", False),
    ("decoder", {"micro_batch_size": 1, "sequence_length": 32, "hidden_size": 256}, "fp32", False),
    pytest.param(
        ("decoder", {"micro_batch_size": 16, "sequence_length": 256, "num_layers": 2}, "fp32", False),
        marks=pytest.mark.full,
    ),
    pytest.param(("convolution", {}, "fp32", False), marks=pytest.mark.full),
    ("convolution", {"micro_batch_size": 16, "hidden_size": 32}, "fp32", False),
    ("encoder", {}, "fp32", False),
    pytest.param(("llama", {}, "fp32", False), marks=pytest.mark.full),
    ("llama", {"micro_batch_size": 4, "sequence_length": 256}, "fp32", False),
    pytest.param(("llama", {}, "bf16", False), marks=pytest.mark.full),
    ("llama", {}, "bf16", True),
    ("recomputed", {}, "fp32", False),
    ("recomputed", {"micro_batch_size": 16, "hidden_size": 128}, "bf16", True),
    pytest.param(("recurrent", {}, "fp32", False), marks=pytest.mark.full),
    ("longer", {}, "fp32", False),
    ("longer", {}, "bf16", True),
]


# what is computed again under autocast is cast again; oneDNN's recurrent scratch pad is a guess
LOOSE = {("recomputed", True): 0.025, ("longer", False): 0.05, ("longer", True): 0.1}


def built(name, arguments, compute, autocast):
    made = getattr(traced_modules, name)(**arguments)
    return make_ready(made, name=name, compute=compute, autocast=autocast, frozen=())


def traced(*case):
    """Bytes saved, and the largest peak with optimizer states there."""
    _, _, compute, autocast = case
    with surroundings({"device_kind": "cpu", "compute": compute, "autocast": autocast}) as around:
        module, batch = built(*case)
        step = trace_step(module=module, batch=batch, around=around)
        asked = {"name": "adamw", "implementation": "for-loop", "momentum": 0.0, "device_kind": "cpu"}
        optimizer = trace_optimizer(module=module, book=around.book, asked=asked)
        del module, batch
    passes = max(step.forward_peak, step.backward_peak) + optimizer.state_bytes
    return step.saved_bytes, max(passes, optimizer.peak)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}{'-autocast' * case[3]}")
def test_a_trace_is_what_torch_does(case):
    """Saved bytes agree to a thousandth, the peak of a step to a per cent, but for LOOSE."""
    saved, peak = traced(*case)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        module, batch = built(*case)
        around = (lambda: torch.autocast("cpu", torch.bfloat16)) if case[3] else contextlib.nullcontext
        assert saved == pytest.approx(real_step.saved_for_backward(module, batch, around=around), rel=1e-3)
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, foreach=False)
        real = real_step.allocator_peak(module, batch, optimizer, around=around)
        assert peak == pytest.approx(real, rel=LOOSE.get((case[0], case[3]), 0.01))
    finally:
        torch.set_num_threads(threads)


def test_nothing_of_a_trace_stays():
    """After a trace modules convert, checkpoint and mask as before."""
    from torch.utils import checkpoint

    before = (torch.nn.Module._apply, checkpoint.CheckpointFunction)
    with surroundings({"device_kind": "cuda", "compute": "bf16", "autocast": True}) as around:
        assert torch.nn.Module._apply is not before[0]
        with around.forward():
            module = torch.nn.Linear(2, 2).to(torch.bfloat16)
        assert module.weight.dtype is torch.bfloat16
    assert (torch.nn.Module._apply, checkpoint.CheckpointFunction) == before
