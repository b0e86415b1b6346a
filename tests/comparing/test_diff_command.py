"""`batchwright diff` as a command: its sides, its forms, and what it does where a side has no plan."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from recipe_pairs import CPU, LLAMA
from repositories import call

EVIL = "<img src=x onerror=alert(1)> | `code` \\| @somebody [a](http://b) **x**"


def test_two_files_and_two_revisions(repo):
    """Exit code 0 whether they differ or not; the data is on stdout."""
    repo.write("a.yaml", CPU)
    repo.commit()
    repo.write("a.yaml", CPU.replace("size: 32", "size: 48"))
    repo.write("b.yaml", CPU)
    repo.commit()
    assert call("diff", "HEAD~1:a.yaml", "b.yaml") == (
        0,
        "semantics changed: no, and nothing else differs\n",
        "",
    )
    code, out, err = call("diff", "HEAD~1:a.yaml", "HEAD:a.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("semantics changed: yes (batch)\neffective batch     32 -> 48")


def test_one_name_alone(repo):
    """A recipe is compared with its lock, a lock and a revision with what the recipe comes to now."""
    repo.write("sub/a.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.write("sub/a.yaml", CPU.replace("size: 32", "size: 48"))
    said = [
        call("diff", name)
        for name in ("sub/a.yaml", "sub/a.plan.json", "HEAD:sub/a.yaml", "HEAD:sub/a.plan.json")
    ]
    assert [code for code, _, _ in said] == [0, 0, 0, 0]
    assert all(
        out.startswith("semantics changed: yes (batch)\neffective batch     32 -> 48") for _, out, _ in said
    )
    assert said[0] == said[1] == said[3]
    repo.write("sub/b.yaml", CPU)
    code, out, err = call("diff", "sub/b.yaml")
    assert (code, out) == (1, "")
    assert "[not-locked]" in err


def test_the_lock_of_a_cluster_alone(repo):
    """It is compared with the recipe on that cluster."""
    repo.write("a.yaml", CPU)
    repo.write("clusters/big.yaml", "nodes: 1\ndevices_per_node: 4\ndevice: a100-sxm-80gb\n")
    call("lock", "a.yaml", "--cluster", "big")
    assert call("diff", "a@big.plan.json") == (0, "semantics changed: no, and nothing else differs\n", "")
    assert "device" in call("diff", "a@big.plan.json", "a.yaml")[1]


def test_a_lock_against_a_lock(repo):
    """Two records of one recipe."""
    repo.write("a.yaml", CPU)
    call("lock", ".")
    repo.commit()
    repo.write("a.yaml", CPU.replace("size: 32", "size: 48"))
    call("lock", ".")
    out = call("diff", "HEAD:a.plan.json", "a.plan.json")[1]
    assert out.startswith("semantics changed: yes (batch)\neffective batch     32 -> 48")


def test_set_changes_the_second_side(repo):
    """What would it mean? A lock cannot be changed."""
    repo.write("a.yaml", CPU)
    out = call("diff", "a.yaml", "a.yaml", "--set", "global_batch_size=64")[1]
    assert "effective batch     32 -> 64" in out
    call("lock", ".")
    assert "effective batch     32 -> 64" in call("diff", "a.yaml", "--set", "global_batch_size=64")[1]
    assert call("diff", "a.yaml", "a.plan.json", "--set", "seed=1")[0] == 2


def test_one_side_is_refused(repo):
    """Its problems on stderr, and that the other side has a plan; as JSON one object."""
    repo.write("good.yaml", CPU)
    repo.write("bad.yaml", CPU.replace("size: 32", "size: 33"))
    code, out, err = call("diff", "good.yaml", "bad.yaml")
    assert (code, out) == (1, "")
    assert err.startswith("bad.yaml:3:20: ")
    assert "good.yaml: has a plan (fits)" in err
    assert err.endswith("1 problem\n")
    code, out, _ = call("diff", "good.yaml", "bad.yaml", "--json")
    found = json.loads(out)
    assert (code, found["verdict"], len(found["problems"])) == (1, "refused", 1)
    code, out, err = call("diff", "bad.yaml", "none.yaml")
    assert (code, out) == (1, "")
    assert err.count("[") == 2
    assert err.endswith("2 problems\n")


def test_json_has_the_sentences_and_the_values(repo):
    """One object, with numbers as numbers and both hashes."""
    repo.write("a.yaml", CPU)
    repo.write("b.yaml", CPU.replace("size: 32", "size: 48"))
    found = json.loads(call("diff", "a.yaml", "b.yaml", "--json")[1])
    assert (found["diff_version"], found["semantics_changed"], found["kinds"]) == (1, True, ["batch"])
    assert {"path": "batch.global_batch_size", "before": 32, "after": 48} in found["values"]
    assert found["differences"][0] == {
        "subject": "effective batch",
        "before": "32",
        "after": "48",
        "reason": "+50.0 %",
        "path": "batch.global_batch_size",
    }
    assert found["keys"] == [{"path": "global_batch_size", "before": 32, "after": 48}]
    same = json.loads(call("diff", "a.yaml", "a.yaml", "--json")[1])
    assert (same["semantics_changed"], same["differences"], same["keys"]) == (False, [], [])


def test_no_variable_is_shown(repo):
    """Names alone, in every form: a value may be a secret."""
    repo.write("a.yaml", CPU)
    repo.write("b.yaml", CPU.replace("{script: train.py}", "{script: train.py, env: {TOKEN: s3cret}}"))
    for form in ((), ("--json",), ("--markdown",)):
        for sides in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
            out = call("diff", *sides, *form)[1]
            assert "TOKEN" in out
            assert "s3cret" not in out


class Tags(HTMLParser):
    """Tags of a text that stand outside of code."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


@pytest.mark.parametrize(
    "change",
    [
        {"name": EVIL},
        {"launch": {"script": EVIL}},
        {"launch": {"script": "t.py", "args": [EVIL, "<details>"]}},
        {"launch": {"script": "t.py", "env": {"A": EVIL}}},
        {"launch": {"script": "t.py", "native": {"deepspeed": {EVIL: EVIL}}}},
        {"data": {"paths": [EVIL]}},
    ],
)
def test_markdown_takes_no_markup_from_a_recipe(repo, change):
    """Whatever a recipe says stays text: no tag, no link, no mention, no row or column more than ours."""
    plain = {"global_batch_size": 8, "sequence_length": 16, "hidden_size": 64}
    plain["cluster"] = {"nodes": 1, "devices_per_node": 1, "device": "cpu"}
    repo.write("a.yaml", json.dumps({**plain, "launch": {"engine": "deepspeed", "script": "t.py"}}))
    engine = {"engine": "deepspeed"}
    if "launch" in change:
        change = {"launch": {**engine, **change["launch"]}}
    repo.write("b.yaml", json.dumps({**plain, "launch": {**engine, "script": "t.py"}, **change}))
    code, out, err = call("diff", "a.yaml", "b.yaml", "--markdown")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "### Batchwright: `a.yaml` to `b.yaml`"
    outside = re.sub(r"`[^`]*`", "", out)
    tags = Tags()
    tags.feed(outside)
    assert {tag for tag, _ in tags.found} <= {"details", "summary"}
    assert not re.search(r"onerror|@somebody|\]\(|\*\*x", outside)
    for row in (line for line in lines if line.startswith("|")):
        bars = re.findall(r"(?<!\\)(?:\\\\)*\|", row)
        assert len(bars) in {4, 5}, row


def test_the_sentences_of_the_design(repo):
    """Batch 1024 to 960: every number, with its reason."""
    repo.write("x.yaml", LLAMA)
    repo.commit()
    repo.write("x.yaml", LLAMA.replace("size: 1024", "size: 960"))
    out = call("diff", "HEAD:x.yaml", "x.yaml")[1]
    for words in (
        r"^semantics changed: yes \(batch, learning rate\)$",
        r"^effective batch +1024 -> 960 +-6\.3 %$",
        r"^warmup +500 -> 534 steps +same 4\.194 B tokens \(warmup_keeps: tokens\)$",
        r"^learning rate +3\.0e-4 -> 2\.905e-4 +sqrt rule follows the batch$",
        r"^micro-batch +2 -> 3 +because 15 per rank has no factor 2$",
        r"^peak memory +[0-9.]+ -> [0-9.]+ GiB +still fits 79\.1; from the larger micro-batch$",
    ):
        assert re.search(words, out, re.MULTILINE), words


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"- a\n", b"{", b"[" * 10_000])
def test_odd_files(repo, content):
    """Empty, binary, a list, broken, deep: words, exit code 1, never a traceback."""
    (repo.folder / "a.yaml").write_bytes(content)
    repo.write("b.yaml", CPU)
    repo.commit()
    for sides in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml"), ("HEAD:a.yaml", "b.yaml"), ("HEAD:a.yaml",)):
        code, out, err = call("diff", *sides)
        assert (code, out) == (1, "")
        assert err


def test_a_pair_of_folders_is_refused(repo):
    """A folder is no recipe."""
    repo.write("a/r.yaml", CPU)
    code, out, err = call("diff", "a", "a")
    assert (code, out) == (1, "")
    assert "this is a folder" in err
