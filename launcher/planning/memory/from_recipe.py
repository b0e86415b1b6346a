"""A recipe as the memory model sees it: the network, and one way to train it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from launcher.planning.buckets import LARGEST_BUCKET, bucket_elements
from launcher.planning.memory.formats import formats_of
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Buffers, Layout, Setting
from launcher.spec.parallel import Parallel
from launcher.spec.plan import LayoutPlan, ModelPlan, PrecisionPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = ["network_of", "setting_of"]

_PLAIN_TORCH = ("rnn", "lstm", "gru", "bag", "mlp", "resnet")
_STACKED = (*_PLAIN_TORCH, "module")


def network_of(*, recipe: Recipe, model: ModelPlan) -> Network:
    """The network with its dimensions filled in."""
    written = recipe.model
    moe = written.kind == "moe"
    inner = model.intermediate_size or 0
    return Network(
        kind=written.kind,
        implementation=_implementation(recipe),
        family=written.family,
        num_encoder_layers=written.num_encoder_layers,
        bias=written.bias,
        hidden_size=model.hidden_size or 0,
        num_layers=model.num_layers or 0,
        num_attention_heads=model.num_attention_heads or 0,
        num_key_value_heads=model.num_key_value_heads or 0,
        head_dim=model.head_dim or 0,
        intermediate_size=inner,
        vocab_size=model.vocab_size or 0,
        max_positions=(written.max_position_embeddings or _longest(recipe))
        if written.position == "learned"
        else 0,
        gated_mlp=written.gated_mlp,
        activation=written.activation,
        norm=written.norm,
        position=written.position,
        tie_word_embeddings=written.tie_word_embeddings,
        dropout=written.dropout,
        attention_dropout=written.attention_dropout,
        num_experts=written.num_experts or 0,
        num_experts_per_token=written.num_experts_per_token or (1 if moe else 0),
        moe_intermediate_size=written.moe_intermediate_size or (inner if moe else 0),
        num_shared_experts=written.num_shared_experts,
        first_dense_layers=written.first_dense_layers,
        capacity_factor=written.capacity_factor,
        kv_latent_dim=written.kv_latent_dim or 0,
        q_latent_dim=written.q_latent_dim or 0,
        rotary_dim=written.rotary_dim or 0,
        value_dim=written.value_dim or 0,
        sliding_window=written.sliding_window,
        input_size=written.input_size or 0,
        output_size=written.output_size or 0,
        bidirectional=written.bidirectional,
        projection_size=written.projection_size or 0,
        truncate_steps=written.truncate_steps,
        image_size=written.image_size or 0,
        patch_size=written.patch_size or 0,
        depth=written.depth or 0,
        num_classes=written.num_classes or 0,
        adapter=written.adapter,
        frozen=written.frozen,
    )


def setting_of(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    precision: PrecisionPlan,
    num_parameters: int | None,
    micro_batch_size: int,
    gradient_accumulation_steps: int,
) -> Setting:
    """One split of the batch on one rank."""
    length = recipe.sequence_length
    two = length if isinstance(length, EncoderDecoderLength) else None
    strategy, stage = layout.data_strategy, layout.zero_stage or 0
    if recipe.launch.engine == "deepspeed":
        precision = _as_rendered(precision, stage=stage if strategy == "zero" else 0)
    return Setting(
        device_kind=layout.device_kind,
        engine=_engine(recipe),
        micro_batch_size=micro_batch_size,
        sequence_length=two.input if two else length if isinstance(length, int) else 1,
        target_length=two.target if two else None,
        gradient_accumulation_steps=gradient_accumulation_steps,
        optimizer=recipe.optimizer.name,
        momentum=recipe.optimizer.momentum or 0.0,
        optimizer_implementation=_stepping(recipe, layout),
        attention=recipe.attention,
        checkpointing=recipe.activation_checkpointing,
        compile=recipe.compile,
        logits=recipe.loss.logits,
        variable_lengths=_vary(recipe),
        formats=formats_of(
            precision=precision,
            engine=recipe.launch.engine,
            strategy=strategy,
            zero_stage=stage,
            implementation=_implementation(recipe),
        ),
        layout=_layout(recipe, layout),
        buffers=_buffers(recipe, layout, num_parameters),
    )


def _as_rendered(precision: PrecisionPlan, *, stage: int) -> PrecisionPlan:
    """Formats that DeepSpeed's file is given where the recipe leaves them open: it sums and averages in fp32."""
    summed = precision.gradient_dtype or ("fp32" if stage else None)
    return replace(precision, gradient_dtype=summed, reduce_dtype=precision.reduce_dtype or "fp32")


def _stepping(recipe: Recipe, layout: LayoutPlan) -> Literal["auto", "foreach", "fused", "for-loop"]:
    """How the optimizer's step is computed: a script's own optimizer stays torch's under DeepSpeed too."""
    written = recipe.optimizer.implementation
    own = recipe.launch.engine == "deepspeed" and recipe.optimizer.owner == "script"
    return "foreach" if own and written == "auto" and layout.device_kind != "cpu" else written


def _engine(recipe: Recipe) -> str:
    """Who holds gradients and states: Megatron itself where nothing but a launcher starts it."""
    engine = recipe.launch.engine
    return "megatron" if engine == "torchrun" and _implementation(recipe) == "megatron" else engine


def _implementation(recipe: Recipe) -> str:
    """Whose kernels: as written, else compiled where compiled, torch's own layers where no library has the kind."""
    written = recipe.model.implementation
    if written != "auto":
        return written
    if recipe.compile:
        return "compiled"
    return "torch" if recipe.model.kind in _STACKED else "transformers"


def _longest(recipe: Recipe) -> int:
    """Rows of a position table: the longest sequence of the run."""
    length = recipe.sequence_length
    if isinstance(length, EncoderDecoderLength):
        return max(length.input, length.target)
    staged = [stage.sequence_length for stage in recipe.stages if isinstance(stage.sequence_length, int)]
    return max([length or 1, *staged])


def _vary(recipe: Recipe) -> bool:
    """Whether batches differ in length: samples shorter than the sequence that are neither packed nor padded to it."""
    data, length = recipe.data, recipe.sequence_length
    return data.packing == "none" and data.mean_length is not None and data.mean_length != length


def _layout(recipe: Recipe, layout: LayoutPlan) -> Layout:
    parallel = recipe.parallel if isinstance(recipe.parallel, Parallel) else Parallel()
    tensor, pipeline, context = (
        layout.tensor_parallel_size,
        layout.pipeline_parallel_size,
        layout.context_parallel_size,
    )
    data = layout.world_size // (tensor * pipeline * context)
    return Layout(
        data=data,
        tensor=tensor,
        pipeline=pipeline,
        virtual_pipeline=parallel.virtual_pipeline,
        context=context,
        expert=layout.expert_parallel_size,
        sequence_parallel=parallel.sequence,
        devices_per_node=layout.devices_per_node,
        strategy=layout.data_strategy,
        zero_stage=layout.zero_stage or 0,
        shard=parallel.data.shard or _shard(parallel.data.replicate, data * context),
        offload=layout.offload,
        fsdp_version=layout.fsdp_version or 2,
    )


def _shard(replicate: int | None, ranks: int) -> int | None:
    """Ranks that share one of `replicate` copies."""
    return None if replicate is None else max(1, ranks // replicate)


def _buffers(recipe: Recipe, layout: LayoutPlan, num_parameters: int | None) -> Buffers:
    """What the rendered DeepSpeed file says, a recipe's own native keys included."""
    if recipe.launch.engine != "deepspeed":
        return Buffers(reduce_bucket=LARGEST_BUCKET)
    on_cpu = layout.device_kind == "cpu"
    bucket = bucket_elements(num_parameters=num_parameters, on_cpu=on_cpu)
    written = recipe.launch.native.deepspeed.get("zero_optimization", {})
    native = written if isinstance(written, Mapping) else {}
    stage = layout.zero_stage or 0 if layout.data_strategy == "zero" else 0
    usual, overlaps = Buffers(), native.get("overlap_comm")
    return Buffers(
        reduce_bucket=_number(native, "reduce_bucket_size", bucket),
        allgather_bucket=_number(native, "allgather_bucket_size", bucket),
        prefetch_bucket=_number(native, "stage3_prefetch_bucket_size", min(usual.prefetch_bucket, bucket)),
        max_live_parameters=_number(native, "stage3_max_live_parameters", usual.max_live_parameters),
        persistence_threshold=_number(
            native, "stage3_param_persistence_threshold", usual.persistence_threshold
        ),
        overlap=overlaps if isinstance(overlaps, bool) else stage == 3 and not on_cpu,
    )


def _number(native: Mapping[str, Any], key: str, usual: int) -> int:
    """Elements that a native key says; the usual ones where it says `auto` or nothing that is a number."""
    try:
        return int(float(native[key]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return usual
