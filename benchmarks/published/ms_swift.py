"""ms-swift's tables: LoRA and full fine-tuning on A100-80GB, max_memory_reserved in GiB, the fuller of the devices.

Samples are longer than every max_length of the tables, so the peak is that of a full sequence. Two devices: layers are
placed one half each (device_map), one micro-batch at a time. Trainer runs bf16 models under autocast. Half of the
layouts set VARIABLE_LENGTHS (launcher/catalog/overheads.py); they are printed apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, in_calibration_half, whole

from launcher.planning.memory.setting import Layout, Setting
from launcher.spec.model import Adapter

__all__ = ["map_row"]

_SHAPES = {
    "qwen-1_8b-chat": (24, 2048, 5504, 16, 16, 151936),
    "qwen-7b-chat": (32, 4096, 11008, 32, 32, 151936),
    "qwen-14b-chat": (40, 5120, 13696, 40, 40, 152064),
    "qwen-72b-chat": (80, 8192, 24576, 64, 64, 152064),
    "chatglm3-6b": (28, 4096, 13696, 32, 2, 65024),
    "yi-6b-chat": (32, 4096, 11008, 32, 4, 64000),
    "yi-34b-chat": (60, 7168, 20480, 56, 8, 64000),
    "openbuddy-zephyr-7b-chat": (32, 4096, 14336, 32, 8, 32000),
    "baichuan2-7b-chat": (32, 4096, 11008, 32, 32, 125696),
    "baichuan2-13b-chat": (40, 5120, 13696, 40, 40, 125696),
}
"""Layers, width, feed-forward width, heads, key and value heads, words. Source: each model's config.json."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """One run."""
    shape = _SHAPES.get(row["model"])
    if shape is None:
        return "no-dims"
    layers, hidden, inner, heads, kv_heads, words = shape
    network = rows.network(
        row,
        implementation="transformers",
        family="qwen2" if row["model"].startswith("qwen") else "llama",
        num_layers=layers,
        hidden_size=hidden,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=words,
        **rows.LLAMA,
    )
    lora = "LoRA" in row["task"]
    if lora:
        rank = int(row["task"].split("r=")[1].split()[0]) if "r=" in row["task"] else 8
        all_linear = "ALL" in row["task"]
        targets = ("q_proj", "k_proj", "v_proj") + (
            ("o_proj", "gate_proj", "up_proj", "down_proj") if all_linear else ()
        )
        precision = row["precision"]
        if "gptq" in precision and "int8" in precision:
            quantization = "int8"
        else:
            quantization = "nf4" if "int4" in precision else "none"
        network = replace(network, adapter=Adapter(rank=rank, targets=targets, quantization=quantization))
    case = Case(
        network=network,
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"], 1),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=1,
            attention="flash" if "flash" in row["attention"] else "eager",
            checkpointing="none" if row["act_ckpt"] == "none" else "full",
            variable_lengths=True,
            formats=rows.PURE,
            layout=Layout(pipeline=whole(row["n_gpus"], 1)),
        ),
        **rows.seen(row, "reserved"),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
    halved = replace(case, calibration=in_calibration_half(case))
    if not row["model"].startswith("qwen"):
        return halved
    # halves were dealt before the first Qwen's own code was told from Qwen2's
    return replace(
        halved,
        network=replace(network, implementation="qwen"),
        setting=replace(case.setting, formats=replace(rows.PURE, wide_loss=True)),
    )
