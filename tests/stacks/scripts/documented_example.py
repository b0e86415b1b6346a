"""One optimizer step over ragged sequences, as Accelerate's guide shows it, with this project's slots and factor.

Source: huggingface/accelerate@16cb6eb8 docs/source/usage_guides/gradient_accumulation.md, "Self-contained causal LM
example": sequences of 1, 2, 3 ... tokens, a linear model of two classes, seed 0, SGD at 0.08.
"""

from contextlib import nullcontext

import torch
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from launcher.planning.accumulation import loss_scale, micro_batch_slots

IGNORED = -100


def documented_example(accelerator, *, micro_batch_size, gradient_accumulation_steps):
    """What every rank held, what the plan would have given it, and the weights after the step."""
    ranks = accelerator.num_processes
    slots = micro_batch_size * gradient_accumulation_steps * ranks
    set_seed(0)
    model = torch.nn.Linear(1, 2, bias=False)
    before = model.weight.detach().flatten().tolist()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.08)
    model, optimizer = accelerator.prepare(model, optimizer)
    data = [torch.arange(1, length + 1, dtype=torch.float32) for length in range(1, slots + 1)]
    loader = DataLoader(data, batch_size=micro_batch_size, collate_fn=padded)
    batches = list(accelerator.prepare_data_loader(loader))
    lengths = torch.cat([labels.ne(IGNORED).sum(dim=1).flatten() for _, labels in batches])
    held = accelerator.gather(lengths).view(ranks, -1)
    scale = loss_scale(
        reducer="accelerate",
        data_parallel_size=ranks,
        gradient_accumulation_steps=gradient_accumulation_steps,
        total_weight=int(held.sum()),
    )
    for number, (inputs, labels) in enumerate(batches, start=1):
        with nullcontext() if number == gradient_accumulation_steps else accelerator.no_sync(model):
            accelerator.backward(summed_loss(model, inputs, labels) * scale)
    optimizer.step()
    return {
        "lengths": held.tolist(),
        "planned lengths": planned_lengths(
            ranks=ranks,
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        "before": before,
        "after": accelerator.unwrap_model(model).weight.detach().flatten().tolist(),
    }


def planned_lengths(*, ranks, micro_batch_size, gradient_accumulation_steps):
    """Tokens of the sequences that the plan's slots give to each rank: sequence i holds i + 1."""
    slots = ranks * micro_batch_size * gradient_accumulation_steps
    return [
        [
            index + 1
            for step in range(gradient_accumulation_steps)
            for index in micro_batch_slots(
                micro_step=step,
                rank=rank,
                micro_batch_size=micro_batch_size,
                data_parallel_size=ranks,
                samples_in_step=slots,
            )
        ]
        for rank in range(ranks)
    ]


def padded(rows):
    """Inputs and labels, both padded; the label says whether the token is odd."""
    inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)
    return inputs[..., None], torch.where(inputs == IGNORED, IGNORED, torch.remainder(inputs, 2)).long()


def summed_loss(model, inputs, labels):
    return torch.nn.functional.cross_entropy(
        model(inputs).view(-1, 2), labels.view(-1), reduction="sum", ignore_index=IGNORED
    )
