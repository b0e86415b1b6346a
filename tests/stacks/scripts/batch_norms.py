"""What batch norms of several ranks take their statistics over. Every rank calls batch_norms()."""

import torch
from torch import distributed
from torch.nn.functional import batch_norm
from torch.nn.modules._functions import SyncBatchNorm as Gathering

ROWS, CHANNELS, MICRO_BATCHES = 4, 3, 2


def batch_norms():
    """Largest differences between what SyncBatchNorm and DDP's batch norm give and what each hypothesis says."""
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    generator = torch.Generator().manual_seed(0)
    everything = torch.randn(MICRO_BATCHES, ranks, ROWS, CHANNELS, generator=generator, dtype=torch.float64)
    mine = everything[:, rank]
    refused = ""
    try:
        torch.nn.SyncBatchNorm(CHANNELS, dtype=torch.float64)(mine[0])
    except ValueError as error:
        refused = str(error)
    return {
        "refused on CPU": refused,
        "synchronised": synchronised(everything, rank),
        "replicated": replicated(everything, rank),
    }


def synchronised(everything, rank):
    """What each rank's micro-batches become: the gathering is torch's own, the sums that a CPU has no kernels for ours."""
    with torch.no_grad(), cpu_kernels():
        ones, zeros = torch.ones(CHANNELS).double(), torch.zeros(CHANNELS).double()
        found = torch.stack(
            [
                Gathering.apply(
                    micro,
                    ones,
                    zeros,
                    zeros + 0,
                    ones + 0,
                    1e-5,
                    0.1,
                    distributed.group.WORLD,
                    everything.shape[1],
                )
                for micro in everything[:, rank]
            ]
        )
    over_ranks = torch.stack([normalised(micro.flatten(0, 1)).view_as(micro)[rank] for micro in everything])
    over_micro_batches = normalised(everything[:, rank].flatten(0, 1)).view_as(found)
    return {
        "one forward pass of all ranks": away(found, over_ranks),
        "all micro-batches of one rank": away(found, over_micro_batches),
        "one forward pass of one rank": away(found, alone(everything, rank)),
    }


def replicated(everything, rank):
    """Plain batch norm under DistributedDataParallel, which hands out rank 0's running averages."""
    norm = torch.nn.BatchNorm1d(CHANNELS, dtype=torch.float64)
    model = torch.nn.parallel.DistributedDataParallel(norm)
    found = torch.stack([model(micro) for micro in everything[:, rank]]).detach()
    reference = torch.nn.BatchNorm1d(CHANNELS, dtype=torch.float64)
    for micro in everything[:, 0]:
        reference(micro)
    with torch.no_grad():
        model(everything[0, 0])  # a forward pass begins with rank 0's averages
        reference(everything[0, 0])
    return {
        "one forward pass of one rank": away(found, alone(everything, rank)),
        "updates of the running averages": int(norm.num_batches_tracked) - 1,
        "running averages away from rank 0's": away(norm.running_mean, reference.running_mean),
    }


def alone(everything, rank):
    return torch.stack([normalised(micro) for micro in everything[:, rank]])


def normalised(rows):
    return batch_norm(rows, None, None, training=True)


def away(found, wanted):
    """Largest difference over all ranks."""
    difference = (found - wanted).abs().max()
    distributed.all_reduce(difference, op=distributed.ReduceOp.MAX)
    return float(difference)


class cpu_kernels:  # noqa: N801 - used as a context
    """The three sums of SyncBatchNorm for CPU tensors; torch has them for GPUs only."""

    def __enter__(self):
        self.library = torch.library.Library("aten", "IMPL")
        self.library.impl("batch_norm_stats", self.stats, "CPU")
        self.library.impl("batch_norm_gather_stats_with_counts", self.gather, "CPU")
        self.library.impl("batch_norm_elemt", self.apply, "CPU")

    def __exit__(self, *error):
        self.library._destroy()

    @staticmethod
    def stats(rows, epsilon):
        return rows.mean(0), (rows.var(0, unbiased=False) + epsilon).rsqrt()

    @staticmethod
    def gather(*given):
        _rows, means, inverses, _running_mean, _running_var, _momentum, epsilon, counts = given
        share = (counts / counts.sum()).unsqueeze(1)
        mean = (means * share).sum(0)
        squares = ((inverses**-2 - epsilon + means**2) * share).sum(0)
        return mean, (squares - mean**2 + epsilon).rsqrt()

    @staticmethod
    def apply(*given):
        rows, weight, bias, mean, inverse, _epsilon = given
        return (rows - mean) * inverse * weight + bias
