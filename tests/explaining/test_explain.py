"""`batchwright explain`: every error code, every key, every number and every placeholder, each with an example."""

import io
import json
import shlex
from pathlib import Path

import pytest
from making_examples import KEYS, ROOT, made

from launcher.cli.explaining import words
from launcher.cli.main import main
from launcher.errors import CODES
from launcher.loading.excerpts import excerpts
from launcher.loading.library import library_folder
from launcher.planning.placeholders import NAMES
from launcher.reporting.examples import FILE
from launcher.reporting.explaining.keys import key_paths
from launcher.reporting.explaining.numbers import number_paths
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

MESSAGES = Path(__file__).parent / "messages"


def explain(*words):
    """Exit code, stdout and stderr of the command."""
    out, err = io.StringIO(), io.StringIO()
    code = main(["explain", *words], environ={}, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()


def facts(word):
    code, out, err = explain(word, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_examples_are_those_of_the_tests():
    """examples.json is made from recipes and messages that other tests prove, and is current."""
    assert json.loads(FILE.read_text("utf-8")) == made(), "run python tests/explaining/making_examples.py"


@pytest.mark.parametrize("code", CODES)
def test_every_code(code):
    """Meaning, solution and the whole message, which names the code; where a recipe causes it, its lines."""
    known = facts(code)
    assert known["kind"] == "code"
    assert known["meaning"].endswith(".")
    assert known["solution"].endswith(".")
    assert f"[{code}]" in known["message"]
    assert (
        bool(known["recipe"]) == (ROOT / f"tests/loading/bad/{code}.yaml").exists() or code == "empty-recipe"
    )
    text = explain(code)[1]
    assert all(line.strip() in text for line in known["message"].splitlines())
    assert "checked by" not in text


def test_every_key():
    """Each key of the schema is explained with real lines that write its last name, in less than a screen or so."""
    paths = dict(walk(section_of(Recipe)))
    assert set(paths) == set(key_paths())
    for path, key in paths.items():
        known = facts(path)
        assert (known["kind"], known["path"]) == ("key", path)
        assert known["meaning"].endswith((".", ".)"))
        assert known["takes"]
        assert known["codes"]
        lines = "\n".join(known["example"]["lines"])
        assert f"{key.name}:" in lines, path
        assert len(known["example"]["lines"]) <= 12


def test_places_of_examples_are_there():
    """`as in FILE:LINE` is the line of that file."""
    seen = 0
    for path in key_paths():
        place = facts(path)["example"]["place"]
        if place:
            name, _, line = place.partition(":")
            text = (library_folder().parent / name).read_text("utf-8").splitlines()[int(line) - 1]
            assert f"{path.rpartition('.')[2]}:" in text
            seen += 1
    assert seen > 100


def test_every_number_of_a_plan():
    """Each field of plan.json is explained, with what a real plan has there."""
    assert len(number_paths()) > 100
    for path in number_paths():
        known = facts(path) if path not in key_paths() else {"kind": "number", "meaning": "."}
        assert known["kind"] == "number"
        assert known["meaning"], path
    assert facts("batch.micro_batch_size")["value"] == 8
    assert facts("batch.idle_slots")["origin"].startswith("derived: ")


@pytest.mark.parametrize("name", NAMES)
def test_every_placeholder(name):
    """In braces a word is a placeholder."""
    known = facts(f"{{{name}}}")
    assert (known["kind"], known["name"]) == ("placeholder", name)


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("warmup", "schedule.warmup"),
        ("`schedule.warmup`:", "schedule.warmup"),
        ("schedule.warmup=5 %", "schedule.warmup"),
        ("schedule.warmup: 5 %", "schedule.warmup"),
        ("stages.0.global_batch_size", "stages.global_batch_size"),
        ("stages[1].global_batch_size", "stages.global_batch_size"),
        ("launch.args.1", "launch.args"),
        ("cluster.groups.0.device", "cluster.groups.device"),
        ("zero_stage", "layout.zero_stage"),
        ("peak_bytes", "memory.peak_bytes"),
    ],
)
def test_words_as_people_type_them(word, path):
    """A last name that one key has, a path with numbers of list items, quotes, a value behind it."""
    assert facts(word)["path"] == path


def test_a_name_that_several_keys_have():
    """All of them are listed, each with what it means."""
    code, out, _ = explain("device")
    assert code == 0
    assert out.startswith("2 have the name `device`")
    assert "cluster.groups.device" in out
    assert "Catalog name of the device." in out
    assert set(facts("device")["paths"]) == {"cluster.device", "cluster.groups.device"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("optimizer.bets", "`optimizer.betas`"),
        ("optimizer.warmup", "`schedule.warmup`"),
        ("warmpu", "`schedule.warmup`"),
        ("unknown_key", "`unknown-key`"),
        ("train_batch_size", "`global_batch_size`"),
        ("{micro_batch}", "`micro_batch_size`"),
        ("h100", "`h100-sxm-80gb`"),
        ("qqqqqq", "`batchwright explain` lists all"),
        ("", "`batchwright explain` lists all"),
        ("\x00\n`'", "`batchwright explain` lists all"),
    ],
)
def test_unknown_words(word, meant):
    """What is near, or what the name is called here; exit code 1, nothing on stdout."""
    code, out, err = explain(word)
    assert (code, out) == (1, "")
    assert "[nothing-to-explain]" in err
    assert meant in err


def test_the_whole_message():
    """What is printed about an unknown word, letter by letter."""
    assert explain("batch-not-divisibel")[2] == (MESSAGES / "nothing-to-explain.txt").read_text()


def test_without_a_word():
    """How to ask, sections, codes; as JSON every word."""
    code, out, _ = explain()
    assert code == 0
    assert out.startswith("batchwright explain WORD")
    assert all(word in out for word in ("optimizer", "{micro_batch_size}", "batch-not-divisible"))
    listed = json.loads(explain("--json")[1])
    assert listed["codes"] == list(CODES)
    assert len(words()) == len(set(words())) + len(set(key_paths()) & set(number_paths()))


def test_hints_of_messages_can_be_asked(tmp_path):
    """Explaining needs no recipe at hand, and no folder."""
    ran = shlex.split("explain unknown-key")
    assert main(ran, environ={}, stdout=io.StringIO(), stderr=io.StringIO()) == 0


def test_excerpts_end_where_the_value_ends():
    """A block with what is below it, a list at the same indent, brackets over several lines; nothing after them."""
    text = "a:\n  b: 1\n\nc: [1,\n2]\nd:\n- e: 2\n  f: {g: 3}\nh: 4\n"
    found = excerpts(text)
    assert found["a"] == (1, ("a:", "  b: 1"))
    assert found["c"] == (4, ("c: [1,", "2]"))
    assert found["d"] == (6, ("d:", "- e: 2", "  f: {g: 3}"))
    assert found["d.f.g"].line == 8
    assert found["h"] == (9, ("h: 4",))
    assert excerpts("nodes: 1\n", prefix="cluster") == {"cluster.nodes": (1, ("nodes: 1",))}


def test_the_keys_examples_are_recipes():
    """There is more than the contract's recipe to take lines from."""
    assert len(KEYS) > 4
