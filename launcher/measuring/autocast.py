"""torch.autocast for CUDA, as a table of operations: what is cast before each one runs. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_iter, tree_map

__all__ = ["Autocast"]

_LOW = frozenset(
    """
    __matmul__ __rmatmul__ addbmm addmm addmv addr baddbmm bmm chain_matmul multi_dot conv1d conv2d
    conv3d conv_transpose1d conv_transpose2d conv_transpose3d einsum linear matmul mm mv prelu
    scaled_dot_product_attention gru_cell lstm_cell rnn_tanh_cell rnn_relu_cell lstm gru rnn_tanh
    rnn_relu
    """.split()  # noqa: SIM905
)
"""Run in the compute format.

Source: pytorch@v2.13.0 aten/src/ATen/autocast_mode.h:AT_FORALL_LOWER_PRECISION_FP.
"""

_FULL = frozenset(
    """
    __pow__ __rdiv__ __rpow__ __rtruediv__ acos asin binary_cross_entropy_with_logits cosh
    cosine_embedding_loss cdist cosine_similarity cross_entropy cumprod cumsum dist erfinv exp expm1
    group_norm hinge_embedding_loss kl_div l1_loss layer_norm log log10 log_softmax log1p log2
    margin_ranking_loss mse_loss multilabel_margin_loss multi_margin_loss nll_loss norm pdist
    poisson_nll_loss pow prod reciprocal renorm rms_norm rsqrt sinh smooth_l1_loss soft_margin_loss
    softmax softplus sum tan triplet_margin_loss cross_entropy_loss huber_loss logsumexp interpolate
    linalg_vector_norm linalg_matrix_norm
    """.split()  # noqa: SIM905
)
"""Run in fp32; those that take a dtype keep the one they are given.

Source: pytorch@v2.13.0 aten/src/ATen/autocast_mode.h:AT_FORALL_FP32.
"""

_WIDEST = frozenset(
    """
    addcdiv addcmul atan2 bilinear cross dot grid_sample index_put scatter_add tensordot cat stack
    """.split()  # noqa: SIM905
)
"""Run in the widest format among their arguments.

Source: pytorch@v2.13.0 aten/src/ATen/autocast_mode.h:AT_FORALL_PROMOTE.
"""


class Autocast:
    """Casts arguments; one bf16 copy of a weight serves until `forget`, as autocast's cache does."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self._weights: dict[int, tuple[Any, Any]] = {}

    def cast(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of `func` as its kernel receives them."""
        name = getattr(func, "__name__", "")
        if name in _LOW:
            dtype = self._dtype
        elif name in _FULL and kwargs.get("dtype") is None:
            dtype = torch.float32
        elif name in _WIDEST:
            floating = [each.dtype for each in tree_iter((args, kwargs)) if _casts(each)]
            dtype = torch.float32 if torch.float32 in floating else self._dtype
        else:
            return args, kwargs
        cast: tuple[tuple[Any, ...], dict[str, Any]] = tree_map(
            lambda each: self._one(each, dtype), (tuple(args), kwargs)
        )
        return cast

    def forget(self) -> None:
        """Drops the copies of weights, as leaving the context does."""
        self._weights.clear()

    def _one(self, value: Any, dtype: Any) -> Any:
        if not _casts(value) or value.dtype == dtype:
            return value
        if not (value.is_leaf and value.requires_grad and dtype == self._dtype):
            return value.to(dtype)
        if id(value) not in self._weights:
            self._weights[id(value)] = (value, value.to(dtype))
        return self._weights[id(value)][1]


def _casts(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64
