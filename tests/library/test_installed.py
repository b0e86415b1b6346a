"""The library where only the package is installed: built for real, in an environment of its own, far from the checkout."""

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("launcher", "batchwright_node", "batchwright_witness")
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def run(*words, cwd, **options):
    ran = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def built(source, what, out):
    """The archive that setuptools builds of a folder: `build_wheel` or `build_sdist`."""
    return out / run(sys.executable, "-W", "ignore", "-c", BUILD, what, str(out), cwd=source).splitlines()[-1]


def kept(path):
    return not any(part.startswith(".") or part == "__pycache__" for part in path.parts)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a build needs of the checkout, in a folder that it may write to."""
    folder = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in (*PACKAGES, "recipes"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return built(source, "build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """`batchwright` of a new environment that has the wheel, and the running environment's two dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    python = folder / "venv/bin/python"
    words = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel))
    run(sys.executable, "-m", "pip", "--python", str(python), *words, cwd=folder)
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    )
    for name in ("yaml", "argcomplete"):
        (site / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    return folder / "venv/bin/batchwright"


def in_library(path):
    """The names of an archive's files of the library, from the folder of the library."""
    names = zipfile.ZipFile(path).namelist()
    return {name.partition("launcher/library/")[2] for name in names if "launcher/library/" in name}


def test_the_wheel_holds_the_library(wheel):
    """Every file of the library, once, and nothing that was made beside them."""
    files = {path.relative_to(ROOT / "recipes") for path in (ROOT / "recipes").rglob("*") if path.is_file()}
    assert in_library(wheel) == {path.as_posix() for path in files if kept(path)}
    names = zipfile.ZipFile(wheel).namelist()
    assert not any(name.startswith("recipes/") for name in names)
    assert "launcher/reporting/examples.json" in names


@pytest.mark.full
def test_the_source_archive_builds_the_same(source, wheel, tmp_path):
    """A wheel that is built of the source archive holds the same files."""
    archive = built(source, "build_sdist", tmp_path)
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    again = built(unpacked, "build_wheel", tmp_path)
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_the_library_of_an_installed_package(installed, tmp_path):
    """Listed, shown, copied, the copy planned; a cluster of the library found by its name; a code explained."""
    listed = json.loads(run(installed, "recipes", "--json", cwd=tmp_path))["recipes"]
    assert len(listed) >= 40
    assert all(str(installed.parents[1]) in row["file"] for row in listed)
    run(installed, "recipes", "copy", "quickstart/cpu-1x2", "-o", "mine", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "mine").iterdir()} >= {"cpu-1x2.yaml", "train.py"}
    assert "2,048 tokens per step" in run(installed, "plan", "mine/cpu-1x2.yaml", cwd=tmp_path)
    (tmp_path / "own.yaml").write_text(
        "global_batch_size: 64\nsequence_length: 128\nhidden_size: 256\ncluster: h100-sxm-80gb-8x8\n"
    )
    made = json.loads(run(installed, "plan", "own.yaml", "--json", cwd=tmp_path))
    assert made["layout"]["world_size"] == 64
    assert made["origins"]["layout.num_nodes"]["file"].startswith(
        "batchwright:clusters/h100-sxm-80gb-8x8.yaml"
    )
    assert "[unknown-key]" in run(installed, "explain", "unknown-key", cwd=tmp_path)
    assert "as in recipes/" in run(installed, "explain", "optimizer.betas", cwd=tmp_path)
    assert "complete" in run(installed, "completion", "bash", cwd=tmp_path)
