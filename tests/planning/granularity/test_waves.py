"""Tiles and waves, against published rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.catalog.devices import DEVICES
from launcher.planning.granularity.waves import blocks_of, waves_of

SIZES = st.integers(1, 20000)


def waves(blocks, multiprocessors):
    """Waves of so many whole tiles."""
    return waves_of(rows=128 * blocks, columns=256, multiprocessors=multiprocessors).waves


def test_one_block_more_than_multiprocessors():
    """109 blocks on the 108 multiprocessors of an A100 are two waves.

    Source: stas00/ml-engineering@744d01e training/performance/README.md.
    """
    assert DEVICES["a100-sxm-80gb"].multiprocessors == 108
    assert waves(108, 108) == 1
    assert waves(109, 108) == 2


@pytest.mark.parametrize(
    ("blocks", "at_148", "at_152"),
    [(148, 1, 1), (152, 2, 1), (296, 2, 2), (304, 3, 2), (3584, 25, 24), (50000, 338, 329)],
)
def test_published_waves(blocks, at_148, at_152):
    """Waves on 148 and on 152 multiprocessors, row by row.

    Source: stas00/ml-engineering@744d01e training/performance/README.md, "Do more SMs give more TFLOPS?".
    """
    assert (waves(blocks, 148), waves(blocks, 152)) == (at_148, at_152)


def test_a_feed_forward_layers_blocks():
    """8192 tokens by 14336 in tiles of 128 x 256 are 3584 blocks; 152 multiprocessors are 1.042 times as fast as 148.

    Source: as above.
    """
    assert blocks_of(rows=8192, columns=14336) == 3584
    assert round(waves(3584, 148) / waves(3584, 152), 3) == 1.042


@pytest.mark.parametrize(
    ("device", "count"), [("a100-sxm-40gb", 108), ("h100-sxm-80gb", 132), ("h200-sxm-141gb", 132)]
)
def test_multiprocessors_of_the_catalog(device, count):
    """Counts as the source prints them; a device without one has none."""
    assert DEVICES[device].multiprocessors == count
    assert DEVICES["mi300x"].multiprocessors is None


@given(rows=SIZES, columns=SIZES, multiprocessors=st.integers(1, 200))
def test_idle_share(rows, columns, multiprocessors):
    """Computed numbers over all slots and the idle share make one; waves are the fewest that hold all blocks."""
    found = waves_of(rows=rows, columns=columns, multiprocessors=multiprocessors)
    assert (found.waves - 1) * multiprocessors < found.blocks <= found.waves * multiprocessors
    slots = found.waves * multiprocessors * 128 * 256
    assert found.idle * slots == pytest.approx(slots - rows * columns, abs=1e-6 * slots)
    assert 0 <= found.idle < 1
