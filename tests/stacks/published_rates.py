"""Rows of published tables that more than one test reads."""

__all__ = ["LLAMA_405B"]

LLAMA_405B = [
    (1152, 8e-5, 8000),
    (1008, 7e-5, 9143),
    (2304, 1.6e-4, 4000),
    (4608, 3.2e-4, 2000),
    (6912, 4.8e-4, 1334),
    (9216, 6.4e-4, 1000),
]
"""Sequences per step, learning rate, warmup steps; the first row is the reference.

Source: mlcommons/logging@7bbf792 mlperf_logging/rcp_checker/training_5.0.0/rcps_llama31_405b.json.
"""
