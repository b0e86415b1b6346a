"""scaled_dot_product_attention as CUDA runs it: which kernel is chosen, what it saves, what its backward allocates.

Imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

__all__ = ["attend", "kernel_of"]

_HALF = (torch.float16, torch.bfloat16)


def attend(  # noqa: PLR0917 (torch's signature)
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,  # noqa: ARG001
    enable_gqa: bool = False,
) -> Any:
    """The output of attention, saved as the kernel that CUDA would take saves it."""
    kernel = kernel_of(query, key, value, attn_mask, enable_gqa=enable_gqa)
    if kernel == "flash":
        padded = [_padded(each) for each in (query, key, value)]
        return _Flash.apply(*padded)[..., : value.shape[-1]]
    if kernel == "efficient":
        attn_mask = _additive(attn_mask, query)
        if attn_mask is not None:
            # the kernel returns a gradient of the expanded mask, which is summed afterwards
            attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
        return _Efficient.apply(query, key, value, attn_mask)
    return _math(query, key, value, attn_mask, dropout=dropout_p, causal=is_causal, grouped=enable_gqa)


def kernel_of(query: Any, key: Any, value: Any, mask: Any, *, enable_gqa: bool) -> str:
    """flash, efficient or math.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/cuda/sdp_utils.cpp:use_flash_attention (16-bit, no mask,
    head width up to 256), use_mem_efficient_attention (same number of heads, width in whole vectors).
    """
    width, same = query.shape[-1], query.shape[-1] == value.shape[-1]
    if query.dtype in _HALF and mask is None and width <= 256 and same:
        return "flash"
    vector = 8 if query.dtype in _HALF else 4
    grouped = enable_gqa and query.shape[-3] != key.shape[-3]
    if not grouped and width % vector == 0 and value.shape[-1] % vector == 0:
        return "efficient"
    return "math"


def _padded(tensor: Any) -> Any:
    """Flash attention's wrapper pads heads to a multiple of 8.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/attention.cpp:pad_last_dim<8, false>.
    """
    over = -tensor.shape[-1] % 8
    return tensor if over == 0 else functional.pad(tensor, (0, over))


def _additive(mask: Any, query: Any) -> Any:
    """A boolean mask becomes one that is added, in the queries' format, at every call.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/attention.cpp:convert_boolean_attn_mask.
    """
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask, -1.0)


class _Flash(torch.autograd.Function):  # type: ignore[misc]
    """Flash attention 2: q, k, v, output, fp32 logsumexp, generator state; output laid out as b, s, heads, width.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp:mha_fwd, mha_bwd
    (dq_accum and softmax_d in fp32, lengths rounded to 128, widths to 32; expanded dk and dv with grouped queries).
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        batch, heads, length, width = query.shape
        output = query.new_zeros(batch, length, heads, width).transpose(1, 2)
        lse = query.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, lse)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:  # noqa: ARG004
        query, key, value, _, lse = ctx.saved_tensors
        batch, heads, length, width = query.shape
        results = [_blhd(each, each.shape[1]) for each in (query, key, value)]
        workspace = [
            query.new_empty(batch, length, heads, width, dtype=torch.float32),
            torch.empty_like(lse),
        ]
        if key.shape[1] != heads:
            workspace += [_blhd(each, heads) for each in (key, value)]
        del workspace
        return tuple(results)


class _Efficient(torch.autograd.Function):  # type: ignore[misc]
    """Memory-efficient attention: q, k, v, mask, output, fp32 logsumexp, generator state.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/cuda/attention.cu:_efficient_attention_forward
    (logsumexp rows rounded to 32), attention_backward.cu:_efficient_attention_backward (delta in fp32).
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
        batch, heads, length, _ = query.shape
        output = query.new_zeros(batch, length, heads, value.shape[-1]).transpose(1, 2)
        lse = query.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, mask, output, lse)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:  # noqa: ARG004
        query, key, value, mask, _, lse = ctx.saved_tensors
        results = [_blhd(each, each.shape[1]) for each in (query, key, value)]
        delta = torch.empty_like(lse)
        bias = None
        if mask is not None and ctx.needs_input_grad[3]:
            bias = mask.new_zeros(mask.shape)
        del delta
        return (*results, bias)


def _blhd(like: Any, heads: int) -> Any:
    """Zeros of a gradient, laid out as batch, length, heads, width and seen as batch, heads, length, width."""
    batch, _, length, width = like.shape
    return like.new_zeros(batch, length, heads, width).transpose(1, 2)


def _math(query: Any, key: Any, value: Any, mask: Any, *, dropout: float, causal: bool, grouped: bool) -> Any:
    """The composite of plain operations; its dropout is CUDA's.

    Source: pytorch@v2.13.0 aten/src/ATen/native/transformers/attention.cpp:_scaled_dot_product_attention_math.
    """
    wanted = query.dtype
    if wanted in _HALF:
        query, key, value = query.float(), key.float(), value.float()
    if grouped:
        times = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)
    root = float(query.shape[-1]) ** -0.25
    if causal:
        mask = query.new_ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
    mask = _additive(mask, query)
    scores = torch.matmul(query * root, (key * root).transpose(-2, -1))
    if mask is not None:
        scores = scores + mask
    scores = torch.softmax(scores, -1)
    if dropout > 0:
        scores = torch.native_dropout(scores, dropout, True)[0]
    return torch.matmul(scores, value).to(wanted)
