"""LitGPT's resource tables, config_hub and Thunder tables: max_memory_allocated in decimal GB.

Peaks come from the longest sample: Alpaca's longest, or the hub's max_seq_length. One micro-batch, bf16-true; with
several devices FSDP wraps and checkpoints each Block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import GB, Case, number, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Layout, Setting
from launcher.spec.model import Adapter

__all__ = ["map_row"]

_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "mlp", "head")
_MLP = {True: ("gate_proj", "up_proj", "down_proj"), False: ("up_proj", "down_proj")}


def map_row(row: Mapping[str, str]) -> Case | str:
    """One experiment."""
    name, task = row["row_id"], row["task"]
    if "adapter" in task:
        return "no-method"
    if "hub" in name and whole(row["n_gpus"]) > max(1, whole(row["dp"], 1)):
        return "duplicate"  # the page: all runs are single-GPU experiments
    if "full" in task and row["model"] in ("llama-3.2-3b", "Phi-3-mini-4k-instruct"):
        return "contradicts"  # weights, gradients and states alone exceed the figure
    if "nvfuser" in row["compile"]:
        return "no-method"  # Thunder's own executors
    network = _network(row)
    if "lora" in task:
        network = replace(network, adapter=_adapter(row, network))
    devices = max(1, whole(row["dp"], 1))
    layout = Layout(data=devices)
    # with use_orig_params frozen and trained weights share one flat gradient, whole between micro-batches; that the
    # tables were made this way was learned from these rows, so they count as calibration
    flat = devices > 1 and "DDP" not in row["sharding"] and "lora" in task
    if devices > 1 and "DDP" not in row["sharding"]:
        layout = Layout(data=devices, strategy="fsdp", zero_stage=3, fsdp_version=1, whole_gradients=flat)
    figure = number(row["peak_mem_gb"])
    pretrain = task == "pretrain"
    steps = max(1, whole(row["grad_accum"]))
    if pretrain:
        steps = 512 // (whole(row["micro_batch"]) * devices)
    elif not row["grad_accum"] and row["global_batch"]:
        steps = max(1, whole(row["global_batch"]) // whole(row["micro_batch"]))
    return Case(
        network=network,
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=steps,
            attention="flash",
            optimizer_implementation="fused" if pretrain else "foreach",
            checkpointing="full" if devices > 1 and not pretrain else "none",
            compile="torchcompile" in row["compile"],
            # the tutorials' length is the longest of Alpaca's samples; few come near it
            variable_lengths="lora" in task and "hub" not in name,
            logits="chunked" if "lora" in task else "full",
            formats=rows.PURE,
            layout=layout,
        ),
        quantity="allocated" if figure else None,
        measured=figure * GB if figure else None,
        outcome=rows.outcome(row),
        known="torchcompile" not in row["compile"],
        calibration=flat,
        **rows.cap(row),
    )


def _network(row: Mapping[str, str]) -> Network:
    model = row["model"].lower()
    compiled = "torchcompile" in row["compile"]
    plain = any(name in model for name in ("phi-1.5", "phi-2", "stablelm", "falcon"))
    given = dict(rows.LLAMA)
    if plain:
        given = {
            "gated_mlp": False,
            "activation": "gelu",
            "norm": "layernorm",
            "position": "rotary",
            "tie_word_embeddings": False,
            "bias": "falcon" not in model,
        }
    elif "gemma" in model:
        given["activation"] = "gelu"
        if "7b" in model or "9b" in model:
            given["head_dim"] = 256
    family = "phi" if ("phi-" in model and plain) or "falcon" in model else "gpt_neox" if plain else None
    return rows.network(row, implementation="compiled" if compiled else "litgpt", family=family, **given)


def _adapter(row: Mapping[str, str], network: Network) -> Adapter:
    found = re.search(r"head=([\w/]+)", row["notes"])
    marks = found[1].split("/") if found else []
    if len(marks) != len(_LINEARS) or "None" in marks:
        marks = ["True", "False", "True", "False", "False", "False"]
    chosen = [name for name, mark in zip(_LINEARS, marks, strict=True) if mark == "True"]
    targets: list[str] = []
    for name in chosen:
        targets.extend(
            _MLP[network.gated_mlp] if name == "mlp" else ("lm_head",) if name == "head" else (name,)
        )
    rank = re.search(r"r=(\d+)", row["task"])
    return Adapter(
        rank=int(rank[1]) if rank else 8,
        targets=tuple(targets),
        quantization="nf4" if "nf4" in row["precision"] or "qlora" in row["task"] else "none",
    )
