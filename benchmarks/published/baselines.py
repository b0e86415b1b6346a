"""What a user would pick instead: the rules of four well-known estimators as documented, in bytes per device.

Parameter counts are the model's own (exact), so every rule starts from the right number of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

from published.case import Case

from launcher.planning.memory.kinds import KINDS

__all__ = ["all_of"]


def all_of(case: Case) -> Mapping[str, float]:
    """Every rule's answer; nothing where the network has no parameter count yet or the rule has no such case."""
    try:
        parts = KINDS[case.network.kind](case.network, case.setting)
    except Exception:  # noqa: BLE001  # counted against the model itself, not against the rules
        return {}
    total = sum(
        part.repeat * sum(weights.count for weights in part.weights if not weights.tied) for part in parts
    )
    largest = max((sum(weights.count for weights in part.weights) for part in parts), default=0)
    found = {
        "DeepSpeed estimate_zero": deepspeed(case, total=total, largest=largest),
        "Accelerate estimate-memory": accelerate(case, total=total),
    }
    if case.network.kind in ("decoder", "encoder", "moe") and case.setting.sequence_length > 1:
        found["EleutherAI calc_transformer_mem"] = eleuther(case)
        found["Megatron theoretical_memory"] = megatron(case)
    return found


def deepspeed(case: Case, *, total: int, largest: int) -> float:
    """Bytes of model states on one GPU, without activations.

    Source: deepspeed 0.19.8 deepspeed/runtime/zero/stage3.py:estimate_zero3_model_states_mem_needs and
    stage_1_and_2.py:estimate_zero2_model_states_mem_needs; stages below 2 have no estimator, 2's is taken.
    """
    layout = case.setting.layout
    gpus = layout.data * layout.tensor * layout.pipeline * layout.context
    if layout.zero_stage == 3:
        kept = {"none": 18 * total / gpus, "optimizer": 2 * total / gpus, "parameters": 0.0}[layout.offload]
        return 4 * largest + kept
    return 2.0 * total if layout.offload != "none" else 2 * total + 18 * total / gpus


def accelerate(case: Case, *, total: int) -> float:
    """Bytes of training with Adam at batch size 1 on one device.

    Source: accelerate 1.15.0 src/accelerate/commands/estimate.py:estimate_training_usage; the largest column is what
    the command prints: 4 x the fp32 weights in fp32, 2 x in 16 bits.
    """
    return 4.0 * total * (4 if case.setting.formats.compute == "fp32" else 2)


def eleuther(case: Case) -> float:
    """Bytes on one GPU, as the calculator's options describe the run.

    Source: EleutherAI/cookbook@069ae2ef calc/calc_transformer_mem.py:calc_mem.
    """
    net, how = case.network, case.setting
    layout, h, layers = how.layout, net.hidden_size, net.num_layers
    gpus = layout.data * layout.tensor * layout.pipeline * layout.context
    low, mixed = 2, how.formats.compute != "fp32"
    shared = net.num_key_value_heads / net.num_attention_heads if net.num_attention_heads else 1
    width = net.moe_intermediate_size if net.kind == "moe" else net.intermediate_size
    mlp = (3 if net.gated_mlp else 2) * layers * h * width
    rest = 2 * net.vocab_size * h + h * how.sequence_length + 8 * h * layers + 2 * h
    rest += int(2 * (1 + shared) * layers * h * h)
    total = rest + mlp * max(1, net.num_experts) / max(1, layout.expert)
    stage = layout.zero_stage
    per_value = low if mixed else 4
    model = total * per_value / (layout.tensor * layout.pipeline) / (gpus if stage == 3 else 1)
    gradients = total * 4 / (gpus if stage >= 2 else 1)
    states = total * 12 / (gpus if stage >= 1 else 1)
    buffers = (5e8 * per_value if stage >= 1 and gpus > 1 else 0) + (
        1e9 * per_value if stage == 3 and gpus > 1 else 0
    )
    tokens = how.sequence_length * how.micro_batch_size
    per_token = 16 * low + 2.0
    if how.checkpointing == "none":
        per_token += (2 * low + 1) * net.num_attention_heads * how.sequence_length / h
    return model + gradients + states + buffers + tokens * h * layers * per_token


def megatron(case: Case) -> float:
    """Bytes on the most loaded rank.

    Source: NVIDIA/Megatron-LM@00caa53a megatron/training/theoretical_memory_usage.py:report_theoretical_memory.
    """
    net, how = case.network, case.setting
    layout, h = how.layout, net.hidden_size
    gated = 3 / 2 if net.gated_mlp else 1
    norm = 1 if net.norm == "rmsnorm" else 2
    groups = (net.num_key_value_heads or net.num_attention_heads) / (net.num_attention_heads or 1)
    ratio = net.head_dim * net.num_attention_heads / h if net.head_dim else 1
    width = (
        net.moe_intermediate_size * max(1, net.num_experts) if net.kind == "moe" else net.intermediate_size
    )
    layer = 2 * h * (width * gated + norm) + 2 * h * h * (1 + groups) * ratio
    embedding = h * net.vocab_size
    shard = (layer * net.num_layers + norm * h) / layout.pipeline + embedding
    if not net.tie_word_embeddings and layout.pipeline == 1:
        shard += embedding
    per_parameter = 6 + 12 / layout.data if layout.zero_stage >= 1 else 18
    selective = layout.sequence_parallel and how.checkpointing == "selective"
    activations = _with_sequence if selective else _without_sequence
    return shard / layout.tensor * per_parameter + activations(case)


def _with_sequence(case: Case) -> float:
    net, how = case.network, case.setting
    tokens, h = how.sequence_length * how.micro_batch_size, net.hidden_size
    saved = tokens * h * (18 + 4 * net.intermediate_size / h) * net.num_layers
    saved = _in_flight(case, saved + tokens * (8 + h) * how.layout.pipeline)
    if how.layout.pipeline == 1:
        saved += tokens * h * 4 * (1 + net.vocab_size / h)
    return saved / how.layout.tensor


def _without_sequence(case: Case) -> float:
    net, how = case.network, case.setting
    tokens, h = how.sequence_length * how.micro_batch_size, net.hidden_size
    saved = tokens * h * (10 + 24 / how.layout.tensor) * net.num_layers
    saved = _in_flight(case, saved + tokens * (8 + h) * how.layout.pipeline)
    if how.layout.pipeline == 1:
        saved += 2 * tokens * (net.vocab_size / how.layout.tensor + h)
    return 1.05 * saved


def _in_flight(case: Case, saved: float) -> float:
    layout = case.setting.layout
    if layout.virtual_pipeline > 1:
        return saved * (1 + (layout.pipeline - 1) / (layout.pipeline * layout.virtual_pipeline))
    return saved * min(1, case.setting.gradient_accumulation_steps / layout.pipeline)
