"""`batchwright lock`: what is written, what is left alone, and what is refused."""

import json
from contextlib import suppress

import pytest
from recipe_pairs import CPU, RAMP
from repositories import call

from launcher.loading.locks import LockError, lock_text, read_lock


def test_a_lock_is_short_and_says_the_numbers(repo):
    """Some twenty lines of JSON with numbers as numbers, both hashes, and the parts of the meaning on one line."""
    repo.write("r.yaml", CPU)
    code, out, err = call("lock", "r.yaml")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("wrote r.plan.json   fits, semantics ")
    assert out.splitlines()[-1] == "1 written, 0 unchanged"
    text = (repo.folder / "r.plan.json").read_text()
    lock = json.loads(text)
    assert 15 <= len(text.splitlines()) <= 25
    assert (lock["recipe"], lock["cluster"], lock["verdict"]) == ("r.yaml", None, "fits")
    assert lock["micro_batch_size"] * lock["gradient_accumulation_steps"] * lock["data_parallel_size"] == 32
    assert (lock["tokens_per_step"], lock["total_steps"], lock["total_samples"]) == (2048, 600, 19200)
    assert (lock["peak_learning_rate"], lock["warmup_steps"], lock["warmup_samples"]) == (1e-3, 30, 960)
    assert lock["memory"]["low_bytes"] < lock["memory"]["peak_bytes"] < lock["memory"]["high_bytes"]
    plan = json.loads(call("plan", "r.yaml", "--json")[1])
    assert (lock["semantics_hash"], lock["plan_hash"]) == (plan["semantics_hash"], plan["plan_hash"])
    parts = {"model", "data", "optimizer", "schedule", "stages", "loss", "precision", "batch", "seed"}
    assert set(lock["meaning"]) == parts
    assert sum('"meaning"' in line for line in text.splitlines()) == 1


def test_stages_are_locked(repo):
    """Each stage is a short row: until, batch, length, micro-batch, accumulation, first step."""
    repo.write("r.yaml", RAMP)
    assert call("lock", "r.yaml")[0] == 0
    lock = json.loads((repo.folder / "r.plan.json").read_text())
    assert [row[:3] + row[5:] for row in lock["stages"]] == [
        ["1280 samples", 8, 64, 1],
        ["3840 samples", 16, 64, 161],
        [None, 32, 64, 321],
    ]
    assert lock_text(read_lock("r.plan.json")) == (repo.folder / "r.plan.json").read_text()


def test_a_hundred_stages_stay_readable(repo):
    """A ramp of many stages shares lines, none of which is long."""
    ends = [160 * 8 * n * (n + 1) // 2 for n in range(1, 100)]
    steps = ", ".join(
        f"{{until: {end} samples, global_batch_size: {8 * n}}}" for n, end in enumerate(ends, 1)
    )
    repo.write(
        "r.yaml",
        CPU.replace("600 steps", "10M samples").replace("optimizer:", f"stages: [{steps}, {{}}]\noptimizer:"),
    )
    repo.write(
        "r.yaml",
        (repo.folder / "r.yaml").read_text().replace("global_batch_size: 32", "global_batch_size: 800"),
    )
    code, _, err = call("lock", "r.yaml")
    assert (code, err) == (0, "")
    lines = (repo.folder / "r.plan.json").read_text().splitlines()
    stages = lines[next(at for at, line in enumerate(lines) if '"stages"' in line) :]
    assert len(json.loads("\n".join(lines))["stages"]) == 100
    assert max(len(line) for line in stages[: stages.index(" ],")]) <= 115
    assert len(lines) < 80


def test_what_moved_is_said_and_what_did_not_is_left_alone(repo):
    """A second lock says what moved; an unchanged one is not written, not even for another version of ours."""
    repo.write("r.yaml", CPU)
    call("lock", ".")
    path = repo.folder / "r.plan.json"
    before = path.stat().st_mtime_ns
    assert call("lock", ".")[1] == "0 written, 1 unchanged\n"
    from dataclasses import replace

    path.write_text(lock_text(replace(read_lock(str(path)), batchwright="9.9")))
    assert call("lock", ".")[1] == "0 written, 1 unchanged\n"
    assert "9.9" in path.read_text()
    repo.write("r.yaml", CPU.replace("size: 32", "size: 48"))
    out = call("lock", "r.yaml")[1]
    assert "  semantics changed: yes (batch)\n  effective batch     32 -> 48" in out
    assert path.stat().st_mtime_ns > before


def test_locks_of_other_clusters(repo):
    """--cluster makes a second lock; both are renewed together, whichever folder the name comes from."""
    repo.write("r.yaml", CPU)
    repo.write("clusters/big.yaml", "nodes: 1\ndevices_per_node: 4\ndevice: a100-sxm-80gb\n")
    assert call("lock", "r.yaml")[0] == 0
    assert call("lock", "r.yaml", "--cluster", "big")[0] == 0
    lock = json.loads((repo.folder / "r@big.plan.json").read_text())
    assert (lock["cluster"], lock["device"], lock["world_size"]) == ("big", "a100-sxm-80gb", 4)
    repo.write("r.yaml", CPU.replace("size: 32", "size: 64"))
    assert call("lock", "r.yaml")[1].splitlines()[-1] == "2 written, 0 unchanged"
    assert call("lock", "r.yaml", "--cluster", "clusters/big.yaml")[0] == 0


def test_a_recipe_without_machines(repo):
    """It is refused with what to do; once it is locked for a cluster, that lock is renewed."""
    repo.write("r.yaml", "global_batch_size: 64\nsequence_length: 64\nhidden_size: 128\n")
    repo.write("clusters/big.yaml", "nodes: 1\ndevices_per_node: 4\ndevice: a100-sxm-80gb\n")
    code, out, err = call("lock", ".")
    assert (code, out) == (1, "0 written, 0 unchanged\n")
    assert "[lock-needs-cluster]" in err
    assert "batchwright lock r.yaml --cluster NAME" in err
    assert call("lock", ".", "--cluster", "big")[0] == 0
    repo.write("r.yaml", "global_batch_size: 32\nsequence_length: 64\nhidden_size: 128\n")
    code, out, err = call("lock", ".")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "1 written, 0 unchanged"


def test_a_refused_recipe_is_not_locked_and_the_others_are(repo):
    """Problems on stderr with their places, exit code 1; one bad recipe keeps no other from its lock."""
    repo.write("a/bad.yaml", CPU.replace("size: 32", "size: 33"))
    repo.write("a/good.yaml", CPU)
    code, out, err = call("lock", "a")
    assert code == 1
    assert err.startswith("a/bad.yaml:3:20: ")
    assert err.endswith("1 problem\n")
    assert "wrote a/good.plan.json" in out
    assert not (repo.folder / "a/bad.plan.json").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}\n", "not-a-lock"),
        ("my notes", "not-a-lock"),
        ('{"lock_version": 2, "semantics_hash": "x", "batchwright": "9"}', "lock-too-new"),
        ("", "not-a-lock"),
        ("[1]", "not-a-lock"),
        ("[" * 100_000, "not-a-lock"),
    ],
)
def test_what_is_no_lock_of_ours_is_not_overwritten(repo, text, code):
    """Whatever has the name of a lock and is none stays, and so does a newer one."""
    repo.write("r.yaml", CPU)
    path = repo.write("r.plan.json", text)
    exit_code, _, err = call("lock", "r.yaml")
    assert exit_code == 1
    assert f"[{code}]" in err
    assert path.read_text() == text


def test_the_lock_of_another_recipe_is_not_overwritten(repo):
    """a.yaml for the cluster b, and a@b.yaml, would have one file."""
    repo.write("clusters/b.yaml", "nodes: 1\ndevices_per_node: 2\ndevice: cpu\n")
    repo.write("a.yaml", CPU)
    repo.write("a@b.yaml", CPU)
    assert call("lock", "a.yaml", "--cluster", "b")[0] == 0
    code, _, err = call("lock", "a@b.yaml")
    assert code == 1
    assert "the lock of a.yaml for b" in err


def test_a_spoilt_lock_is_written_anew(repo):
    """Numbers edited by hand and halves of a merge are put right."""
    repo.write("r.yaml", CPU)
    call("lock", "r.yaml")
    path = repo.folder / "r.plan.json"
    good = path.read_text()
    for bad in (
        good.replace('"total_steps": 600', '"total_steps": 700'),
        good.replace(' "verdict"', '<<<<<<< HEAD\n "verdict"'),
        good.replace(' "verdict": "fits",', ' "verdict": "fits",\n "verdict": "tight",'),
        good.replace("\n}\n", ""),
    ):
        path.write_text(bad)
        assert call("lock", "r.yaml")[0] == 0
        assert path.read_text() == good


def test_a_lock_with_other_line_ends_is_the_same_lock(repo):
    """Git may turn the ends of lines; the hash of a lock is of its values."""
    repo.write("r.yaml", CPU)
    call("lock", "r.yaml")
    path = repo.folder / "r.plan.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_lock(str(path)).recipe == "r.yaml"
    assert call("lock", "r.yaml")[1] == "0 written, 1 unchanged\n"


@pytest.mark.parametrize("mutant", ["null", "1.5", '"x"', "[]", "{}", "true"])
def test_no_value_of_a_lock_makes_a_traceback(repo, mutant):
    """Every value of every type, with a hash that fits or not: a lock or words."""
    repo.write("r.yaml", RAMP)
    call("lock", "r.yaml")
    path = repo.folder / "r.plan.json"
    plain = json.loads(path.read_text())
    from launcher.planning.hashes import digest

    for name in plain:
        changed = {**plain, name: json.loads(mutant)}
        if name != "lock_hash":
            del changed["lock_hash"]
            changed["lock_hash"] = digest(changed)[:16]
        path.write_text(json.dumps(changed))
        with suppress(LockError):
            read_lock(str(path))


def test_the_cluster_that_is_named_must_exist(repo):
    """The message speaks of --cluster, as it was typed."""
    repo.write("r.yaml", CPU)
    code, _, err = call("lock", "r.yaml", "--cluster", "no such")
    assert code == 1
    assert err.startswith("--cluster no such")
    assert "[cluster-not-found]" in err


@pytest.mark.parametrize("words", [["nothing"], ["."], [""]])
def test_nothing_to_lock_is_said(repo, words):
    """A path that is not there, a folder without recipes: words and exit code 1."""
    code, _, err = call("lock", *words)
    assert code == 1
    assert err


def test_no_machine_is_in_a_lock(repo, tmp_path):
    """Neither the caller's variables nor the folder change a byte."""
    repo.write("r.yaml", CPU)
    call("lock", "r.yaml")
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    (other / "r.yaml").write_text(CPU)
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n[1-4]", "CUDA_VISIBLE_DEVICES": "0", **repo.environ}
    call("lock", other / "r.yaml", environ=slurm)
    assert (other / "r.plan.json").read_bytes() == (repo.folder / "r.plan.json").read_bytes()
