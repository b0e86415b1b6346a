"""NVIDIA Megatron-LM functional tests: torch's max_memory_allocated of the last rank, exact to the byte.

Source: NVIDIA/Megatron-LM@d98e8a64 tests/functional_tests/test_cases/*/*/golden_values_*.json with the arguments of
model_config.yaml beside each; `url` is the file of the row.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from published.case import MIB, Case

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

__all__ = ["TITLE", "map_row", "network_of", "setting_of"]

TITLE = "Megatron-LM functional tests"

_COPIED = ("gpt-gpt3_15b_8t_release_sm_gb200-a100-lts", "gpt-gpt3_15b_8t_release_sm_gb200-h100-dev")
"""Values copied from another test when this one was added: 8 tensor ranks, while its arguments say 4."""

_METHODS = (
    "defer-embedding-wgrad-compute",
    "cuda-graph-impl",
    "fine-grained-activation-offloading",
)


def map_row(row: Mapping[str, str]) -> Case | str:
    """Network and setting of a row, or why it is left out."""
    arguments = json.loads(row["args"])
    reason = _left_out(row, arguments)
    if reason:
        return reason
    return Case(
        network=network_of(row, arguments),
        setting=setting_of(row, arguments),
        quantity="allocated",
        measured=float(row["max_allocated_bytes"]),
        known=True,
        stage=-1,
        calibration=_calibrated(arguments),
    )


def _calibrated(arguments: Mapping[str, Any]) -> bool:
    """Whether EXPERT_LOAD was set with this layout: half of those that spread experts over ranks."""
    if not arguments.get("num-experts") or arguments.get("expert-model-parallel-size", 1) == 1:
        return False
    written = json.dumps(arguments, sort_keys=True).encode()
    return int(hashlib.sha256(written).hexdigest()[0], 16) % 2 == 0


def _left_out(row: Mapping[str, str], arguments: Mapping[str, Any]) -> str | None:
    name = row["row_id"]
    if name.startswith(("nemotron", "multimodal", "mimo", "hybrid", "mamba")):
        return "no-kind"
    if "global-batch-size" not in arguments and "step-batch-size-schedule" not in arguments:
        return "no-batch"
    if name in _COPIED:
        return "contradicts"
    if any(method in arguments for method in _METHODS) or "offloading" in name:
        return "no-method"
    return None


def network_of(row: Mapping[str, str], arguments: Mapping[str, Any]) -> Network:
    """Dimensions, as Megatron derives them from its arguments.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/training/arguments.py:validate_args, core_transformer_config_from_args;
    megatron/training/tokenizer/tokenizer.py:_vocab_size_with_padding.
    """
    get = arguments.get
    hidden, heads = get("hidden-size"), get("num-attention-heads")
    latent = bool(get("multi-latent-attention"))
    experts = get("num-experts", 0)
    gated = bool(get("swiglu"))
    width = get("ffn-hidden-size") or (int(4 * hidden * 2 / 3) // 64 * 64 if gated else 4 * hidden)
    layers = get("num-layers") or get("encoder-num-layers")
    kind = row["row_id"].split("-")[0]
    dense = re.match(r"\(\[0\]\*(\d+)", str(get("moe-layer-freq", "")))
    return Network(
        kind={"bert": "encoder", "t5": "encoder-decoder"}.get(kind, "moe" if experts else "decoder"),
        implementation=_implementation(arguments),
        hidden_size=hidden,
        num_layers=get("decoder-num-layers", layers),
        num_encoder_layers=get("encoder-num-layers"),
        num_attention_heads=heads,
        num_key_value_heads=get("num-query-groups", heads) if get("group-query-attention") else heads,
        head_dim=get("qk-head-dim", 128) if latent else get("kv-channels", hidden // heads),
        rotary_dim=get("qk-pos-emb-head-dim", 64) if latent else 0,
        value_dim=get("v-head-dim", 128) if latent else 0,
        kv_latent_dim=get("kv-lora-rank", 32) if latent else 0,
        q_latent_dim=get("q-lora-rank", 0) if latent else 0,
        intermediate_size=width,
        vocab_size=_vocabulary(int(row["words"]), arguments),
        max_positions=get("max-position-embeddings"),
        gated_mlp=gated,
        activation="silu" if gated else "squared_relu" if get("squared-relu") else "gelu",
        norm="rmsnorm" if get("normalization") == "RMSNorm" else "layernorm",
        position={"rope": "rotary", "none": "none"}.get(get("position-embedding-type"), "learned"),
        tie_word_embeddings=not get("untie-embeddings-and-output-weights"),
        bias=not get("disable-bias-linear"),
        dropout=get("hidden-dropout", 0.1),
        attention_dropout=get("attention-dropout", 0.1),
        query_norm=bool(get("qk-layernorm")) and not latent,
        num_experts=experts,
        num_experts_per_token=get("moe-router-topk", 2) if experts else 0,
        moe_intermediate_size=get("moe-ffn-hidden-size") or width,
        shared_intermediate_size=get("moe-shared-expert-intermediate-size", 0),
        first_dense_layers=int(dense.group(1)) if dense else 0,
        predict_layers=get("mtp-num-layers", 0),
        num_classes=2 if kind == "bert" and not get("bert-no-binary-head") else 0,
    )


def _implementation(arguments: Mapping[str, Any]) -> str:
    if arguments.get("transformer-impl") != "local":
        return "megatron"
    return "megatron-plain" if arguments.get("no-masked-softmax-fusion") else "megatron-local"


def setting_of(row: Mapping[str, str], arguments: Mapping[str, Any]) -> Setting:
    """Batch, formats and layout."""
    get = arguments.get
    gpu = row["gpu"] or "A100"
    # an empty cell is a test of one node: 8 devices, which matters only where data ranks share states
    ranks = int(row["n_gpus"] or 8)
    tensor, pipeline = get("tensor-model-parallel-size", 1), get("pipeline-model-parallel-size", 1)
    context = get("context-parallel-size", 1)
    data = max(1, ranks // (tensor * pipeline * context))
    micro = get("micro-batch-size", 1)
    sequences = get("global-batch-size") or int(re.findall(r"\d+", get("step-batch-size-schedule"))[1])
    steps = max(1, sequences // (micro * data))
    shared = bool(get("use-distributed-optimizer"))
    instances = get("num-distributed-optimizer-instances", 1)
    recomputed = get("recompute-modules", "core_attn")
    low = bool(get("fp16"))
    fusion = get("cross-entropy-fusion-impl", "native")
    layers = get("num-layers") or 0
    pieces = _pieces(arguments, layers=layers, pipeline=pipeline)
    return Setting(
        engine="megatron",
        micro_batch_size=micro,
        sequence_length=get("seq-length") or get("encoder-seq-length"),
        target_length=get("decoder-seq-length"),
        gradient_accumulation_steps=steps,
        optimizer="muon" if get("optimizer") == "muon" else "adamw",
        attention=_attention(gpu, arguments),
        checkpointing=get("recompute-granularity") or "none",
        recomputed_modules=tuple(re.findall(r"\w+", str(recomputed))),
        logits="fused" if get("cross-entropy-loss-fusion") and fusion == "te" else "full",
        compiled_loss=_compiled(row) if get("cross-entropy-loss-fusion") and fusion == "native" else 0,
        expert_dispatch="allgather"
        if get("moe-token-dispatcher-type", "allgather") == "allgather"
        else "alltoall",
        workspace_bytes=_workspaces(gpu, arguments),
        formats=Formats(
            compute="fp8" if get("fp8-format") else "fp16" if low else "bf16",
            parameter_bytes=2,
            gradient_bytes=2 if low else 4,
            main_gradient_bytes=4 if low else 0,
            master_bytes=4,
        ),
        layout=Layout(
            data=data,
            tensor=tensor,
            pipeline=pipeline,
            virtual_pipeline=max(1, len(pieces) // pipeline),
            context=context,
            expert=get("expert-model-parallel-size", 1),
            expert_tensor=get("expert-tensor-parallel-size"),
            sequence_parallel=bool(get("sequence-parallel")) and tensor > 1,
            strategy="fsdp" if get("use-megatron-fsdp") else "zero" if shared else "ddp",
            zero_stage=3 if get("use-megatron-fsdp") else 1 if shared else 0,
            shard=data * context // instances if instances > 1 else None,
            piece_layers=pieces,
            micro_batch_group=get("microbatch-group-size-per-virtual-pipeline-stage"),
        ),
    )


def _vocabulary(words: int, arguments: Mapping[str, Any]) -> int:
    """Rows of the padded vocabulary.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/training/tokenizer/tokenizer.py:_vocab_size_with_padding.
    """
    get = arguments.get
    multiple = get("make-vocab-size-divisible-by", 128) * get("tensor-model-parallel-size", 1)
    return math.ceil((words + get("vocab-extra-ids", 0)) / multiple) * multiple


def _compiled(row: Mapping[str, str]) -> int:
    """Copies that the compiled loss makes; containers of 2025 have a compiler that makes one more.

    Checked: gpt3_mcore_te_tp2_pp2_cross_entropy_loss_fusion, 2025-10 (14.6 bytes per logit) and 2026-08 (9.9).
    """
    return 2 if row["golden"] < "2026-02" else 1


def _attention(gpu: str, arguments: Mapping[str, Any]) -> str:
    """The kernel that Transformer Engine picks: cuDNN's on Hopper, on Blackwell where it need not be deterministic.

    Source: NVIDIA/TransformerEngine@v2.9 transformer_engine/pytorch/attention/dot_product_attention/utils.py:
    get_attention_backend.
    """
    backend = arguments.get("attention-backend", "auto")
    if backend == "unfused" or arguments.get("transformer-impl") == "local":
        return "eager"
    if backend in ("flash", "fused"):
        return {"flash": "flash", "fused": "sdpa"}[backend]
    if gpu == "H100" or (gpu == "GB200" and not arguments.get("deterministic-mode")):
        return "sdpa"
    return "flash"


def _workspaces(gpu: str, arguments: Mapping[str, Any]) -> int:
    """Bytes of cuBLAS workspaces, one for the forward and one for autograd's thread, and of Transformer Engine's.

    The tests that are deterministic set CUBLAS_WORKSPACE_CONFIG=:4096:8 (32 MiB).
    Source: pytorch@v2.9.0 aten/src/ATen/cuda/CublasHandlePool.cpp:parseChosenWorkspaceSize (8,519,680 B, 32 MiB on
    Hopper; on Blackwell since pytorch/pytorch#175344);
    NVIDIA/TransformerEngine@v2.9 transformer_engine/pytorch/module/base.py:get_cublas_workspace_size_bytes,
    get_multi_stream_cublas_workspace, initialize_ub.
    """
    get = arguments.get
    large = bool(get("deterministic-mode")) or gpu != "A100"
    each = 32 * MIB if large else 8_519_680
    if get("transformer-impl") == "local" and not get("num-experts"):
        return 2 * each
    # one, one for each of four streams of grouped products, or one for each of three streams of overlapped ones
    copies = 1 + (4 if get("moe-grouped-gemm") else 0) + (2 if get("tp-comm-overlap") else 0)
    # experts' communication on a stream of its own takes the computation of other layers onto a third and fourth handle
    handles = 4 if get("overlap-moe-expert-parallel-comm") else 2
    return handles * each + copies * (4 if gpu == "A100" else 32) * MIB


def _pieces(arguments: Mapping[str, Any], *, layers: int, pipeline: int) -> tuple[int, ...]:
    """Layers of every pipeline piece in order of depth; nothing where one stage has all.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/transformer/transformer_block.py:get_num_layers_to_build,
    pipeline_parallel_layer_layout.py.
    """
    get = arguments.get
    if pipeline == 1:
        return ()
    if layout := get("pipeline-model-parallel-layout"):
        return tuple(stage.count("t") for stage in _unrolled(layout).split("|"))
    each = get("num-layers-per-virtual-pipeline-stage")
    rounds = layers // pipeline // each if each else get("num-virtual-stages-per-pipeline-rank", 1)
    first, last = get("decoder-first-pipeline-num-layers"), get("decoder-last-pipeline-num-layers")
    if first is not None and last is not None:
        middle = (layers - first - last) // (pipeline - 2)
        return (first, *(middle,) * (pipeline - 2), last)
    count = pipeline * rounds
    if get("account-for-embedding-in-pipeline-split") or layers % count:
        # embedding and loss count as a layer each
        even = (layers + 2) // count
        return (even - 1, *(even,) * (count - 2), even - 1)
    return (layers // count,) * count


def _unrolled(layout: str) -> str:
    """`Et*3|(tt|)*5t|tmL` without its repetitions: `Ettt|tt|tt|tt|tt|tt|t|tmL`."""
    text = re.sub(r"\(([^)]*)\)\*(\d+)", lambda found: found.group(1) * int(found.group(2)), layout)
    return re.sub(r"(\w)\*(\d+)", lambda found: found.group(1) * int(found.group(2)), text)
