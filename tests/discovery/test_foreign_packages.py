"""Recipes that choose an engine of another package, through the whole command line."""

import io
from pathlib import Path

import pytest

from launcher.cli.main import main

PACKAGES = Path(__file__).parent / "packages"
BAD = Path(__file__).parents[1] / "loading" / "bad"


def stderr_of(words, package, monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGES / package))
    monkeypatch.chdir(BAD)
    err = io.StringIO()
    assert main(words, environ={"PATH": ""}, stdout=io.StringIO(), stderr=err) == 1
    return err.getvalue()


@pytest.mark.parametrize(
    ("code", "package", "command"),
    [
        ("engine-clash", "clash", "plan"),
        ("engine-broken", "broken", "plan"),
        ("rendered-differs", "careless", "render"),
    ],
)
def test_the_whole_message(code, package, command, monkeypatch):
    """A package that clashes, breaks or renders something else is named, with what to do about it."""
    expected = (BAD / f"{code}.txt").read_text(encoding="utf-8")
    assert f"[{code}]" in expected
    assert stderr_of([command, f"{code}.yaml"], package, monkeypatch) == expected


def test_a_broken_package_hurts_only_those_who_choose_it(monkeypatch):
    """Everybody else plans as if it were not there."""
    monkeypatch.syspath_prepend(str(PACKAGES / "broken"))
    monkeypatch.chdir(BAD)
    words = ["plan", "engine-broken.yaml", "--set", "launch.engine=torchrun"]
    assert main(words, environ={"PATH": ""}, stdout=io.StringIO(), stderr=io.StringIO()) == 0
