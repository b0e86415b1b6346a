"""Operations of plain torch modules: what each keeps for its backward pass, by device and precision.

Source: pytorch@2.13.0 tools/autograd/derivatives.yaml (which of input and result a formula needs),
aten/src/ATen/autocast_mode.h (which operations cast their input).
Checked: every operation, fp32, bf16 and autocast, with saved_tensors_hooks on CPU; the cuda rows follow the same
formulas with the kernels that a GPU runs, and are not measured on one.
"""

from __future__ import annotations

from launcher.planning.memory.kinds.chain import Operation
from launcher.planning.memory.setting import Setting

__all__ = [
    "activation",
    "conv",
    "cross_entropy",
    "dropout",
    "flatten",
    "linear",
    "linear_cross_entropy",
    "max_pool",
    "mean_pool",
    "mean_squared_error",
    "norm",
    "width_of",
]

GROUPS = 32
"""Groups of a group normalisation. Source: Wu and He 2018, arXiv:1803.08494, section 4 (their default)."""
_STATISTIC = 4
_INDEX = 8
_FROM_RESULT = frozenset({"relu", "tanh"})
"""Activations whose derivative follows from their result; the others keep their input."""


def width_of(setting: Setting) -> int:
    """Bytes of one number in matrix products and convolutions."""
    return 4 if setting.formats.compute == "fp32" else 2


def linear(setting: Setting, *, rows: int, given: int, result: int, bias: bool = True) -> Operation:
    """`nn.Linear` over `rows` rows; autocast keeps a copy of the weight, which it casts once for each forward."""
    weight = given * result
    return Operation(
        elements=rows * result,
        reads=width_of(setting),
        keeps_input=True,
        parameters=(weight, result) if bias else (weight,),
        casts=_casts(setting, weight),
    )


def conv(
    setting: Setting,
    *,
    images: int,
    given: int,
    result: int,
    kernel: int,
    size: int,
    stride: int = 1,
    bias: bool = False,
) -> Operation:
    """`nn.Conv2d` whose result is `size` x `size`."""
    weight = given * result * kernel * kernel
    elements = images * result * size * size
    return Operation(
        elements=elements,
        reads=width_of(setting),
        keeps_input=True,
        parameters=(weight, result) if bias else (weight,),
        casts=_casts(setting, weight),
        casts_always=_casts(setting, weight),
        scratch=_reordered(
            setting, weight=weight, maps=elements + images * given * (size * stride) * (size * stride)
        ),
    )


def _reordered(setting: Setting, *, weight: int, maps: int) -> int:
    """Bytes that oneDNN holds to reorder, for the gradient of a convolution's weight: both maps, then the gradient.

    In two bytes the gradient is summed in fp32 while the maps are still there. CUDA: nothing; see residual.WORKSPACE.
    Source: pytorch@2.13.0 aten/src/ATen/native/mkldnn/Conv.cpp:mkldnn_convolution_backward_weights.
    """
    if setting.device_kind != "cpu":
        return 0
    width = width_of(setting)
    return max(4 * weight, 4 * maps) if width == 4 else 4 * weight + width * maps


def _casts(setting: Setting, weight: int) -> int:
    """Bytes of autocast's copy of a weight; it casts each once for a forward pass."""
    return width_of(setting) * weight if setting.formats.autocast and width_of(setting) < 4 else 0


def activation(name: str, *, elements: int, in_place: bool = False) -> Operation:
    """ReLU and tanh keep their result, GELU (exact or by tanh) and SiLU their input."""
    from_result = name in _FROM_RESULT
    return Operation(
        elements=elements, keeps_input=not from_result, keeps_result=from_result, in_place=in_place
    )


def norm(setting: Setting, name: str, *, rows: int, channels: int, area: int = 1) -> Operation:
    """A normalisation over `rows` rows (images) of `channels` channels, each of `area` numbers.

    On CUDA, autocast runs layer and group norm in fp32; CPU's runs them in what comes. RMSNorm is a fused kernel on
    CUDA and fp32 operations on CPU, which keep input, normalised input and reciprocal root.
    """
    elements = rows * channels * area
    wide = setting.formats.autocast and setting.device_kind != "cpu" and name in {"layernorm", "groupnorm"}
    statistics = {
        "batchnorm": 2 * channels,
        "groupnorm": 2 * rows * GROUPS,
        "layernorm": 2 * rows,
        "rmsnorm": rows,
    }[name]
    if name == "rmsnorm" and setting.device_kind == "cpu":
        return _rms_of_parts(setting, elements=elements, rows=rows, channels=channels)
    return Operation(
        elements=elements,
        parameters=(channels,) if name == "rmsnorm" else (channels, channels),
        reads=4 if wide else None,
        keeps_input=True,
        beside=statistics * _statistic_width(setting),
        # sums of gradients for every channel of every row, in fp32
        scratch=2 * _STATISTIC * rows * channels if name == "groupnorm" else 0,
    )


def _rms_of_parts(setting: Setting, *, elements: int, rows: int, channels: int) -> Operation:
    narrow = width_of(setting) < 4
    return Operation(
        elements=elements,
        parameters=(channels,),
        keeps_input=not narrow,
        beside=_STATISTIC * (rows + elements * (2 if narrow else 1)),
        # its backward holds maps in fp32: gradients of result and normalised input, products, and, cast, the result
        scratch=elements * _STATISTIC * (3 if narrow else 1),
    )


def _statistic_width(setting: Setting) -> int:
    """CPU kernels keep statistics in the parameters' format, CUDA's in fp32."""
    return setting.formats.parameter_bytes if setting.device_kind == "cpu" else _STATISTIC


def dropout(
    setting: Setting, *, elements: int, probability: float, width: int | None = None
) -> tuple[Operation, ...]:
    """`nn.Dropout`: CUDA keeps a mask of one byte, CPU a factor in the width of the values; none at probability 0."""
    if not probability:
        return ()
    each = (width or width_of(setting)) if setting.device_kind == "cpu" else 1
    return (Operation(elements=elements, beside=elements * each),)


def max_pool(*, elements: int) -> Operation:
    """`nn.MaxPool2d`: keeps its input and the index of each maximum (int64)."""
    return Operation(elements=elements, keeps_input=True, beside=_INDEX * elements)


def mean_pool(*, elements: int) -> Operation:
    """`nn.AdaptiveAvgPool2d(1)` and flattening: keeps nothing."""
    return Operation(elements=elements)


def flatten(*, elements: int) -> Operation:
    """A view."""
    return Operation(elements=elements, is_view=True)


def cross_entropy(setting: Setting, *, rows: int, classes: int) -> Operation:
    """`F.cross_entropy`: log-probabilities and targets; autocast computes it in fp32.

    Its backward holds the gradient of the log-probabilities and that of the logits.
    """
    width = 4 if setting.formats.autocast else width_of(setting)
    return Operation(
        elements=1,
        reads=width,
        writes=4,
        beside=rows * classes * width + _INDEX * rows + _STATISTIC,
        scratch=rows * classes * width,
    )


def linear_cross_entropy(setting: Setting, *, rows: int, given: int, classes: int) -> Operation:
    """Projection and cross entropy in one: logits made chunk by chunk, or never.

    Source: chunked: linkedin/Liger-Kernel@v0.6.0 ops/fused_linear_cross_entropy.py (a power of two of rows at a time);
    fused: Wijmans et al. 2024, arXiv:2411.09009 (only a log-sum-exp is kept).
    """
    pieces = max(1, -(-classes // given))
    chunk = min(rows, 1 << (-(-rows // pieces) - 1).bit_length()) if setting.logits == "chunked" else 0
    score = linear(setting, rows=rows, given=given, result=classes)
    return score._replace(
        elements=1,
        writes=4,
        beside=(_INDEX + _STATISTIC) * rows,
        forward_scratch=chunk * classes * width_of(setting),
        scratch=chunk * classes * width_of(setting),
    )


def mean_squared_error(setting: Setting, *, elements: int) -> Operation:
    """`F.mse_loss` against fp32 targets: keeps both; autocast computes it in fp32."""
    return Operation(
        elements=1,
        reads=4 if setting.formats.autocast else None,
        writes=4,
        keeps_input=True,
        beside=4 * elements,
    )
