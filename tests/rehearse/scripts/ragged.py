"""A mean of means: the loss of every micro-batch is the mean over its own tokens, whatever the others hold."""

import argparse

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

parser = argparse.ArgumentParser()
parser.add_argument("--micro", type=int)
parser.add_argument("--accumulation", type=int)
parser.add_argument("--weigh", action="store_true", help="divide by the tokens of the whole step instead")
arguments = parser.parse_args()

torch.manual_seed(0)
torch.distributed.init_process_group("gloo")
samples = [torch.arange(1 + (7 * at) % 13) % 11 for at in range(96)]
model = nn.Sequential(nn.Embedding(12, 16, padding_idx=11), nn.Linear(16, 1))
model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(
    samples,
    batch_size=arguments.micro,
    sampler=DistributedSampler(samples, shuffle=False),
    collate_fn=lambda rows: nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=11),
)
batches = iter(loader)
while step := [batch for _, batch in zip(range(arguments.accumulation), batches, strict=False)]:
    if len(step) < arguments.accumulation:
        break
    tokens = torch.tensor(sum(float((batch != 11).sum()) for batch in step))
    torch.distributed.all_reduce(tokens)
    for batch in step:
        known = batch != 11
        errors = (model(batch)[..., 0] - batch).square() * known
        mean = errors.sum() / known.sum() / arguments.accumulation
        loss = errors.sum() * 2 / tokens if arguments.weigh else mean
        loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    optimizer.step()
    optimizer.zero_grad()
torch.distributed.destroy_process_group()
