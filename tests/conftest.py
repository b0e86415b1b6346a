"""Options and fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from lab.fixtures import lab, mended_lab

__all__ = ["lab", "mended_lab"]

# no deadline: a busy machine is not a failure; the same examples for everybody where a change is judged
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("house")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew, then look at the diff"
    )


@pytest.fixture
def golden(request):
    """Compares a folder of tests/golden with files by name: bytes, a missing file fails, an extra one too."""
    update = request.config.getoption("--update-golden")

    def compare(folder: str, files: dict[str, str]) -> None:
        place = Path(__file__).parent / "golden" / folder
        if update:
            place.mkdir(parents=True, exist_ok=True)
            for old in place.iterdir():
                old.unlink()
            for name, text in files.items():
                (place / name).write_bytes(text.encode())
        kept = {path.name: path.read_bytes() for path in sorted(place.glob("*"))}
        assert kept == {name: text.encode() for name, text in files.items()}

    return compare
