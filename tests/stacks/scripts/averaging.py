"""What DeepSpeed's engine makes of a gradient under prescale_gradients and gradient_predivide_factor."""

import copy

import deepspeed
import torch
from gradients import ACCUMULATION, RANKS, WIDTH, batch_of, deepspeed_engine, factors, gradient_alone, loss_of

CASES = [
    # ZeRO stage, gradient_predivide_factor, prescale_gradients, reduce_scatter
    (0, 2 * RANKS, False, True),
    (0, RANKS, False, True),
    (0, 1, True, True),
    (1, 2 * RANKS, False, True),
    (2, 2 * RANKS, False, True),
    (2, 1, True, True),
    (2, RANKS, False, False),
    (3, 2 * RANKS, False, True),
    (3, 1, True, True),
    (3, 2 * RANKS, False, False),
    (3, 1, True, False),
    (3, RANKS, False, False),
]


def averages(accelerator):
    """One row for each case: its settings, and its gradient over the mean of the global batch or why it is refused."""
    torch.manual_seed(1)
    model = torch.nn.Linear(WIDTH, 2, bias=False)
    data = [[batch_of(rank=r, step=m) for m in range(ACCUMULATION)] for r in range(RANKS)]
    wanted = gradient_alone(model, data)
    rows = []
    for stage, factor, prescaled, scattered in CASES:
        row = {"stage": stage, "factor": factor, "prescale": prescaled, "reduce_scatter": scattered}
        try:
            moved = trained(
                copy.deepcopy(model),
                data[accelerator.process_index],
                zero_optimization={"stage": stage, "reduce_scatter": scattered},
                gradient_predivide_factor=float(factor),
                prescale_gradients=prescaled,
            )
        except AssertionError as error:
            rows.append({**row, "refused": str(error)})
        else:
            share = float((moved * wanted).sum() / (wanted * wanted).sum())
            rest = float((moved - share * wanted).abs().max())
            rows.append({**row, "share": share, "rest": rest})
    return {"ranks": RANKS, "rows": rows}


def trained(model, batches, **config):
    """How far one step at rate 1 moved the weights, with the plan's factor on the losses."""
    before = model.weight.detach().clone()
    engine = deepspeed_engine(model, **config)
    for batch in batches:
        engine.backward(loss_of(engine, batch, factors()["deepspeed"]))
        engine.step()
    partitioned = [engine.module.weight] if config["zero_optimization"]["stage"] == 3 else []
    with deepspeed.zero.GatheredParameters(partitioned):
        return before - engine.module.weight.detach()
