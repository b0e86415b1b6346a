"""Started on two ranks: bytes that DeepSpeed, FSDP and DDP hold, by what they are, and at the peak of each phase.

Arguments: rank, port, output file. The environment names the CPU accelerator. Each rank writes what it saw as JSON.
"""

import gc
import json
import os
import sys
import tempfile
from pathlib import Path

import deepspeed
import torch
from deepspeed.utils import logger
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile, record_function

WIDTH, INNER, WORDS, LAYERS = 128, 1024, 4096, 4
BUCKET = 2_000_000
SMALL_BUCKET = 600_000
STEPS = 3


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(WIDTH, INNER, bias=False)
        self.down = torch.nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x):
        return x + self.down(functional.relu(self.up(x)))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(WORDS, WIDTH)
        self.layers = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = torch.nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, ids):
        x = self.words(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x).float().square().mean()


def zero(stage, *, accumulation=1, compute="bf16", wide=False, reduced=None, bucket=BUCKET):
    """An engine of DeepSpeed, and what it holds."""
    network = Network()
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": accumulation,
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": bucket,
            "stage3_param_persistence_threshold": 0,
        },
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-3, "torch_adam": True}},
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
    if compute != "fp32":
        config[compute] = {"enabled": True}
    if reduced:
        config["communication_data_type"] = reduced
    if wide:
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    engine, optimizer, _, _ = deepspeed.initialize(
        model=network, config=config, model_parameters=network.parameters()
    )

    def held():
        inner = getattr(optimizer, "optimizer", optimizer)
        masters = [
            tensor
            for name in (
                "single_partition_of_fp32_groups", "fp32_partitioned_groups_flat", "fp32_groups_flat_partition",
                "fp32_groups_flat",
            )
            for tensor in getattr(optimizer, name, ())
        ]  # fmt: skip
        masters += [tensor for group in getattr(optimizer, "fp32_groups", ()) for tensor in group]
        parameters = [getattr(p, "ds_tensor", p.data) for p in network.parameters()]
        states = [value for state in inner.state.values() for value in state.values()]
        buckets = [bucket.buffer for bucket in getattr(optimizer, "ipg_buckets", {}).values()]
        return {
            "parameters": parameters,
            "master_weights": masters,
            "optimizer_states": states,
            "buckets": [tensor for one in buckets for tensor in (one if isinstance(one, list) else [one])],
            "partition": [getattr(optimizer, "grad_partitions_flat_buffer", None)],
        }

    def step(loss):
        engine.backward(loss)
        return engine.step

    return engine, step, held


def sharded(*, strategy, accumulation=1):
    """A network under FSDP2 with bf16 computation, or under DDP, and what it holds."""
    del accumulation
    network = Network()
    if strategy == "ddp":
        model = DistributedDataParallel(network)
    else:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        for layer in network.layers:
            fully_shard(layer, mp_policy=policy, reshard_after_forward=strategy == "full")
        model = fully_shard(network, mp_policy=policy)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, foreach=False)

    def held():
        states = [value for state in optimizer.state.values() for value in state.values()]
        return {
            "parameters": [local(p) for p in network.parameters()],
            "gradients": [local(p.grad) for p in network.parameters() if p.grad is not None],
            "optimizer_states": [local(value) for value in states],
        }

    def finish():
        optimizer.step()
        optimizer.zero_grad()

    def step(loss):
        loss.backward()
        return finish

    return model, step, held


def local(tensor):
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def unique_bytes(tensors):
    """Bytes of the storages behind tensors, each once; steps are counted by a tensor of one number."""
    found = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in tensors
        if isinstance(tensor, torch.Tensor) and tensor.numel() > 1
    }
    return sum(found.values())


def observed(build, options):
    """Bytes held in the last step, by what they are, and how far every phase rises above the start of its step."""
    accumulation = options.get("accumulation", 1)
    ids = torch.zeros(1, 1, dtype=torch.long)
    held = {}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        model, step, holds = build(**options)
        for number in range(STEPS):
            with record_function(f"phase:{number}:start"):
                gc.collect()
            for micro in range(accumulation):
                mark = f"phase:{number}:" if micro == accumulation - 1 else ""
                with record_function(f"{mark}forward"):
                    loss = model(ids)
                with record_function(f"{mark}backward"):
                    finish = step(loss)
                if mark:
                    held = {name: unique_bytes(tensors) for name, tensors in holds().items()}
                if mark or isinstance(model, deepspeed.DeepSpeedEngine):
                    with record_function(f"{mark}optimizer-step"):
                        finish()
    return {**held, **rises(profiled)}


def rises(profiled):
    """Largest number of bytes alive in every marked phase, above those alive at its step's start: the least of steps.

    The first step has no optimizer states yet and does not count. What a thread of the communication library frees is
    never reported, so that single steps seem too high.
    """
    events = trace(profiled)
    changes = sorted(
        (event["ts"], event["args"]["Addr"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]"
    )
    marks = sorted(
        (event["ts"], event["ts"] + event["dur"], *event["name"].split(":")[1:])
        for event in events
        if str(event.get("name", "")).startswith("phase:")
    )
    alive, total, position, start = {}, 0, 0, 0
    found = {}

    def passed(until):
        """Bytes alive after everything that happened until then, and the most on the way."""
        nonlocal total, position
        most = total
        while position < len(changes) and changes[position][0] <= until:
            _, address, amount = changes[position]
            position += 1
            if amount > 0:
                alive[address] = amount
                total += amount
            else:
                # what an earlier case left behind was never counted
                total -= alive.pop(address, 0)
            most = max(most, total)
        return total, most

    for begin, end, number, name in marks:
        passed(begin)
        last, most = passed(end)
        if name == "start":
            start = last
        elif number != "0":
            found[name] = min(found.get(name, most - start), most - start)
    return found


def trace(profiled):
    """Events of a profile, as its own file has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(path))
        return json.loads(path.read_text())["traceEvents"]


CASES = {
    **{f"zero {stage}": (zero, {"stage": stage}) for stage in range(4)},
    **{f"zero {stage} fp32 gradients": (zero, {"stage": stage, "wide": True}) for stage in (1, 2, 3)},
    **{
        f"zero {stage} as rendered": (zero, {"stage": stage, "wide": stage > 0, "reduced": "fp32"})
        for stage in range(4)
    },
    **{f"zero {stage} accumulating": (zero, {"stage": stage, "accumulation": 2}) for stage in (1, 2)},
    "zero 2 fp32": (zero, {"stage": 2, "compute": "fp32"}),
    **{f"zero {stage} small bucket": (zero, {"stage": stage, "bucket": SMALL_BUCKET}) for stage in (2, 3)},
    **{name: (sharded, {"strategy": name}) for name in ("ddp", "full", "grad-op")},
    "ddp accumulating": (sharded, {"strategy": "ddp", "accumulation": 2}),
}


def main(rank, port, path, names):
    os.environ.update(
        RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", LOCAL_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    logger.setLevel("ERROR")
    deepspeed.init_distributed("gloo")
    seen = {}
    for name in names or CASES:
        build, options = CASES[name]
        torch.manual_seed(0)
        seen[name] = observed(build, options)
        gc.collect()
    numbers = sum(p.numel() for p in Network().parameters())
    Path(f"{path}.{rank}").write_text(json.dumps({"numbers": numbers, "cases": seen}))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])
