"""Residual networks, as torchvision writes them: in-place ReLU, batch (or group) norm, stride in the 3x3 convolution.

`depth` is 18, 34, 50, 101 or 152 (50 when absent); `image_size` pixels on a side (224), `num_classes` classes (1000).
`hidden_size` is the width after the stem (64); the stages have 1, 2, 4 and 8 times as many channels.
Source: He et al. 2015, arXiv:1512.03385, table 1; torchvision@0.26 torchvision/models/resnet.py:ResNet (version 1.5).
Checked: 25,557,032 parameters at depth 50, 11,689,512 at 18.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from launcher.planning.memory.kinds.assembled import block_of, freeze, head_of, part_of
from launcher.planning.memory.kinds.chain import Operation, Trace, Value, branch, chain
from launcher.planning.memory.kinds.operations import (
    activation,
    conv,
    cross_entropy,
    linear,
    max_pool,
    mean_pool,
    norm,
    width_of,
)
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Setting

__all__ = ["DEPTHS", "WORKSPACE", "resnet"]

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth to blocks of every stage."""
WORKSPACE = 1 << 30
"""Most bytes of cuDNN's workspace for one convolution; the least is none, and the expected figure contains none.

cuDNN's heuristics mostly choose kernels with little; with `torch.backends.cudnn.benchmark = True` 0.1 to 1 GiB is what
people report. Not measured by us.
"""
_BASIC = (18, 34)
_COLOURS, _STEM, _WIDTH, _SIZE, _CLASSES, _DEPTH = 3, 7, 64, 224, 1000, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Channels in, inside and out, pixels on a side in and out."""

    given: int
    inner: int
    result: int
    size: int
    shrunk: int


def resnet(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a residual network: stem, the first block and the others of every stage, head."""
    stem, current, size = _stem(network, setting)
    parts, channels = [stem], network.hidden_size or _WIDTH
    depth = network.depth or _DEPTH
    for stage, blocks in enumerate(DEPTHS[depth]):
        inner = (network.hidden_size or _WIDTH) << stage
        result = inner if depth in _BASIC else 4 * inner
        shrunk = _halved(size) if stage else size
        first = _Block(given=channels, inner=inner, result=result, size=size, shrunk=shrunk)
        other = _Block(given=result, inner=inner, result=result, size=shrunk, shrunk=shrunk)
        for number, block, repeat in ((0, first, 1), (1, other, blocks - 1)):
            trace = _traced(setting, block, current, kind=_norm_of(network))
            part = block_of(trace, current, name=f"layer{stage + 1}.{number}", repeat=repeat)
            parts.append(replace(part, workspace=0 if setting.device_kind == "cpu" else WORKSPACE))
            current = trace.result
        channels, size = result, shrunk
    return freeze((*parts, _head(network, setting, current, channels=channels)), network)


def _norm_of(network: Network) -> str:
    """Norm after every convolution: batch norm, unless group norm is asked for."""
    return "groupnorm" if network.norm == "groupnorm" else "batchnorm"


def _halved(size: int) -> int:
    return (size - 1) // 2 + 1


def _stem(network: Network, setting: Setting) -> tuple[Part, Value, int]:
    images, width, size = (
        setting.micro_batch_size,
        network.hidden_size or _WIDTH,
        network.image_size or _SIZE,
    )
    half = _halved(size)
    quarter = _halved(half)
    given = Value(
        elements=images * _COLOURS * size * size,
        width=4 if setting.formats.autocast else width_of(setting),
        has_gradient=False,
    )
    trace = chain(
        [
            *_convolved(
                setting,
                given=_COLOURS,
                result=width,
                kernel=_STEM,
                size=half,
                stride=2,
                kind=_norm_of(network),
            ),
            _relu(setting, channels=width, size=half),
            max_pool(elements=images * width * quarter * quarter),
        ],
        given,
        gradient=setting.formats.gradient_bytes,
    )
    return part_of(trace, name="stem", place="first"), trace.result, quarter


def _traced(setting: Setting, block: _Block, given: Value, *, kind: str) -> Trace:
    """Two 3x3 convolutions where nothing is widened, else a bottleneck: 1x1, 3x3, 1x1."""
    basic, stride = block.result == block.inner, -(-block.size // block.shrunk)
    convolved = partial(_convolved, setting, kind=kind)
    first = (
        convolved(given=block.given, result=block.inner, kernel=3, size=block.shrunk, stride=stride)
        if basic
        else (
            *convolved(given=block.given, result=block.inner, kernel=1, size=block.size),
            _relu(setting, channels=block.inner, size=block.size),
            *convolved(given=block.inner, result=block.inner, kernel=3, size=block.shrunk, stride=stride),
        )
    )
    last = convolved(given=block.inner, result=block.result, kernel=3 if basic else 1, size=block.shrunk)
    relu = _relu(setting, channels=block.inner, size=block.shrunk)
    same = block.given == block.result and block.size == block.shrunk
    shortcut = (
        ()
        if same
        else convolved(given=block.given, result=block.result, kernel=1, size=block.shrunk, stride=stride)
    )
    return branch([*first, relu, *last], shortcut, given, gradient=setting.formats.gradient_bytes)


def _convolved(
    setting: Setting, *, given: int, result: int, kernel: int, size: int, kind: str, stride: int = 1
) -> tuple[Operation, Operation]:
    images = setting.micro_batch_size
    return (
        conv(setting, images=images, given=given, result=result, kernel=kernel, size=size, stride=stride),
        norm(setting, kind, rows=images, channels=result, area=size * size),
    )


def _relu(setting: Setting, *, channels: int, size: int) -> Operation:
    return activation("relu", elements=setting.micro_batch_size * channels * size * size, in_place=True)


def _head(network: Network, setting: Setting, given: Value, *, channels: int) -> Part:
    rows, classes = setting.micro_batch_size, network.num_classes or _CLASSES
    score = [
        mean_pool(elements=rows * channels),
        linear(setting, rows=rows, given=channels, result=classes),
    ]
    loss = cross_entropy(setting, rows=rows, classes=classes)
    whole = chain([*score, loss], given, gradient=setting.formats.gradient_bytes)
    return head_of(whole=whole, loss=chain([loss], chain(score, given).result), name="fc")
