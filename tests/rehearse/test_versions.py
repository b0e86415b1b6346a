"""Versions are read from the names of folders, of the environment whose interpreter the job uses."""

from __future__ import annotations

import sys
from pathlib import Path

from launcher import load_recipe
from launcher.discovery.versions import installed_versions, known_versions, versions_file


def test_names_of_installed_packages(tmp_path):
    """Wheels and source installs count, packages with similar names do not, and links are not followed."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    place = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (
        *("torch-2.13.0+cpu.dist-info", "torch_geometric-2.0.dist-info", "torchvision-0.28.0.dist-info"),
        *("deepspeed-0.19.8-py3.11.egg-info", "accelerate", "numpy-2.0.dist-info"),
    ):
        (place / name).mkdir(parents=True)
    assert installed_versions(python) == {"deepspeed": "0.19.8", "torch": "2.13.0+cpu"}
    assert installed_versions(tmp_path / "elsewhere" / "bin" / "python3") == {}
    assert installed_versions(None) == {}


def test_a_record_that_is_no_record(tmp_path):
    """Whatever lies there, a run goes on as if nothing were known."""
    (tmp_path / "r.yaml").write_text("global_batch_size: 2\nsequence_length: 16\nhidden_size: 64\n")
    recipe = load_recipe(tmp_path / "r.yaml")
    assert known_versions(recipe) == {}
    file = versions_file(recipe)
    assert file == Path(tmp_path, ".batchwright", "versions.json")
    file.parent.mkdir()
    for text in ("", "[]", '{"r.yaml": 3}', "\xff"):
        file.write_text(text, encoding="latin-1")
        assert known_versions(recipe) == {}
    file.write_text('{"r.yaml": {"torch": "2.0"}}')
    assert known_versions(recipe) == {"r.yaml": {"torch": "2.0"}}
