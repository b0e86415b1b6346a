"""check --locked: a recipe against the lock beside it, and against those of a git revision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recipe_pairs import CPU, DROPOUT, LLAMA, RAMP
from repositories import ENVIRON, call

from launcher.cli.locked import locked_findings
from launcher.loading.locks import lock_text, read_lock
from launcher.planning.memory import overheads

MORE = CPU.replace("size: 32", "size: 48")


def found(*paths, against=None, allow_moved=False):
    """Codes with their severity by recipe, and all lines."""
    findings = locked_findings(paths or ["."], against=against, allow_moved=allow_moved, environ=ENVIRON)
    codes = {each.recipe: [(p.code, p.severity) for p in each.problems] for each in findings}
    return codes, [line for each in findings for line in each.lines]


def test_what_is_locked_is_silent(repo):
    """A recipe that is what its lock says has a finding without problems."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    assert found() == ({"r.yaml": []}, [])


def test_a_recipe_without_a_lock_is_a_warning(repo):
    """One finding for every recipe."""
    repo.write("r.yaml", CPU)
    assert found()[0] == {"r.yaml": [("not-locked", "warning")]}


def test_a_moved_meaning_is_an_error_with_the_difference(repo):
    """The sentences of diff, from the lock's numbers; allowed, it is a note with the same sentences."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.yaml", MORE)
    codes, lines = found()
    assert codes == {"r.yaml": [("lock-moved", "error")]}
    assert lines[:2] == [
        "semantics changed: yes (batch)",
        "effective batch     32 -> 48                   +50.0 %",
    ]
    codes, allowed = found(allow_moved=True)
    assert codes == {"r.yaml": [("lock-moved", "note")]}
    assert allowed == ["r.yaml: what training means has moved since r.plan.json: batch", *lines]


def test_another_way_to_carry_it_out_is_a_warning(repo):
    """plan_hash moved and semantics_hash did not."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.yaml", CPU.replace("train.py", "other.py"))
    codes, lines = found()
    assert codes == {"r.yaml": [("locked-plan-moved", "warning")]}
    assert lines == ["semantics changed: no", "parts of the plan   launch"]


WITH_DROPOUT = LLAMA.replace("model: {", "model: {dropout: 0.1, ")
STAGES = "stages: [{until: 524288 samples, global_batch_size: 512, sequence_length: 4096}, {}]\n"


@pytest.mark.parametrize("text", [LLAMA, WITH_DROPOUT, LLAMA + STAGES, WITH_DROPOUT + STAGES])
def test_a_better_memory_constant_breaks_no_lock(repo, monkeypatch, text):
    """Where `auto` would choose another micro-batch now, lock and recipe are compared at the locked one."""
    repo.write("r.yaml", text)
    call("lock", ".")
    assert read_lock("r.plan.json").micro_batch_size == 2
    assert found()[0] == {"r.yaml": []}
    context = overheads.CONTEXT_BYTES["cuda"]
    more = {name: getattr(context, name) + 38 * 2**30 for name in ("low", "expected", "high")}
    monkeypatch.setattr(overheads, "CONTEXT_BYTES", {"cuda": replace(context, **more)})
    codes, _ = found()
    assert codes == {"r.yaml": [("locked-split-moved", "warning"), ("locked-memory-moved", "warning")]}
    assert found(allow_moved=True)[0] == codes
    call("lock", ".")
    assert read_lock("r.plan.json").micro_batch_size == 1


def test_a_split_that_somebody_writes_is_another_training_with_dropout(repo):
    """What a person changes is no choice of the memory model."""
    repo.write("r.yaml", DROPOUT)
    call("lock", ".")
    repo.write("r.yaml", DROPOUT + "micro_batch_size: 4\n")
    codes, lines = found()
    assert codes == {"r.yaml": [("lock-moved", "error")]}
    assert lines[0] == "semantics changed: yes (split over ranks)"


def test_estimates_that_leave_their_band_warn(repo):
    """Expected memory outside of the locked band; the hashes are the same."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    lock = read_lock("r.plan.json")
    assert lock.memory is not None
    band = replace(lock.memory, peak_bytes=10**8, low_bytes=9 * 10**7, high_bytes=11 * 10**7)
    repo.write("r.plan.json", lock_text(replace(lock, memory=band)))
    codes, lines = found()
    assert codes == {"r.yaml": [("locked-memory-moved", "warning")]}
    assert lines[0] == "semantics changed: no; the job is the same"
    assert lines[1].endswith("still fits 8.0; the memory model counts otherwise")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda text: text.replace('"total_steps": 600', '"total_steps": 700'), "lock-edited"),
        (lambda text: text.replace(' "verdict"', '=======\n>>>>>>> theirs\n "verdict"'), "lock-unreadable"),
        (lambda text: text.replace('"lock_version": 1', '"lock_version": 7'), "lock-too-new"),
        (lambda _: "", "lock-unreadable"),
        (lambda _: "{}", "lock-unreadable"),
    ],
)
def test_locks_that_cannot_be_used(repo, spoil, code):
    """Each has its own words, as an error."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.plan.json", spoil((repo.folder / "r.plan.json").read_text()))
    assert found()[0] == {"r.yaml": [(code, "error")]}


def test_a_lock_of_bytes(repo):
    """No traceback for what is not text, and none for a folder of that name."""
    repo.write("r.yaml", CPU)
    (repo.folder / "r.plan.json").write_bytes(b"\xff\xfe\x00")
    assert found()[0] == {"r.yaml": [("lock-unreadable", "error")]}
    (repo.folder / "r.plan.json").unlink()
    (repo.folder / "r.plan.json").mkdir()
    assert found()[0] == {"r.yaml": [("lock-unreadable", "error")]}


def test_a_lock_whose_recipe_is_gone(repo):
    """It is found in folders; a file that only has such a name is nobody's."""
    repo.write("a/r.yaml", CPU)
    call("lock", ".")
    (repo.folder / "a/r.yaml").rename(repo.folder / "a/s.yaml")
    repo.write("a/notes.plan.json", "{}")
    codes, _ = found()
    assert codes == {
        "a/s.yaml": [("not-locked", "warning")],
        "a/r.plan.json": [("lock-without-recipe", "error")],
    }


def test_a_recipe_that_is_refused_is_not_compared(repo):
    """What is wrong with it is said by check; its lock is not blamed."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.write("r.yaml", CPU.replace("size: 32", "size: 33"))
    assert found() == ({"r.yaml": []}, [])


def test_locks_of_several_clusters_are_all_held(repo):
    """A change of one cluster's file moves that lock alone."""
    repo.write("r.yaml", CPU)
    repo.write("clusters/big.yaml", "nodes: 1\ndevices_per_node: 4\ndevice: a100-sxm-80gb\n")
    call("lock", "r.yaml")
    call("lock", "r.yaml", "--cluster", "big")
    assert found("r.yaml")[0] == {"r.yaml": []}
    repo.write("clusters/big.yaml", "nodes: 1\ndevices_per_node: 8\ndevice: a100-sxm-80gb\n")
    assert found("r.yaml")[0] == {"r.yaml": [("locked-plan-moved", "warning")]}
    repo.write("r.yaml", MORE)
    codes, lines = found("r.yaml")
    assert codes == {"r.yaml": [("lock-moved", "error"), ("lock-moved", "error")]}
    assert sum(line.startswith("effective batch") for line in lines) == 2


def test_a_lock_renewed_in_the_same_change_hides_nothing(repo):
    """Against the target branch the move fails with the whole difference; approved, it is said and passes."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.write("r.yaml", MORE)
    call("lock", ".")
    assert found()[0] == {"r.yaml": []}
    codes, lines = found(against="main")
    assert codes == {"r.yaml": [("lock-moved", "error")]}
    assert "  global_batch_size: 32 -> 48" in lines
    codes, allowed = found(against="main", allow_moved=True)
    assert codes == {"r.yaml": [("lock-moved", "note")]}
    assert allowed[1:] == lines
    assert call("check", "--locked", "--against", "main", ".")[0] == 1
    assert call("check", "--locked", "--against", "main", "--allow-moved", "--strict", ".")[0] == 0
    repo.commit()
    assert found(against="main")[0] == {"r.yaml": []}
    assert found(against="HEAD~1")[0] == {"r.yaml": [("lock-moved", "error")]}


def test_a_lock_that_is_not_renewed_stays_an_error(repo):
    """Approval is of the move; the lock has to record it."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.write("r.yaml", MORE)
    codes, lines = found(against="HEAD", allow_moved=True)
    assert codes == {"r.yaml": [("lock-moved", "error"), ("lock-moved", "note")]}
    assert sum(line.startswith("effective batch") for line in lines) == 1


def test_a_lock_that_was_deleted_still_counts(repo):
    """Deleting the lock in the same change hides nothing either."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.write("r.yaml", MORE)
    (repo.folder / "r.plan.json").unlink()
    codes, _ = found(against="HEAD")
    assert ("lock-moved", "error") in codes["r.yaml"]
    assert ("not-locked", "warning") in codes["r.yaml"]


def test_new_and_deleted_recipes_are_notes(repo):
    """Since the revision; a first lock is no move."""
    repo.write("old/r.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.git("rm", "-q", "-r", "old")
    repo.write("new/s.yaml", CPU)
    call("lock", ".")
    assert found(against="HEAD")[0] == {
        "new/s.yaml": [("not-in-revision", "note")],
        "old/r.yaml": [("not-in-revision", "note")],
    }


def test_a_first_lock_is_a_note_with_what_moved(repo):
    """Nothing was approved there: the difference is shown, nothing fails."""
    repo.write("r.yaml", CPU)
    repo.commit()
    repo.write("r.yaml", MORE)
    call("lock", ".")
    codes, lines = found(against="HEAD")
    assert codes == {"r.yaml": [("not-locked", "note")]}
    assert lines[:2] == [
        "r.yaml: the recipe has no lock at HEAD: nothing was approved there",
        "semantics changed: yes (batch)",
    ]


def test_a_cluster_or_a_configuration_that_moved_is_seen(repo):
    """The reference has the cluster file and the config.json of its own revision."""
    config = '{"model_type": "gpt2", "n_embd": 128, "n_layer": 2, "n_head": 2, "vocab_size": 512, "n_positions": 64}'
    repo.write("recipes/configs/gpt.json", config)
    repo.write("recipes/clusters/two.yaml", "nodes: 1\ndevices_per_node: 2\ndevice: cpu\n")
    text = "global_batch_size: 32\nsequence_length: 64\nmodel: {config: ../configs/gpt.json}\ncluster: two\n"
    repo.write("recipes/m/r.yaml", text)
    assert call("lock", ".")[0] == 0
    repo.commit()
    repo.write("recipes/configs/gpt.json", config.replace('"n_layer": 2', '"n_layer": 3'))
    repo.write("recipes/clusters/two.yaml", "nodes: 1\ndevices_per_node: 4\ndevice: cpu\n")
    call("lock", ".")
    codes, lines = found(against="HEAD")
    assert codes == {"recipes/m/r.yaml": [("lock-moved", "error")]}
    assert "  model.num_layers: 2 -> 3" in lines
    assert "  cluster.devices_per_node: 2 -> 4" in lines


@pytest.mark.parametrize("text", [CPU, RAMP, LLAMA, DROPOUT])
def test_a_recipe_holds_against_itself(repo, text):
    """Whatever kind it is, from any folder."""
    repo.write("a b/r's.yaml", text)
    call("lock", ".")
    repo.commit()
    assert found("a b", against="HEAD") == ({"a b/r's.yaml": []}, [])
    assert found("a b/r's.yaml", against="HEAD") == ({"a b/r's.yaml": []}, [])
