"""The whole message of every code about locks and revisions, from what brings it about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recipe_pairs import CPU, LLAMA
from repositories import ENVIRON, call

from launcher.cli.locked import locked_findings
from launcher.loading.locks import lock_text, read_lock
from launcher.planning.memory import overheads

MESSAGES = Path(__file__).parent / "messages"


def locked(*, against=None):
    """What check --locked says, all of it."""
    findings = locked_findings(["."], against=against, allow_moved=False, environ=ENVIRON)
    return "".join(f"{problem}\n" for each in findings for problem in each.problems)


def moved(repo, _):
    """Another batch."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.yaml", CPU.replace("size: 32", "size: 48"))
    return locked()


def plan_moved(repo, _):
    """Another script."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.yaml", CPU.replace("train.py", "other.py"))
    return locked()


def split_moved(repo, monkeypatch):
    """A larger context."""
    repo.write("r.yaml", LLAMA)
    call("lock", ".")
    context = overheads.CONTEXT_BYTES["cuda"]
    more = {name: getattr(context, name) + 38 * 2**30 for name in ("low", "expected", "high")}
    monkeypatch.setattr(overheads, "CONTEXT_BYTES", {"cuda": replace(context, **more)})
    return "".join(part for part in locked().splitlines(keepends=True)[:2])


def memory_moved(repo, _):
    """Another band in the lock."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    lock = read_lock("r.plan.json")
    assert lock.memory is not None
    band = replace(lock.memory, peak_bytes=2**31, low_bytes=2**31, high_bytes=2**32)
    repo.write("r.plan.json", lock_text(replace(lock, memory=band)))
    return locked()


def not_locked(repo, _):
    """No lock."""
    repo.write("my recipes/r.yaml", CPU)
    return locked()


def unreadable(repo, _):
    """A merge that nobody settled."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    text = (repo.folder / "r.plan.json").read_text()
    repo.write("r.plan.json", text.replace(' "verdict"', '<<<<<<< HEAD\n "verdict"'))
    return locked()


def too_new(repo, _):
    """A lock of a later version."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    text = (repo.folder / "r.plan.json").read_text()
    repo.write("r.plan.json", text.replace('"lock_version": 1', '"lock_version": 2'))
    return locked()


def edited(repo, _):
    """A number changed by hand."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    text = (repo.folder / "r.plan.json").read_text()
    repo.write("r.plan.json", text.replace('"total_steps": 600', '"total_steps": 700'))
    return locked()


def without_recipe(repo, _):
    """The recipe is gone."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    (repo.folder / "r.yaml").unlink()
    repo.write("s.yaml", CPU)
    call("lock", "s.yaml")
    return locked()


def needs_cluster(repo, _):
    """Three numbers alone."""
    repo.write("r.yaml", "global_batch_size: 64\nsequence_length: 64\nhidden_size: 128\n")
    return call("lock", ".")[2]


def not_a_lock(repo, _):
    """Somebody's notes."""
    repo.write("r.yaml", CPU)
    repo.write("r.plan.json", "notes\n")
    return call("lock", ".")[2]


def unknown_revision(repo, _):
    """A branch that was not fetched."""
    repo.write("r.yaml", CPU)
    repo.commit()
    return call("diff", "origin/release:r.yaml", "r.yaml")[2]


def no_repository(repo, monkeypatch):
    """A folder without git."""
    monkeypatch.chdir(repo.folder.parent)
    (repo.folder.parent / "r.yaml").write_text(CPU)
    said = call("diff", "HEAD:r.yaml", "r.yaml", environ={**ENVIRON, "GIT_CEILING_DIRECTORIES": "/"})[2]
    return said.replace("(or any of the parent directories): .git", "(...)")


def not_in_revision(repo, _):
    """A slip of the path."""
    repo.write("recipes/r.yaml", CPU)
    repo.commit()
    return call("diff", "HEAD:recipe/r.yaml", "recipes/r.yaml")[2]


CASES = {
    "lock-moved": moved,
    "locked-plan-moved": plan_moved,
    "locked-split-moved": split_moved,
    "locked-memory-moved": memory_moved,
    "not-locked": not_locked,
    "lock-unreadable": unreadable,
    "lock-too-new": too_new,
    "lock-edited": edited,
    "lock-without-recipe": without_recipe,
    "lock-needs-cluster": needs_cluster,
    "not-a-lock": not_a_lock,
    "unknown-revision": unknown_revision,
    "no-repository": no_repository,
    "not-in-revision": not_in_revision,
}


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_whole_message(code, repo, monkeypatch, request):
    """As it is kept, word by word."""
    said = CASES[code](repo, monkeypatch)
    path = MESSAGES / f"{code}.txt"
    if request.config.getoption("--update-golden"):
        MESSAGES.mkdir(exist_ok=True)
        path.write_text(said)
    assert path.read_text() == said
    assert f"[{code}]" in said


def test_every_message_has_its_case():
    """None is kept that nothing brings about."""
    assert {path.stem for path in MESSAGES.glob("*.txt")} == set(CASES)
