"""Two networks, two optimizers with rates of their own, one loader: the discriminator steps first."""

import sys

import torch
from torch import nn
from torch.distributed import barrier, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

rate = float(sys.argv[1])
init_process_group(backend="gloo")
data = TensorDataset(torch.randn(256, 4))
loader = DataLoader(data, batch_size=4, sampler=DistributedSampler(data))
generator = DistributedDataParallel(nn.Linear(2, 4))
discriminator = DistributedDataParallel(nn.Linear(4, 1))
for_discriminator = torch.optim.Adam(discriminator.parameters(), lr=4 * rate)
for_generator = torch.optim.Adam(generator.parameters(), lr=rate)
loss = nn.functional.binary_cross_entropy_with_logits
for step, (real,) in enumerate(loader):
    if step == 8:
        break
    fake = generator(torch.randn(len(real), 2))
    for_discriminator.zero_grad()
    both = discriminator(torch.cat([real, fake.detach()]))
    loss(both, torch.cat([torch.ones(len(real), 1), torch.zeros(len(real), 1)])).backward()
    for_discriminator.step()
    for_generator.zero_grad()
    loss(discriminator(fake), torch.ones(len(real), 1)).backward()
    for_generator.step()
barrier()  # gloo (torch 2.13) now and then aborts a process that leaves while the other is still at work
destroy_process_group()
