"""Goes on at the fifth of eight warmup steps, with an optimizer that remembers four."""

import sys

import torch

peak = float(sys.argv[1])
model = torch.nn.Linear(4, 1)
before = torch.optim.AdamW(model.parameters())
for parameter in model.parameters():  # as a checkpoint holds it; not stepped in this process
    zeros = torch.zeros_like(parameter)
    before.state[parameter] = {"step": torch.tensor(4.0), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
optimizer = torch.optim.AdamW(model.parameters())
optimizer.load_state_dict(before.state_dict())
del before
for number in (5, 6, 7, 8):
    optimizer.param_groups[0]["lr"] = peak * number / 8
    model(torch.ones(4, 4)).sum().backward()
    optimizer.step()
print("end")
