"""The gradient that each real reducer makes of summed losses, beside the mean over all tokens of the step."""

import copy
from contextlib import nullcontext

import deepspeed
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from launcher.planning.accumulation import loss_scale

# the shared-memory transport would have to be compiled; gloo carries the same sums
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

TOKENS = ((1, 4), (3, 2))
"""Loss tokens of each rank's micro-batches: no two alike."""
RANKS, ACCUMULATION = len(TOKENS), len(TOKENS[0])
WIDTH = 3


def gradients(accelerator):
    """Stack -> how far its gradient is from the wanted one, for the naive mean and for every factor there is."""
    rank = accelerator.process_index
    torch.manual_seed(1)
    model = torch.nn.Linear(WIDTH, 2, bias=False)  # two rows: FSDP gives one to each rank
    data = [[batch_of(rank=r, step=m) for m in range(ACCUMULATION)] for r in range(RANKS)]
    wanted = gradient_alone(model, data)
    found = {}
    for name, train in STACKS.items():
        for scale in (None, *sorted(set(factors().values()))):
            moved = train(accelerator, copy.deepcopy(model), data[rank], scale)
            distance = float((moved - wanted).abs().max() / wanted.abs().max())
            found.setdefault(name, []).append({"scale": scale, "distance": distance})
    return {"factors": factors(), "found": found}


def factors():
    """Reducer -> the factor on a summed loss that the plan says it needs."""
    names = ("ddp", "accelerate", "deepspeed", "deepspeed-unscaled", "sum")
    return {
        name: loss_scale(
            reducer=name,
            data_parallel_size=RANKS,
            gradient_accumulation_steps=ACCUMULATION,
            total_weight=sum(map(sum, TOKENS)),
        )
        for name in names
    }


def batch_of(*, rank, step):
    count = TOKENS[rank][step]
    source = torch.Generator().manual_seed(10 * rank + step)
    return torch.randn(count, WIDTH, generator=source), torch.randn(count, 2, generator=source)


def loss_of(model, batch, scale):
    """The scaled sum over the tokens; without a scale their mean, as a script does that knows of no other ranks."""
    inputs, wanted = batch
    losses = (model(inputs) - wanted).square().sum(dim=1)
    return losses.mean() if scale is None else losses.sum() * scale


def gradient_alone(model, data):
    """The mean over every token of the step, on one rank in one piece."""
    batches = [batch for batches in data for batch in batches]
    whole = tuple(torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    return torch.autograd.grad(loss_of(model, whole, None), model.weight)[0]


def by_ddp(accelerator, model, batches, scale):
    wrapped = DistributedDataParallel(model)
    divided = 1 if scale is not None else ACCUMULATION
    for number, batch in enumerate(batches, start=1):
        with nullcontext() if number == ACCUMULATION else wrapped.no_sync():
            (loss_of(wrapped, batch, scale) / divided).backward()
    return model.weight.grad


def by_accelerate(accelerator, model, batches, scale):
    wrapped = accelerator.prepare(model)
    for number, batch in enumerate(batches, start=1):
        with nullcontext() if number == ACCUMULATION else accelerator.no_sync(wrapped):
            accelerator.backward(loss_of(wrapped, batch, scale))
    return model.weight.grad


def by_sharding(accelerator, model, batches, scale):
    fully_shard(model, mesh=init_device_mesh("cpu", (RANKS,)))
    model.set_gradient_divide_factor(1.0)
    model.set_force_sum_reduction_for_comms(True)  # gloo has no scaled sum
    divided = 1 if scale is not None else ACCUMULATION
    for batch in batches:
        (loss_of(model, batch, scale) / divided).backward()
    return model.weight.grad.full_tensor()


def rates_of_engine(schedule, *, steps):
    """The rate of each optimizer step when DeepSpeed's engine owns the schedule."""
    engine = deepspeed_engine(torch.nn.Linear(WIDTH, 2, bias=False), scheduler=schedule)
    rates = []
    for number in range(steps * ACCUMULATION):
        if number % ACCUMULATION == 0:
            rates.append(engine.optimizer.param_groups[0]["lr"])
        engine.backward(engine(torch.ones(1, WIDTH)).sum())
        engine.step()
    return rates


def by_deepspeed(*, stage=0, operation="mean", scale_wrt_gas=True):
    def train(accelerator, model, batches, scale):
        before = model.weight.detach().clone()
        engine = deepspeed_engine(model, zero_optimization={"stage": stage}, gradient_allreduce_op=operation)
        for batch in batches:
            engine.backward(loss_of(engine, batch, scale), scale_wrt_gas=scale_wrt_gas)
            engine.step()
        return before - engine.module.weight.detach()

    return train


def deepspeed_engine(model, **config):
    """An engine that steps by the whole gradient: SGD at 1, no clipping, which is 1.0 where it is not written."""
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": ACCUMULATION,
            "gradient_clipping": 0.0,
            "zero_allow_untested_optimizer": True,
            **config,
        },
    )
    return engine


STACKS = {
    "ddp": by_ddp,
    "accelerate": by_accelerate,
    "sum": by_sharding,
    "deepspeed": by_deepspeed(),
    "deepspeed zero-2": by_deepspeed(stage=2),
    "deepspeed-unscaled": by_deepspeed(scale_wrt_gas=False),
    "deepspeed-sum": by_deepspeed(scale_wrt_gas=False, operation="sum"),
}
