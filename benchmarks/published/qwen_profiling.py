"""Qwen's own profile of fine-tuning: batch 1, 8 accumulation steps, inputs of exactly this length, A100-80GB.

finetune.py: PEFT LoRA of rank 64 on c_attn, c_proj, w1 and w2, checkpointing on, bf16 under Trainer's autocast, on two
nodes as on one device (README: "the rest of configurations are the same"); Q-LoRA in fp16 under DeepSpeed ZeRO-2, as
finetune_qlora_single_gpu.sh starts it; full parameters under DeepSpeed ZeRO-3; LoRA (emb) also trains both embeddings.
The page does not say which figure "G" is: nvidia-smi's MiB, by the thousand, is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import MIB, Case, number, whole

from launcher.planning.memory.setting import Buffers, Layout, Setting
from launcher.spec.model import Adapter

__all__ = ["map_row"]

_FP32_ADAPTERS = replace(rows.PURE, gradient_bytes=4, master_bytes=2, state_bytes=4, wide_loss=True)
"""Adapters in fp32 (2 + 2 bytes) beside a bf16 model, under autocast.

Source: huggingface/peft@v0.5.0 tuners/lora.py:update_layer."""
_ZERO2 = Buffers(reduce_bucket=200_000_000, allgather_bucket=200_000_000, overlap=True)
"""Source: QwenLM/Qwen@2df8e8ac finetune/ds_config_zero2.json, which finetune_qlora_single_gpu.sh gives; the sizes that
ds_config_zero3.json leaves open ("auto") are transformers@v4.32.0 deepspeed.py:trainer_config_finalize's."""
_SHAPES = {
    "Qwen-1.8B": {"n_layers": "24", "hidden": "2048", "ffn_hidden": "5504", "heads": "16"},
    "Qwen-7B": {"n_layers": "32", "hidden": "4096", "ffn_hidden": "11008", "heads": "32"},
    "Qwen-14B": {"n_layers": "40", "hidden": "5120", "ffn_hidden": "13696", "heads": "40"},
    "Qwen-72B": {"n_layers": "80", "hidden": "8192", "ffn_hidden": "24576", "heads": "64"},
}
"""Source: config.json of the models on the Hugging Face hub; the file's intermediate_size is twice the width."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """One length of one method."""
    if not row["seq_len"]:
        return "no-length"
    if row["fits"] == "no":
        return "not-memory" if not row["micro_batch"] else _case({**row, "fits": "OOM"})
    return _case(row)


def _case(row: Mapping[str, str]) -> Case | str:
    task = row["task"]
    full = "ull" in task.split()[0]
    quantized = "Q-LoRA" in task
    network = rows.network(
        {**row, **_SHAPES[row["model"]], "vocab": "152064" if "1.8B" not in row["model"] else "151936"},
        implementation="qwen",
        family="qwen2",
        **rows.LLAMA,
    )
    if not full:
        targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        network = replace(
            network, adapter=Adapter(rank=64, targets=targets, quantization="nf4" if quantized else "none")
        )
    if "(emb)" in task:
        return "no-method"  # two full matrices trained beside the adapter
    devices = whole(row["n_gpus"], 1)
    zero3 = full or "zero3" in row["sharding"]
    layout, buffers = Layout(data=devices), Buffers()
    if zero3:
        square = network.hidden_size**2
        layout = Layout(data=devices, strategy="zero", zero_stage=3)
        buffers = Buffers(
            reduce_bucket=square,
            prefetch_bucket=square * 9 // 10,
            persistence_threshold=10 * network.hidden_size,
        )
    elif quantized:
        layout, buffers = Layout(data=devices, strategy="zero", zero_stage=2), _ZERO2
    figure = number(row["peak_mem_gb"])
    deepspeed = zero3 or quantized
    formats = replace(rows.DEEPSPEED, compute="bf16")
    return Case(
        network=network,
        setting=Setting(
            engine="deepspeed" if deepspeed else "torchrun",
            micro_batch_size=1,
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=8,
            attention="flash",
            checkpointing="full",
            formats=formats if deepspeed else _FP32_ADAPTERS,
            layout=layout,
            buffers=buffers,
        ),
        quantity="device" if figure else None,
        measured=figure * 1000 * MIB if figure else None,
        outcome=rows.outcome(row),
        **rows.cap({**row, "gpu": "A100", "gpu_mem_gb": "80"}),
    )
