"""What a device holds beside what torch counts, and what the caching allocator holds beside that."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "COMMUNICATOR_BYTES",
    "CONSTANT_BYTES",
    "CONTEXT_BYTES",
    "EXPERT_LOAD",
    "FRAGMENTATION",
    "HOST_FACTOR",
    "MODEL_ERROR",
    "VARIABLE_LENGTHS",
    "Spread",
]

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Spread:
    """A constant with the range it was seen in, where, and when that was looked up."""

    low: float
    expected: float
    high: float
    source: str
    date: str


CONSTANT_BYTES = Spread(
    8 * MIB,
    100 * MIB,
    200 * MIB,
    "workspaces that torch counts: cuBLAS 8,519,680 B per handle and stream (pytorch/pytorch#95668), 32 MiB on Hopper; "
    "the expected value is what Megatron-LM golden values leave over, NVIDIA/Megatron-LM tests/functional_tests",
    "2026-11",
)
"""Bytes inside what torch counts as allocated that no tensor of the model explains."""

EXPERT_LOAD = Spread(
    1.0,
    1.15,
    1.4,
    "half of the expert-parallel layouts in NVIDIA/Megatron-LM@d98e8a64 tests/functional_tests golden values, those "
    "whose arguments hash to an even digit; the other half and every other table report it",
    "2026-11",
)
"""Tokens that the experts of one rank see at the peak over an even share, where nothing is dropped."""

FRAGMENTATION = MappingProxyType(
    {
        "single": Spread(1.0, 1.03, 1.10, "static shapes: reserved over allocated", "2026-11"),
        "ddp": Spread(1.0, 1.03, 1.10, "static shapes: reserved over allocated", "2026-11"),
        "zero": Spread(1.0, 1.05, 1.20, "stages 0 to 2: buckets are allocated once", "2026-11"),
        "zero3": Spread(1.02, 1.10, 1.30, "weights come and go", "2026-11"),
        "fsdp": Spread(
            1.02,
            1.10,
            1.25,
            "pytorch/torchtitan benchmarks: 82.4 and 67.0 GiB reserved, Llama 3.1 8B",
            "2026-11",
        ),
        "megatron": Spread(
            1.0, 1.05, 1.15, "bigscience-workshop/bigscience main logs: reserved, allocated", "2026-11"
        ),
    }
)
"""Bytes that the caching allocator holds over bytes allocated at the peak."""

VARIABLE_LENGTHS = Spread(
    0.5,
    2.0,
    3.0,
    "modelscope/ms-swift benchmark, half of its layouts: max_memory_reserved of padded batches",
    "2026-11",
)
"""Bytes of earlier logits that the allocator keeps, over those at the peak, where batches differ in length.

Logits and their fp32 copies are the largest blocks of a step; those of a shorter batch do not hold a longer one's.
"""

CONTEXT_BYTES = MappingProxyType(
    {
        "cuda": Spread(
            300 * MIB, 500 * MIB, 1343 * MIB, "pytorch/pytorch#107667; transformers docs: V100", "2026-11"
        ),
        "cpu": Spread(
            220 * MIB,
            300 * MIB,
            600 * MIB,
            "the process itself: VmHWM 218 to 243 MiB after importing torch 2.13.0 alone, with accelerate 1.15.0, "
            "transformers 5.23.0 or deepspeed 0.19.8; threads and communication come on top",
            "2026-11",
        ),
        "rocm": Spread(500 * MIB, 1 * GIB, 1536 * MIB, "LUMI AI guide, issue 111", "2026-11"),
        "hpu": Spread(300 * MIB, 1 * GIB, 2 * GIB, "no public figure found; as ROCm", "2026-11"),
    }
)
"""Bytes of the driver's context and loaded kernels."""

COMMUNICATOR_BYTES = MappingProxyType(
    {
        "cuda": Spread(
            100 * MIB, 600 * MIB, 700 * MIB, "NVIDIA/nccl#964: 544 MB for 2, 688 MB for more", "2026-11"
        ),
        "rocm": Spread(300 * MIB, 650 * MIB, 1 * GIB, "LUMI AI guide, issue 111", "2026-11"),
        "hpu": Spread(100 * MIB, 600 * MIB, 1 * GIB, "no public figure found; as NCCL", "2026-11"),
    }
)
"""Bytes of one communicator: one for every group of more than one rank."""

MODEL_ERROR = Spread(
    0.97,
    1.0,
    1.04,
    "chosen, not fitted: benchmarks/accuracy.py finds nine of ten figures of known implementation within 4 %",
    "2026-11",
)
"""Allocated bytes over what the formulas say."""

HOST_FACTOR = 1.5
"""Host bytes over the states that lie there: staging and pinned buffers.

Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage3.py:estimate_zero3_model_states_mem_needs
(additional_buffer_factor).
"""
