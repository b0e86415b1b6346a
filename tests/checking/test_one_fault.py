"""One fault is one problem: what cannot be read makes no other part of a recipe look wrong."""

import re
from pathlib import Path

import pytest

from launcher.api import examine, load_recipe
from launcher.errors import CODES, Problem, RecipeError
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml
from launcher.planning.consequences import is_own_fault, keys_of

ROOT = Path(__file__).parents[2]
FULL = ROOT / "tests/contract/full.yaml"
SOME = [
    ROOT / "recipes/summarizer/16gb.yaml",
    ROOT / "recipes/quickstart/ramp-1x2.yaml",
    ROOT / "recipes/module/small-gpt.yaml",
]
ALL = [FULL, *sorted(path for path in ROOT.glob("recipes/*/*.yaml") if path.parent.name != "clusters")]
FAULTS = [
    pytest.param({"name": lambda key: f"{key}x"}, id="a letter too many"),
    pytest.param({"name": lambda _key: "frobnicate"}, id="a word of nobody"),
    pytest.param({"to": "many"}, id="text"),
    pytest.param({"to": [None]}, id="a list"),
    pytest.param({"to": {"x": 1}}, id="keys"),
    pytest.param({"to": -7}, id="a number"),
]


def paths(value, path=()):
    """Paths of all keys below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if isinstance(name, str):
            yield (*path, name)
        yield from paths(inner, (*path, name))


def changed(value, path, *, to=None, name=None):
    """The same values with one key renamed or given another value."""
    head, *rest = path
    if isinstance(value, list):
        return [changed(item, rest, to=to, name=name) if i == head else item for i, item in enumerate(value)]
    new = {}
    for key, item in value.items():
        if key != head:
            new[key] = item
        elif rest:
            new[key] = changed(item, rest, to=to, name=name)
        else:
            new[name(key) if name else key] = item if name else to
    return new


def told(problems):
    return {(problem.code, problem.path) for problem in problems}


def only_the_fault_is_told(recipe, fault):
    """How many mutants the reader refuses, each with the reader's own problems and those of the whole recipe."""
    values = plain(read_yaml(recipe.read_text(), place=Place("recipe", recipe.name), found=Found()))
    before, count = told(examine(recipe).problems), 0
    for path in paths(values):
        mutant = changed(values, path, **fault)
        refused = told(refusals(mutant))
        if refused:
            count += 1
            assert told(examine(mutant).problems) <= refused | before, path
    return count


def refusals(mutant):
    """What the reader alone has to say."""
    try:
        load_recipe(mutant)
    except RecipeError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("recipe", SOME, ids=lambda recipe: recipe.stem)
def test_one_fault_is_one_problem(recipe, fault, monkeypatch):
    """A key that the reader refuses gives the reader's problem and none of planning."""
    monkeypatch.chdir(recipe.parent)
    assert only_the_fault_is_told(recipe, fault) > 3


@pytest.mark.parametrize("fault", FAULTS[:1])
def test_one_fault_is_one_problem_in_the_whole_schema(fault, monkeypatch):
    """The same of the contract's recipe, which writes every key."""
    monkeypatch.chdir(FULL.parent)
    assert only_the_fault_is_told(FULL, fault) > 50


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: f"{recipe.parent.name}/{recipe.stem}")
def test_one_fault_is_one_problem_in_the_library(recipe, fault, monkeypatch):
    """The same of every recipe of the library."""
    monkeypatch.chdir(recipe.parent)
    only_the_fault_is_told(recipe, fault)


def test_the_table_names_codes_that_exist():
    """Each row of the table of consequences is about a code."""
    from launcher.planning import consequences

    codes = {*consequences._KEYS, *(code for code, _ in consequences._AT_A_KEY)}
    assert codes <= set(CODES)


@pytest.mark.parametrize(
    ("problem", "lost", "stands"),
    [
        (("batch-not-divisible", "global_batch_size"), "optimizer.name", True),
        (("batch-not-divisible", "global_batch_size"), "cluster.nodes", False),
        (("batch-not-divisible", "global_batch_size"), "cluster", False),
        (("batch-not-divisible", "global_batch_size"), "micro_batch_size", True),
        (("batch-not-divisible", "stages.1.global_batch_size"), "stages.1.parallel.tensor", False),
        (("batch-not-divisible", "stages.1.global_batch_size"), "stages.0.parallel.tensor", True),
        (("stages-out-of-order", "stages.1.until"), "stages.4.until", False),
        (("stages-out-of-order", "stages.1.until"), "stages.4.global_batch_size", True),
        (("unknown-placeholder", "launch.args.1"), "launch.args", False),
        (("unknown-placeholder", "launch.args.1"), "launch.script", True),
        (("scaled-far", "optimizer.reference_learning_rate"), "seed", False),
        (("ambiguous-learning-rate", "optimizer.reference_learning_rate"), "", False),
    ],
)
def test_what_a_problem_follows_from(problem, lost, stands):
    """A problem stands where none of its keys, nor a section above or a key below them, is lost."""
    code, path = problem
    assert is_own_fault(Problem(code=code, path=path, message="x"), {lost}) is stands


def test_a_code_without_a_row_follows_from_everything():
    """Nobody has to remember the table for the list to stay free of consequences."""
    assert keys_of(Problem(code="memory-tight", path="micro_batch_size", message="x")) == ("",)


def test_a_kind_without_its_numbers(folder, check):
    """A model whose width, length and experts are all missing is refused in words: nothing is counted of it."""
    text = (ROOT / "recipes/resnet-50/p100-sxm-16gb-1x8-batch-256.yaml").read_text()
    (folder / "r.yaml").write_text(re.sub(r"\bkind: resnet", "kind: moe", text))
    answer = check("r.yaml")
    assert answer.code == 1
    assert answer.err.count("[missing-key]") == 3
