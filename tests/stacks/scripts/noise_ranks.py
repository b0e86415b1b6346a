"""Trains every case of a list on the ranks of one launch, and takes the squares of its gradients by hand.

Its argument is a JSON file: [{plan, folder, engine, stage, precision, clip, check}, ...]. Leaves by-hand.json,
trained.pt and the run's own files in each folder.
"""

import copy
import json
import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from launcher import runtime
from launcher.planning.accumulation import micro_batch_slots
from launcher.planning.noise.modes import way_of
from launcher.planning.stages.ledger import stages_of, step_at
from launcher.planning.stream import stream_of

SAMPLES, LONGEST, WORDS, WIDTH = 64, 12, 11, 6


class Ragged(torch.utils.data.Dataset):
    """Sequences of 2 to 12 tokens."""

    def __init__(self):
        source = torch.Generator().manual_seed(3)
        self.lengths = torch.randint(2, LONGEST + 1, (SAMPLES,), generator=source)
        self.tokens = torch.randint(0, WORDS, (SAMPLES, LONGEST), generator=source)
        self.labels = torch.where(
            torch.arange(LONGEST) < self.lengths[:, None], self.tokens.roll(-1, 1), -100
        )

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        return {"tokens": self.tokens[index], "labels": self.labels[index]}


class Model(torch.nn.Module):
    """An embedding whose weight is used twice, two layers, and a bias that no other rank's data can leave unused."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(WORDS, WIDTH)
        self.hidden = torch.nn.Linear(WIDTH, 13)
        self.back = torch.nn.Linear(13, WIDTH, bias=False)

    def forward(self, batch):
        inside = self.back(torch.tanh(self.hidden(self.embedding(batch["tokens"]))))
        logits = (inside @ self.embedding.weight.T).float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none")
        return losses.sum(1)


def squares_by_hand(model, dataset, step, *, plan, way, joint):
    """S, P, b and Q of a step from whole gradients: every rank computes those of all."""
    batch, stream = step.batch, stream_of(plan, num_samples=SAMPLES)
    ranks = range(batch.data_parallel_size)
    slots = {
        (rank, micro): micro_batch_slots(
            micro_step=micro,
            rank=rank,
            micro_batch_size=batch.micro_batch_size,
            data_parallel_size=batch.data_parallel_size,
            samples_in_step=step.size,
        )
        for rank in ranks
        for micro in range(batch.gradient_accumulation_steps)
    }
    first = [[*slots[rank, 0]] for rank in ranks]
    whole = [
        [slot for micro in range(batch.gradient_accumulation_steps) for slot in slots[rank, micro]]
        for rank in ranks
    ]
    groups = first if way == "micro-batches" else whole
    groups = [[slot for group in groups for slot in group]] if joint else [group for group in groups if group]
    planned = step_at(plan, step.number)
    weights = [
        int((dataset[stream.sample(planned, slot)]["labels"] != -100).sum()) for slot in range(step.size)
    ]
    total, size = sum(weights), step.size

    def square(slots, scale):
        model.zero_grad()
        chosen = [dataset[stream.sample(planned, slot)] for slot in slots]
        (model(torch.utils.data.default_collate(chosen)).sum() * scale).backward()
        return sum(float(each.grad.double().square().sum()) for each in model.parameters())

    covered = sum(map(len, groups))
    small = sum(len(group) * square(group, size / len(group) / total) for group in groups) / covered
    rates = [(sum(weights[slot] for slot in group) / len(group)) / (total / size) for group in groups]
    return {
        "small_square": small,
        "big_square": square(range(size), 1 / total),
        "small_size": covered / len(groups),
        "weight_square": sum(len(group) * rate**2 for group, rate in zip(groups, rates, strict=True))
        / covered,
    }


def wrap(case, plan, model, optimizer):
    batch = stages_of(plan)[0].batch
    if case["engine"] == "deepspeed":
        import deepspeed

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        config = {
            "train_micro_batch_size_per_gpu": batch.micro_batch_size,
            "gradient_accumulation_steps": batch.gradient_accumulation_steps,
            "gradient_clipping": case["clip"] or 0.0,
            "zero_optimization": {"stage": case["stage"], **case.get("zero", {})},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            **({"bf16": {"enabled": True}} if case["precision"] == "bf16" else {}),
            **case.get("config", {}),
        }
        engine, optimizer, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        if case.get("scale"):
            engine.optimizer.loss_scale = case["scale"]
        return engine, engine, optimizer
    if case["engine"] == "accelerate":
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        steps = batch.gradient_accumulation_steps
        accelerator = Accelerator(gradient_accumulation_steps=steps, cpu=True)
        model, optimizer = accelerator.prepare(model, optimizer)
        return accelerator, model, optimizer
    if distributed.get_world_size() > 1:
        model = DistributedDataParallel(model, **case.get("ddp", {}))
    return model, model, optimizer


def train(case):
    folder = Path(case["folder"])
    environ = {**os.environ, "LAUNCHER_PLAN": str(folder / "plan.json"), "BATCHWRIGHT_RUN": str(folder)}
    environ.pop("BATCHWRIGHT_PLAN_HASH", None)
    plan = runtime.read_plan(environ)
    torch.manual_seed(0)
    model = Model()
    twin = copy.deepcopy(model)
    if case["precision"] == "bf16" and case["engine"] != "deepspeed":
        model = model.to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    carrier, model, optimizer = wrap(case, plan, model, optimizer)
    run = runtime.start(carrier, environ=environ)
    dataset, by_hand = Ragged(), []
    for step in run.steps(dataset):
        if case["check"]:
            inner = getattr(model, "module", model)
            for mine, its in zip(twin.parameters(), inner.parameters(), strict=True):
                mine.data.copy_(its.data.float())
            joint = case["stage"] == 2
            by_hand.append(
                squares_by_hand(twin, dataset, step, plan=plan, way=way_of(plan, step.batch), joint=joint)
            )
        for micro in step:
            run.backward(model(micro.batch), micro)
        run.apply(optimizer)
    if run.rank == 0:
        (folder / "by-hand.json").write_text(json.dumps(by_hand))
        torch.save(
            [each.detach().clone() for each in getattr(model, "module", model).parameters()],
            folder / "trained.pt",
        )
        (folder / "state.json").write_text(json.dumps(run.state_dict()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    for each in json.loads(Path(sys.argv[1]).read_text()):
        train(each)
    distributed.barrier()
    distributed.destroy_process_group()
