"""Elements of DeepSpeed's communication buckets: rendered by the engines, priced by the memory model."""

from __future__ import annotations

__all__ = ["LARGEST_BUCKET", "bucket_elements"]

LARGEST_BUCKET = 500_000_000
"""Source: deepspeed@0.19.8 runtime/zero/config.py:DeepSpeedZeroConfig.reduce_bucket_size."""
_SMALL_BUCKET = 50_000_000  # 200 MB in fp32; the default takes 2 GB per buffer, for a small model too


def bucket_elements(*, num_parameters: int | None, on_cpu: bool) -> int:
    """Elements of one bucket: all of a small model at once, in whole millions (DeepSpeed wants an even number)."""
    if on_cpu:
        return _SMALL_BUCKET
    elements = num_parameters or LARGEST_BUCKET
    return min(LARGEST_BUCKET, max(_SMALL_BUCKET, -(-elements // 1_000_000) * 1_000_000))
