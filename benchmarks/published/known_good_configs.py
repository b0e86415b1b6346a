"""NeMo-Launcher's default configurations: layouts that NVIDIA ships for 80 GB devices (they run; no measurement)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from published import rows
from published.case import Case, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]

_WINDOWS = (
    "chatglm/chatglm2-6b",
    "mixtral/mixtral_8x22b",
    "qwen2/qwen2_14b",
    "qwen2/qwen2_4b",
    "qwen2/qwen2_72b",
    "qwen2/qwen2_7b",
)
_WORDS = {
    "baichuan2": 125696,
    "chatglm": 65024,
    "falcon": 65024,
    "llama1": 32000,
    "llama2": 32000,
    "llama3": 128256,
    "mistral_nemo": 131072,
    "mistral": 32000,
    "mixtral": 32000,
    "nemotron": 256000,
    "qwen2": 152064,
    "starcoder2": 49152,
    "bert": 30522,
    "mt5": 250112,
    "t5": 29184,
    "gpt3": 50304,
}
"""Words of the tokenizers; the first name that the model's starts with or holds."""


def map_row(row: Mapping[str, str]) -> Case | str:
    """One yaml file."""
    model = row["model"]
    if not rows.has_dims(row):
        return "no-dims"
    if model in _WINDOWS or whole(row["seq_len"]) >= 2**19:
        return "contradicts"  # a context window taken over from the model's card, not a length to train at
    network = _network(row, model)
    recompute = row["act_ckpt"]
    return Case(
        network=network,
        setting=Setting(
            engine="megatron",
            micro_batch_size=whole(row["micro_batch"]),
            sequence_length=whole(row["seq_len"]),
            target_length=128 if network.kind == "encoder-decoder" else None,
            gradient_accumulation_steps=whole(row["grad_accum"], 1),
            attention="flash" if row["attention"] else "eager",
            checkpointing="full"
            if recompute == "full"
            else "selective"
            if recompute == "selective"
            else "none",
            formats=replace(rows.MEGATRON, gradient_bytes=2),  # grad_sync_dtype: bf16
            layout=rows.layout(row, strategy="zero", zero_stage=1),
        ),
        outcome=rows.outcome(row),
        **rows.cap({**row, "gpu": "H100"}),
    )


def _network(row: Mapping[str, str], model: str) -> Network:
    words = next(count for name, count in _WORDS.items() if name in model)
    family = model.split("/", maxsplit=1)[0]
    if family in ("gpt3", "bert", "t5", "mt5", "falcon", "starcoder2", "nemotron"):
        improved = "improved" in model
        network = rows.network(
            row,
            kind={"bert": "encoder", "t5": "encoder-decoder", "mt5": "encoder-decoder"}.get(
                family, "decoder"
            ),
            implementation="megatron",
            vocab_size=words,
            gated_mlp=improved,
            activation="silu" if improved else "gelu",
            position="rotary" if family in ("falcon", "starcoder2", "nemotron") else "learned",
            tie_word_embeddings=family not in ("nemotron", "falcon") and not improved,
            dropout=0.1 if family in ("gpt3", "bert", "t5", "mt5") and not improved else 0.0,
        )
    else:
        network = rows.network(row, implementation="megatron", vocab_size=words, **rows.LLAMA)
    if family == "mixtral":
        width = whole(row["ffn_hidden"])
        return replace(
            network, kind="moe", num_experts=8, num_experts_per_token=2, moe_intermediate_size=width
        )
    return network
