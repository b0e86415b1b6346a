"""Small tables: torchtune, BMTrain, fairseq, PEFT, DeepSpeed, EasyContext, llm.c, nanoGPT, TinyLlama."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from published import rows
from published.case import GIB, Case, number, whole

from launcher.planning.memory.setting import Layout, Setting
from launcher.spec.model import Adapter

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """A row of one of them."""
    for start, mapped in _SOURCES.items():
        if row["row_id"].startswith(start):
            return mapped if isinstance(mapped, str) else mapped(row)
    return "no-dims"


_CONTRADICTORY = {
    "tt-bd2a0fc-L127": "the same settings as L128, half the memory",
    "tt-bd2a0fc-L128": "the same settings as L127, twice the memory",
    "tt-34d70b4-L84": "weights and checkpointed inputs of its batch alone take more",
}


def _torchtune(row: Mapping[str, str]) -> Case | str:
    """Packed sequences, checkpointing on, one bf16 model; single-device recipes step inside the backward pass."""
    task, name = row["task"], row["row_id"]
    if not row["micro_batch"] or not row["seq_len"]:
        return "no-batch"
    devices = whole(row["n_gpus"], 1)
    full = task.startswith("Full")
    if full and "*" in task and devices == 1:
        return "no-method"  # optimizer inside the backward pass
    if full and devices == 1 and name.startswith("tt-bd2a0fc"):
        return "no-method"  # the same, or paged 8-bit AdamW on the 24 GB card
    if row["offload"] or ("*" in task and devices > 1):
        return "no-method"
    if name in _CONTRADICTORY:
        return "contradicts"
    network = rows.network(row, implementation="torchtitan", family="llama", **rows.LLAMA)
    if not full:
        quantization = "nf4" if "nf4" in row["precision"] else "none"
        network = replace(
            network,
            adapter=Adapter(rank=8, targets=("q_proj", "v_proj", "o_proj"), quantization=quantization),
        )
    figure = number(row["peak_mem_gb"])
    return Case(
        network=network,
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=whole(row["grad_accum"], 1) or 1,
            attention="sdpa",
            checkpointing="full",
            logits="chunked" if name.startswith("tt-bd2a0fc") else "full",
            formats=rows.PURE,
            layout=Layout(data=devices, strategy="fsdp", zero_stage=3) if devices > 1 else Layout(),
        ),
        quantity="reserved" if figure else None,
        measured=figure * GIB if figure else None,
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _torchtune_flags(row: Mapping[str, str]) -> Case | str:
    """Cumulative flags on Llama-3.2-3B, batch 2, length 4096, packed from the second row on: max_active, GiB."""
    notes = row["notes"]
    if "Baseline" in notes.split(":")[1].split(";")[0]:
        return "no-length"
    if any(
        word in notes.split(";")[0] for word in ("Fuse optimizer", "Offloading", "8-bit", "QLoRA", "LoRA")
    ):
        return "no-method"  # each row adds on these
    if "+" not in notes.split(";")[0]:
        return "no-method"
    step = notes.split("+", 1)[1].split(";")[0].strip()
    order = ("Packed Dataset", "Compile", "Chunked Cross Entropy", "Activation Checkpointing")
    reached = order.index(step)
    figure = number(row["peak_mem_gb"])
    return Case(
        network=rows.network(
            row,
            implementation="compiled" if reached >= 1 else "torchtitan",
            family="llama",
            **{**rows.LLAMA, "tie_word_embeddings": True},
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"], 2),
            sequence_length=whole(row["seq_len"], 4096),
            gradient_accumulation_steps=whole(row["grad_accum"], 1) or 1,
            attention="sdpa",
            checkpointing="full" if reached >= 3 else "none",
            compile=reached >= 1,
            logits="chunked" if reached >= 2 else "full",
            optimizer_implementation="fused",
            formats=rows.PURE,
        ),
        quantity="allocated",
        measured=figure * GIB if figure else None,
        outcome="ran",
        **rows.cap(row),
    )


def _deepspeed_bf16(row: Mapping[str, str]) -> Case | str:
    """DeepSpeedExamples bf16_master_weight: 6.86 G parameters, ZeRO-3 on 4 devices; vocabulary from that count."""
    low = "low-precision" in row["precision"]
    formats = replace(rows.DEEPSPEED, compute="bf16")
    if low:
        formats = replace(formats, master_bytes=2, state_bytes=2)
    return Case(
        network=rows.network(row, implementation="torch", vocab_size=50000, tie_word_embeddings=False),
        setting=Setting(
            engine="deepspeed",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            attention="sdpa",
            checkpointing="full",
            formats=formats,
            layout=Layout(data=4, strategy="zero", zero_stage=3),
        ),
        quantity="allocated",
        measured=(number(row["peak_mem_gb"]) or 0.0) * GIB,  # see_memory_usage prints GiB as GB
        outcome="ran",
        **rows.cap(row),
    )


def _easycontext(row: Mapping[str, str]) -> Case | str:
    context = whole(row["cp"], 1)
    return Case(
        network=rows.network(row, implementation="transformers", family="llama", **rows.LLAMA),
        setting=Setting(
            engine="deepspeed",
            micro_batch_size=1,
            sequence_length=whole(row["seq_len"]),
            attention="flash",
            checkpointing="full",
            formats=replace(rows.DEEPSPEED, compute="bf16"),
            layout=Layout(
                data=8 // context, context=context, strategy="zero", zero_stage=3, offload="parameters"
            ),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _gpt2(row: Mapping[str, str]) -> Case | str:
    """llm.c (bf16, fp32 master, ZeRO-1, gelu again in the backward pass), nanoGPT (autocast)."""
    llmc = row["row_id"].startswith("llmc")
    formats = replace(rows.DEEPSPEED, compute="bf16") if llmc else rows.AMPBF
    compiled = row["compile"] == "yes"
    return Case(
        network=rows.network(
            row, implementation="fused" if llmc else "compiled" if compiled else "torch", bias=llmc
        ),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=max(1, whole(row["grad_accum"], 1)),
            attention="flash" if llmc else "sdpa",
            optimizer_implementation="fused",
            compile=compiled,
            formats=formats,
            layout=rows.layout(row),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


def _tinyllama(row: Mapping[str, str]) -> Case | str:
    return Case(
        network=rows.network(row, implementation="fused", family="llama", **rows.LLAMA),
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            gradient_accumulation_steps=4,
            attention="flash",
            optimizer_implementation="fused",
            logits="fused",
            formats=rows.FSDP,
            layout=Layout(data=16, strategy="fsdp", zero_stage=3, fsdp_version=1),
        ),
        outcome=rows.outcome(row),
        **rows.cap(row),
    )


_SOURCES: Mapping[str, str | Callable[[Mapping[str, str]], Case | str]] = {
    "tt-flags": _torchtune_flags,
    "tt-lora": "no-length",
    "tt-qlora": "no-length",
    "tt-": _torchtune,
    "bmtrain": "no-layout",  # neither vocabulary nor checkpointing nor offload stand on the page
    "ds-coreapi": _deepspeed_bf16,
    "ds-muon": "no-length",
    "easyctx": _easycontext,
    "llmc": _gpt2,
    "nanogpt": _gpt2,
    "tinyllama": _tinyllama,
}
