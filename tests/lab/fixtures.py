"""Fixtures: one lab per session, as it was at the start for every test that breaks something."""

from __future__ import annotations

import os

import pytest

from lab.laboratory import Lab, missing

__all__ = ["lab", "mended_lab"]


@pytest.fixture(scope="session")
def lab():
    """Two hosts and, once asked for, Slurm; skips where they cannot be, fails where BATCHWRIGHT_LAB=required."""
    why = missing()
    if why is not None:
        if os.environ.get("BATCHWRIGHT_LAB") == "required":
            pytest.fail(f"BATCHWRIGHT_LAB=required, but {why}")
        pytest.skip(why)
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def mended_lab(lab):
    """The lab for a test that breaks something: whatever it did is taken back afterwards."""
    yield lab
    lab.restore()
