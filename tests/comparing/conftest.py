"""A git repository for a test to stand in."""

from __future__ import annotations

import pytest
from repositories import Repository


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """An empty repository, in which the test stands."""
    folder = tmp_path / "repo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Repository(folder)
    made.git("init", "-q", "-b", "main")
    return made
