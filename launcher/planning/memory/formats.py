"""Bytes of parameters, gradients, master weights and optimizer states, as engine and implementation keep them."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.setting import Formats
from launcher.spec.plan import PrecisionPlan

__all__ = ["BYTES", "compute_bytes", "formats_of"]

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 2}
"""Of one stored number; fp8 is a format of products, what is stored beside them is bf16."""


def formats_of(
    *,
    precision: PrecisionPlan,
    engine: str,
    strategy: str,
    zero_stage: int = 0,
    implementation: str = "transformers",
    device_kind: str = "cuda",
) -> Formats:
    """Bytes per number for one way to train; what a recipe writes wins over what the engine would do.

    DeepSpeed's stages 1 and 2 clone fp32 weights for the optimizer (stage_1_and_2.py:__init__), stage 3 does not.
    Mixed precision is kept alike on every device kind.
    """
    del device_kind
    compute = precision.compute
    if compute == "fp32":
        cloned = engine == "deepspeed" and zero_stage in {1, 2}
        formats = Formats(compute="fp32", master_bytes=4 if cloned else 0)
    elif "megatron" in (engine, implementation):
        formats = _megatron(compute)
    elif engine == "deepspeed":
        formats = Formats(
            compute=compute, parameter_bytes=2, gradient_bytes=2, master_bytes=4, reduce_bytes=2
        )
    else:
        # FSDP casts what it gathers, autocast what a layer reads: fp32 at rest in both
        formats = Formats(compute=compute, autocast=strategy != "fsdp")
    return _written(formats, precision)


def compute_bytes(formats: Formats) -> int:
    """Bytes of one number of the computation."""
    return BYTES[formats.compute]


def _megatron(compute: str) -> Formats:
    """Megatron keeps 16-bit weights and fp32 master weights; bf16 accumulates gradients in fp32.

    2 + 4 + 4 + 8 = 18 bytes per parameter in bf16. In fp16 the gradients are 2 bytes, and 4 more hold their fp32
    copy for the optimizer: 20 in all.
    Source: NVIDIA/Megatron-LM@core_r0.12 megatron/training/theoretical_memory_usage.py:
    compute_weight_and_optimizer_memory, megatron/core/optimizer/optimizer.py:_copy_model_grads_to_main_grads.
    """
    gradient_bytes = 4 if compute in {"bf16", "fp8"} else 2
    return Formats(
        compute="fp16" if compute == "fp16" else "fp8" if compute == "fp8" else "bf16",
        parameter_bytes=2,
        gradient_bytes=gradient_bytes,
        main_gradient_bytes=0 if gradient_bytes == 4 else 4,
        master_bytes=4,
    )


def _written(formats: Formats, precision: PrecisionPlan) -> Formats:
    """The formats with what the recipe writes about them."""
    if precision.parameter_dtype is not None:
        parameter = BYTES[precision.parameter_dtype]
        master = formats.master_bytes
        if parameter != formats.parameter_bytes or precision.autocast is None:
            formats = replace(formats, autocast=formats.autocast and parameter == 4)
        # torch keeps gradients and states in the parameter's dtype unless something keeps fp32 weights
        formats = replace(
            formats,
            parameter_bytes=parameter,
            gradient_bytes=formats.gradient_bytes if master else parameter,
            state_bytes=formats.state_bytes if master else parameter,
            master_bytes=master if parameter < 4 else 0,
        )
    if precision.master_weights is not None:
        wanted = 4 if precision.master_weights and formats.parameter_bytes < 4 else 0
        state = 4 if wanted else formats.parameter_bytes
        formats = replace(formats, master_bytes=wanted, state_bytes=state)
    if precision.gradient_dtype is not None:
        formats = replace(formats, gradient_bytes=BYTES[precision.gradient_dtype])
    if precision.reduce_dtype is not None:
        formats = replace(formats, reduce_bytes=BYTES[precision.reduce_dtype])
    if precision.autocast is not None:
        formats = replace(formats, autocast=precision.autocast)
    return formats
