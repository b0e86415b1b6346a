"""Over which samples batch norms of two real ranks normalise: what model.batch_coupled says of each."""

import pytest

from launcher.planning.coupling.batch_norm import statistics_size

pytestmark = pytest.mark.real


def test_sync_batch_norm_sees_all_ranks_of_one_forward_pass(two_ranks):
    """SyncBatchNorm gathers the ranks, and nothing of a step's other micro-batches.

    The gathering is torch's own code; the sums that it has no CPU kernels for are the test's.
    Source: torch@2.13.0 torch/nn/modules/_functions.py:SyncBatchNorm.forward.
    """
    seen = two_ranks["batch norms"]["synchronised"]
    assert seen["one forward pass of all ranks"] < 1e-12
    assert seen["all micro-batches of one rank"] > 0.01
    assert seen["one forward pass of one rank"] > 0.01
    assert statistics_size(coupled=("sync_batch_norm",), micro_batch_size=4, data_parallel_size=2) == 8


def test_sync_batch_norm_refuses_processors(two_ranks):
    """The layer itself raises on CPU tensors, of which the plan warns."""
    assert "expected input tensor to be on GPU" in two_ranks["batch norms"]["refused on CPU"]


def test_replicated_batch_norm_sees_its_own_micro_batch(two_ranks):
    """Under DistributedDataParallel each rank normalises alone, counts every pass, and ends with rank 0's averages."""
    seen = two_ranks["batch norms"]["replicated"]
    assert seen["one forward pass of one rank"] < 1e-12
    assert seen["updates of the running averages"] == 2
    assert seen["running averages away from rank 0's"] < 1e-12
    assert statistics_size(coupled=("batch_norm",), micro_batch_size=4, data_parallel_size=2) == 4
