"""What is read before every optimizer step of a rehearsal, in a process of its own: hooks are for all of torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

SCRIPT = """
import json
from batchwright_witness.inspecting import inspect, inspected

inspect()
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.25), nn.Linear(2, 1)).eval()
model.train()
optimizer = torch.optim.Adam(model.parameters(), lr=0.5)


def step(model, optimizer, clip=False):
    for part in (1.0, 2.0):
        (model.eval()(torch.full((1, 3), part)).sum() * part).backward()
    if clip:
        clip_grad_norm_(model.parameters(), 1e-3)
    norm = float(torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm())
    optimizer.step()
    optimizer.zero_grad()
    return norm


early = inspected()["evaluated"]
norms = [step(model, optimizer), step(model, optimizer, clip=True)]
saved = [json.loads(json.dumps(each.state_dict(), default=lambda t: t.tolist())) for each in (model, optimizer)]
weights, state = model.state_dict(), optimizer.state_dict()
torch.save({"w": weights, "s": state}, "c.pt")
step(model, optimizer)

again = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.25), nn.Linear(2, 1))
fresh = torch.optim.Adam(again.parameters(), lr=0.5)
kept = torch.load("c.pt")
again.load_state_dict(kept["w"])
fresh.load_state_dict(kept["s"])
step(again, fresh)

swapped = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.25), nn.Linear(2, 1))
swapped.load_state_dict(kept["w"])
with torch.no_grad():
    swapped[0].weight.copy_(kept["w"]["0.weight"].flip(0))  # the same numbers at other places of one tensor
    first, last = swapped[0].bias.clone(), swapped[2].weight.reshape(-1).clone()
    swapped[0].bias.copy_(last)
    swapped[2].weight.copy_(first.reshape(1, 2))
step(swapped, torch.optim.Adam(swapped.parameters(), lr=0.25))
print(json.dumps({"norms": norms, "early": early, **inspected()}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a process saw that trains, saves, and goes on from what it saved."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path_factory.mktemp("inspecting"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.torch
def test_gradient_and_loss_of_a_step(seen):
    """Losses of all micro-batches are added up, and clipping does not hide the norm."""
    first, second, *_ = seen["steps"]
    assert math.sqrt(first["gradient_squares"]) == pytest.approx(seen["norms"][0], rel=1e-6)
    assert first["gradient_norm"] is None
    assert math.sqrt(second["gradient_squares"]) == pytest.approx(1e-3, rel=1e-2)
    assert second["gradient_norm"] > 0.01
    assert all(step["loss"] is not None for step in seen["steps"])
    assert [(step["optimizer"], step["step"]) for step in seen["steps"]] == [
        *((0, 0), (0, 1), (0, 2)),  # the first one
        *((1, 0), (2, 0)),  # what was made from the checkpoint, and the swapped one
    ]


@pytest.mark.torch
def test_a_checkpoint_brings_every_bit_back(seen):
    """Before the step after the checkpoint all numbers are the same in both; a new optimizer has no state."""
    third, again = seen["steps"][2], seen["steps"][3]
    for name in ("parameters", "state", "rates", "loss", "gradient_squares"):
        assert third[name] == again[name], name
    assert third["state"] > 0
    assert seen["steps"][0]["state"] == 0


@pytest.mark.torch
def test_tensors_that_have_changed_places(seen):
    """The same numbers in other tensors are other parameters."""
    assert seen["steps"][4]["parameters"] != seen["steps"][3]["parameters"]
    assert seen["steps"][4]["rates"] == [0.25]


@pytest.mark.torch
def test_what_else_is_noticed(seen):
    """Evaluation counts after the first step only; dropout layers are known by their largest share."""
    assert seen["early"] is False
    assert seen["evaluated"] is True
    assert seen["dropout"] == 0.25
    assert seen["unseen"] == []
