"""Options and fixtures of the whole suite."""

from __future__ import annotations

import os
from contextlib import suppress
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


@pytest.fixture(scope="session", autouse=True)
def _shared_memory():
    """DeepSpeed on CPU never frees its buffers (66 MiB a rank); those of jobs that tests start by hand go at the end."""
    pattern = f"deepspeed_allreduce_buffer_{os.getuid()}_*"
    before = set(Path("/dev/shm").glob(pattern))
    yield
    for path in set(Path("/dev/shm").glob(pattern)) - before:
        if not _is_mapped(path):
            path.unlink(missing_ok=True)


def _is_mapped(path: Path) -> bool:
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            if str(path) in maps.read_text(errors="replace"):
                return True
    return False


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
