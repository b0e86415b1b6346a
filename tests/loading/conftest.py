"""What several files here use."""

from pathlib import Path

import pytest

from launcher.loading import load_recipe


@pytest.fixture(scope="session")
def full():
    """The recipe that says everything."""
    return load_recipe(Path(__file__).parents[1] / "contract" / "full.yaml")
