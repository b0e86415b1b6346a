"""One training after the other in one job, each with another way in which Accelerate hands out batches."""

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

WAYS = {
    "shard": (DataLoaderConfiguration(), 2),
    "split": (DataLoaderConfiguration(split_batches=True), 4),
    "dispatch": (DataLoaderConfiguration(dispatch_batches=True), 2),
    "dispatch and split": (DataLoaderConfiguration(dispatch_batches=True, split_batches=True), 4),
    "uneven": (DataLoaderConfiguration(even_batches=False), 2),
    "stream": (DataLoaderConfiguration(), 2),
}


class Stream(IterableDataset):
    """Samples without an index."""

    def __iter__(self):
        yield from torch.randn(45, 4)


# 45 samples: the last batch is partial, the last group of micro-batches too
numbers = TensorDataset(torch.randn(45, 4))
for way, (configuration, batch_size) in WAYS.items():
    accelerator = Accelerator(dataloader_config=configuration, gradient_accumulation_steps=2)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    loader = DataLoader(Stream() if way == "stream" else numbers, batch_size=batch_size)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(batch if way == "stream" else batch[0]).square().mean())
            optimizer.step()
            optimizer.zero_grad()
    if accelerator.is_main_process:
        print("done", way, flush=True)
accelerator.end_training()
