"""Every key of every recipe and cluster file, deleted, renamed and retyped: refused at its line, or the plan moves.

In every run each key of every file is deleted and renamed; two of the files that write a key give it values of other types,
too, and plan what still is a recipe. The full tests do all of it for every key of every file.
"""

import re
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mutating import OTHERS, deleted, keys_of, mutants

from launcher.api import load_recipe, plan
from launcher.errors import CODES, LauncherError
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import NotYamlError, read_yaml
from launcher.reporting.recipe_schema import cluster_schema, recipe_schema

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if ".batchwright" not in path.parts)
RECIPES = [path for path in FILES if path.parent.name != "clusters"]
CLUSTERS = [path for path in FILES if path.parent.name == "clusters"]
TINY = (
    "global_batch_size: 1048576\nsequence_length: 8\nhidden_size: 64\nlaunch: {runtime: true}\ncluster: one\n"
)

READER = {
    *("unknown-key", "missing-key", "wrong-type", "bad-choice", "bad-unit", "out-of-range", "leading-zero"),
    *("not-finite", "yaml-syntax", "duplicate-key", "schema-too-new", "not-a-mapping", "cluster-not-found"),
    *("bad-config", "unknown-preset", "empty-recipe"),
}  # fmt: skip
"""Codes that stand at the key itself, or at the section that it is missing from."""
BETWEEN = {
    *("ambiguous-batch", "ambiguous-learning-rate", "ambiguous-model", "ambiguous-devices", "batch-larger-than-data", "batch-not-divisible"),
    *("batch-norm-too-small", "batch-of-no-stage", "batch-tokens-not-whole", "batch-triad-mismatch", "bad-ramp"),
    *("decay-longer-than-run", "engine-cannot", "epochs-need-data-size", "heads-not-dividing", "last-stage-ends"),
    *("missing-key", "missing-reference-batch", "missing-scaling-parameter", "order-unproven", "parallel-not-dividing"),
    *("rescale-without-reference", "schedule-differs", "schedule-needs-decay-at", "schedule-needs-decay-length"),
    *("schedule-needs-length", "script-must-apply", "stage-holds-no-step", "stage-not-reached", "stage-without-end"),
    *("stages-need-the-runtime", "state-needs-one-batch", "tokens-need-sequence-length", "unknown-coupling"),
    *("unknown-device", "unknown-engine", "unknown-placeholder", "warmup-longer-than-run", "width-not-divisible"),
    *("stages-out-of-order", "stages-need-data-parallel", "placeholder-unset", "clock-ignores-length"),
    *("placeholder-of-one-batch", "not-yet-supported", "executor-cannot", "native-owns-key", "schedule-steps"),
    *("no-effect", "stages-scale-the-rate", "state-needs-whole-epochs", "unknown-executor", "module-not-found"),
}  # fmt: skip
"""Codes about keys that contradict each other: they stand at one of them, and name the other or its value."""
ONLY_PRICE = {
    "cluster.interconnect": "bandwidths are read for estimates of time, which no plan has yet",
    "cluster.interconnect.within_node": "the same",
    "cluster.interconnect.between_nodes": "the same",
    "interconnect": "the same, in a file of its own",
    "interconnect.within_node": "the same",
    "interconnect.between_nodes": "the same",
}
"""Keys that move nothing in a plan but a note, each with the reason."""


class Bench:
    """A file of the library in a folder of its own, to be changed; with all that lies beside it."""

    def __init__(self, path, folder):
        self.text = path.read_text("utf-8")
        self.is_cluster = path.parent.name == "clusters"
        beside = shutil.ignore_patterns("*.yaml", ".batchwright", "__pycache__", "*.md")
        if self.is_cluster:
            (folder / "clusters").mkdir()
            self.file, self.recipe = folder / "clusters" / "one.yaml", folder / "tiny.yaml"
            self.recipe.write_text(TINY)
        else:
            (folder / "clusters").symlink_to(ROOT / "recipes" / "clusters")
            shutil.copytree(path.parent, folder / "own", ignore=beside)
            self.file = self.recipe = folder / "own" / path.name
        self.file.write_text(self.text)
        self.before = self.load(self.text)
        self.plan = meant(self.before)

    def load(self, text):
        """The recipe with another text of the file."""
        self.file.write_text(text)
        return load_recipe(self.recipe)

    def lines(self, problems):
        """The lines of the file that problems stand at; 0 for the file itself and for others."""
        marks = [
            re.fullmatch(rf"{re.escape(str(self.file))}:(\d+):\d+", problem.where) for problem in problems
        ]
        return [int(mark[1]) if mark else 0 for mark in marks]


def meant(recipe):
    """A plan without remarks and without where its numbers come from."""
    plain_plan = plan(recipe, environ={}, measured=False, traced=False).to_dict()
    return {
        key: value for key, value in plain_plan.items() if key not in {"problems", "alternatives", "origins"}
    }


def is_right(bench, mutant, problems):
    """Whether a refusal is at the right line, for a reason that a changed key can have."""
    key, shift = mutant.key, 0
    if mutant.kind == "delete":
        shift = bench.text.count("\n") - mutant.text.count("\n")
    lines = [line + shift if line > key.line and shift else line for line in bench.lines(problems)]
    own = {key.line, *key.sections} | ({0} if len(key.path) == 1 and mutant.kind != "retype" else set())
    for problem, line in zip(problems, lines, strict=True):
        if line in own and problem.code in READER | BETWEEN:
            return True
        said = str(problem)
        if re.search(rf"\b{re.escape(key.name)}\b", said):  # at another key, and it names this one
            return True
        absent = mutant.kind == "delete" or mutant.value == "null"
        value = re.escape(mutant.value.strip('"-{}[]'))
        if problem.code in BETWEEN and (absent or re.search(rf"\b{value}\b", said)):
            return True
    return False


def outcome(bench, mutant, *, planned):
    """What becomes of a mutant: refused, moved, same; or words about what is wrong."""
    try:
        recipe = bench.load(mutant.text)
    except LauncherError as error:
        if mutant.kind == "rename" and not any(
            problem.code == "unknown-key"
            and line == mutant.key.line
            and f"{mutant.key.name}x" in problem.message
            for problem, line in zip(error.problems, bench.lines(error.problems), strict=True)
        ):
            return f"not the unknown key: {error}"
        return (
            "refused" if is_right(bench, mutant, error.problems) else f"wrong place: {told(error.problems)}"
        )
    if recipe == bench.before:
        return "same"
    if not planned:
        return "loads"
    try:
        moved = meant(recipe) != bench.plan
    except LauncherError as error:
        problems = [problem for problem in error.problems if problem.severity == "error"]
        return "refused" if is_right(bench, mutant, problems) else f"wrong place: {told(problems)}"
    return "moved" if moved else "same"


def told(problems):
    return "; ".join(str(problem).partition("\n")[0] for problem in problems)


def is_read(bench, key, *, also=()):
    """Whether some other value of a key moves the plan or is refused there: its own is then the one filled in."""
    return any(
        outcome(bench, mutant, planned=True) in {"moved", "refused"}
        for mutant in mutants(bench.text, others=lambda each: (*also, "3", "1", "2") if each == key else ())
        if mutant.key == key and mutant.kind == "retype" and mutant.value != "null"
    )


@cache
def homes():
    """The first two files that write each dotted path: they stand for all others in every run."""
    found = {}
    for path in sorted(FILES, key=lambda path: "\nstages:" in path.read_text("utf-8")):  # dear to plan
        for key in keys_of(path.read_text("utf-8")):
            files = found.setdefault((path.parent.name == "clusters", key.dotted), [])
            if path not in files and len(files) < 2:
                files.append(path)
    return found


def is_home(path, key):
    return path in homes()[path.parent.name == "clusters", key.dotted]


def others(path):
    """Values for the keys of a file: two that differ in type from most, another two for the next key."""

    def values(key):
        at = sum(map(ord, key.dotted)) % len(OTHERS)
        return [OTHERS[at], OTHERS[(at + 5) % len(OTHERS)]] if is_home(path, key) else []

    return values


def check(path, folder, *, everything):
    """Counts of what became of the mutants of a file; asserts that each ended well."""
    bench, counts = Bench(path, folder), Counter()
    wrong, same = [], []
    for mutant in mutants(bench.text, others=OTHERS if everything else others(path)):
        planned = everything or is_home(path, mutant.key)
        try:
            became = outcome(bench, mutant, planned=planned)
        except Exception as error:  # noqa: BLE001 - a bug of ours, with the text that shows it
            became = f"traceback: {error!r}"
        counts[mutant.kind, became.partition(":")[0]] += 1
        if became == "same":
            same.append(mutant)
        elif became not in {"refused", "moved", "loads"}:
            wrong.append((mutant.kind, mutant.key.dotted, mutant.value, became))
    assert wrong == []
    ignored = [mutant.key.dotted for mutant in same if not is_default(bench, mutant.key)]
    assert set(ignored) <= set(ONLY_PRICE), ignored
    return counts


def is_default(bench, key):
    """Whether the value of a key is what a plan has without it, and the key is read all the same."""
    if meant(bench.load(deleted(bench.text, key))) != bench.plan:
        return True  # it was another mutant that says the same: `[]` and `{}` are nothing, as `null`
    return is_read(bench, key)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key(path, tmp_path):
    """Each mutant is refused with the right line and code, or moves the plan; never a traceback, never swallowed."""
    counts = check(path, tmp_path, everything=False)
    keys = len(keys_of(path.read_text("utf-8")))
    assert counts["rename", "refused"] >= keys - free_keys(path)
    assert sum(counts.values()) >= 2 * keys


@pytest.mark.full
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_with_every_value(path, tmp_path):
    """The same with all values, all planned."""
    check(path, tmp_path, everything=True)


def free_keys(path):
    """Keys of the writer's own choice: variables of the environment, what is handed to other tools."""
    free = re.compile(r"launch\.(env|native\.\w+)\..+|schedule\.arguments\..+")
    return sum(bool(free.fullmatch(key.dotted)) for key in keys_of(path.read_text("utf-8")))


def test_codes_are_codes():
    """The lists above name codes that exist."""
    assert set(CODES) >= READER | BETWEEN


@cache
def validator(is_cluster):
    schema = cluster_schema() if is_cluster else recipe_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def schema_sees(*, everything):
    """Counts of mutants by kind and by whether the schema takes them; every file of the library it takes."""
    seen, missed = Counter(), []
    for path in FILES:
        text, is_cluster = path.read_text("utf-8"), path.parent.name == "clusters"
        assert list(validator(is_cluster).iter_errors(values_of(text))) == []
        for mutant in mutants(text, others=OTHERS if everything else others(path)):
            if mutant.kind == "delete" or not (everything or is_home(path, mutant.key)):
                continue
            values = values_of(mutant.text)
            if values is not None:
                valid = validator(is_cluster).is_valid(values)
                seen[mutant.kind, valid] += 1
                if mutant.kind == "rename" and valid and not free_keys(path):
                    missed.append((path.name, mutant.key.dotted))
    assert missed == []
    return seen


def test_the_schema_sees_what_it_can():
    """An independent validator takes every file of the library, and refuses every mutant that is wrong by itself."""
    seen = schema_sees(everything=False)
    assert seen["rename", False] > 200
    assert seen["retype", False] > 300


@pytest.mark.full
def test_the_schema_sees_what_it_can_everywhere():
    """The same for every key of every file, with all values."""
    seen = schema_sees(everything=True)
    assert seen["rename", False] > 1500
    assert seen["retype", False] > 12_000


def agree(paths, folder, *, values):
    """Mutants whose type, word, unit or range the reader refuses and the schema takes, or the other way round."""
    by_itself = {"wrong-type", "bad-choice", "bad-unit", "out-of-range", "unknown-key"}
    apart = []
    for path in paths:
        place = folder / f"{path.parent.name}-{path.stem}"
        place.mkdir()
        bench = Bench(path, place)
        for mutant in mutants(bench.text, others=values(path)):
            plain_values = values_of(mutant.text)
            if plain_values is None:
                continue
            try:
                bench.load(mutant.text)
                codes = set()
            except LauncherError as error:
                codes = {problem.code for problem in error.problems}
            if (codes and codes <= by_itself) == validator(bench.is_cluster).is_valid(plain_values):
                apart.append((path.stem, mutant.key.dotted, mutant.value, codes))
    return [each for each in apart if not each[3] or each[3] <= by_itself]


def test_reader_and_schema_agree(tmp_path):
    """What the reader refuses for its type, word, unit or range the schema refuses, and nothing that the reader takes."""
    assert agree(RECIPES[:: len(RECIPES) // 6], tmp_path, values=others) == []


@pytest.mark.full
def test_reader_and_schema_agree_everywhere(tmp_path):
    """The same for every key of every file, with all values."""
    assert agree(FILES, tmp_path, values=lambda _: OTHERS) == []


def values_of(text):
    """The values of a text; None where it is no YAML that we read."""
    found = Found()
    try:
        root = read_yaml(text, place=Place("recipe"), found=found)
    except NotYamlError:
        return None
    return None if found.problems() or root is None else plain(root)
