"""Tiles and waves of one matrix multiplication."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TILE", "Waves", "blocks_of", "waves_of"]

TILE = (128, 256)
"""Rows and columns of the output that one block computes, where the library takes its most efficient tile.

Source: NVIDIA, Matrix Multiplication Background User's Guide, section 2.3 (256x128 and 128x256 first).
"""


class Waves(NamedTuple):
    """Blocks of one multiplication, rounds in which the device works them off, and the share of it that idles."""

    blocks: int
    waves: int
    idle: float


def blocks_of(*, rows: int, columns: int, tile: tuple[int, int] = TILE) -> int:
    """Thread blocks of a product of rows x columns numbers: ceil(m / Tm) ceil(n / Tn).

    Source: stas00/ml-engineering@744d01e training/performance/README.md, "Do more SMs give more TFLOPS?".
    Checked: 8192 x 14336 with 128 x 256 tiles is 3584 blocks, there.
    """
    return -(-rows // tile[0]) * -(-columns // tile[1])


def waves_of(*, rows: int, columns: int, multiprocessors: int, tile: tuple[int, int] = TILE) -> Waves:
    """Blocks, waves = ceil(blocks / multiprocessors), and the share of all slots that compute nothing.

    A wave takes as long whether it is full or not. Idle are the slots of the last wave and the rims of the last tiles.
    Source: as blocks_of.
    Checked: 109 blocks on 108 multiprocessors are 2 waves, there.
    """
    blocks = blocks_of(rows=rows, columns=columns, tile=tile)
    waves = -(-blocks // multiprocessors)
    return Waves(blocks, waves, 1 - rows * columns / (waves * multiprocessors * tile[0] * tile[1]))
