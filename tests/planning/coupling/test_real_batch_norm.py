"""What a plan says of batch norm, against torch's own layers."""

import pytest

from launcher.planning.coupling.batch_norm import MOMENTUM, momentum_at

pytestmark = pytest.mark.torch


@pytest.fixture
def data():
    import torch

    return torch.randn(32, 3, generator=torch.Generator().manual_seed(0)) * 2 + 1


def run(norm, batches):
    for batch in batches:
        norm(batch)
    return norm


def test_the_default_momentum_is_torchs():
    """0.1, where nobody chose one."""
    import torch

    assert torch.nn.BatchNorm1d(3).momentum == MOMENTUM


def test_statistics_are_those_of_one_micro_batch(data):
    """The same 32 samples in micro-batches of 8 are normalised by other numbers than at once; layer norm's are equal."""
    import torch

    for norm, same in ((torch.nn.BatchNorm1d(3), False), (torch.nn.LayerNorm(3), True)):
        whole = norm(data)
        cut = torch.cat([norm(part) for part in data.split(8)])
        assert torch.allclose(whole, cut, atol=1e-6) == same


def test_gradients_of_accumulated_micro_batches_are_another_models(data):
    """Summed over micro-batches, a batch norm's gradient is not that of the whole batch; a layer norm's is."""
    import torch

    target = torch.randn(32, 3, generator=torch.Generator().manual_seed(1))

    def gradient(norm, parts):
        torch.manual_seed(2)
        linear = torch.nn.Linear(3, 3)
        for part, wanted in zip(data.split(parts), target.split(parts), strict=True):
            (norm(linear(part)) - wanted).square().sum().backward()
        return linear.weight.grad

    for kind, same in ((torch.nn.BatchNorm1d, False), (torch.nn.LayerNorm, True)):
        assert torch.allclose(gradient(kind(3), 32), gradient(kind(3), 8), rtol=1e-4, atol=1e-4) == same


@pytest.mark.parametrize("accumulation", [1, 2, 4, 8])
def test_running_averages_are_updated_in_every_forward_pass(data, accumulation):
    """G micro-batches of one step count G times.

    Source: pytorch/pytorch#46516, open when read.
    """
    import torch

    norm = run(torch.nn.BatchNorm1d(3), data.split(32 // accumulation))
    assert int(norm.num_batches_tracked) == accumulation


@pytest.mark.parametrize("accumulation", [2, 4, 8])
def test_the_momentum_keeps_what_is_left_of_the_start(accumulation):
    """With the plan's momentum, a step of G equal micro-batches moves the average as far as one pass of torch's 0.1."""
    import torch

    sample = torch.tensor([[3.0], [5.0]])
    whole = run(torch.nn.BatchNorm1d(1, dtype=torch.float64), [sample.double()])
    momentum = momentum_at(samples=1, reference_samples=accumulation)
    cut = torch.nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
    run(cut, [sample.double()] * accumulation)
    assert float(cut.running_mean) == pytest.approx(float(whole.running_mean), rel=1e-12)
    assert float(cut.running_var) == pytest.approx(float(whole.running_var), rel=1e-12)
    plain = run(torch.nn.BatchNorm1d(1, dtype=torch.float64), [sample.double()] * accumulation)
    assert float(plain.running_mean) != pytest.approx(float(whole.running_mean), rel=0.1)


def test_recomputed_passes_count_too(data):
    """Under activation checkpointing the backward pass updates the averages again."""
    import torch
    from torch.utils.checkpoint import checkpoint

    norm = torch.nn.BatchNorm1d(3)
    checkpoint(norm, data.requires_grad_(), use_reentrant=False).sum().backward()
    assert int(norm.num_batches_tracked) == 2


def test_one_sample_is_refused_by_torch_too():
    """A single row has no variance: torch raises, as the plan refuses."""
    import torch

    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm1d(3)(torch.zeros(1, 3))


def test_a_trace_finds_batch_norms():
    """Training batch norms are found under their names; frozen ones, and norms of one sample, are not."""
    import torch

    from launcher.measuring.trace_coupled import coupled_in

    def in_training(*layers):
        return coupled_in(torch.nn.Sequential(torch.nn.Linear(3, 3), *layers).train())

    class Frozen(torch.nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    assert in_training(torch.nn.BatchNorm2d(3)) == ["batch_norm"]
    assert in_training(torch.nn.SyncBatchNorm(3)) == ["sync_batch_norm"]
    assert in_training(torch.nn.BatchNorm1d(3), torch.nn.SyncBatchNorm(3)) == [
        "batch_norm",
        "sync_batch_norm",
    ]
    assert in_training(torch.nn.GroupNorm(1, 3), torch.nn.LayerNorm(3), torch.nn.InstanceNorm1d(3)) == []
    assert in_training(Frozen(3)) == []
