"""`--set path=value`."""

import pytest
from reading import load, problems

TEXT = """\
optimizer: {learning_rate: 1e-3}
parallel: auto
launch: {args: [--a, --b], native: {deepspeed: {x: {y: 1}}}}
stages: [{until: 1K samples, global_batch_size: 8}]
evaluation: null
"""


def value_at(recipe, path):
    for part in path.split("."):
        if isinstance(recipe, tuple):
            recipe = recipe[int(part)]
        else:
            recipe = recipe[part] if isinstance(recipe, dict) else getattr(recipe, part)
    return recipe


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("optimizer.learning_rate=1e-4", 1e-4),
        ("seed=7", 7),
        ("name=no", "no"),
        ("name=12:30:00", "12:30:00"),
        ('name="8"', "8"),
        ("launch.args.1=x", "x"),
        ("launch.args=[]", ()),
        ('launch.args=["--lr", "{peak_learning_rate}"]', ("--lr", "{peak_learning_rate}")),
        ("launch.env.A=b=c", "b=c"),
        ("launch.native.deepspeed.x.z.new=5e8", 5e8),
        ("stages.0.global_batch_size=16", 16),
        ("stages.0.optimizer.weight_decay=0.1", 0.1),
        ("parallel.tensor=2", 2),
        ("evaluation.batch_size=4", 4),
        ("launch.timeouts.stall=5 min # comment", None),
        ("optimizer.betas=[0.9, 0.99]", (0.9, 0.99)),
        ("cluster.nodes=2", 2),
        ("cluster.nodes=6..8", "6..8"),
        ("optimizer.learning_rate=null", None),
    ],
)
def test_values_land(tmp_path, override, value):
    """A value lands at its path, absent keys above it are created, and its place is the command line."""
    recipe = load(tmp_path, TEXT, override)
    path = override.split("=")[0]
    if value is None:
        assert value_at(recipe, path) is None or path == "launch.timeouts.stall"
        return
    assert value_at(recipe, path) == value
    assert recipe.marks[path].origin == "command-line"
    assert str(recipe.marks[path]) == f"--set {override}"
    assert recipe.marks[path].key_line == 0


def test_what_is_not_named_stays(tmp_path):
    """Other keys keep their values and their marks."""
    recipe, before = load(tmp_path, TEXT, "launch.args.1=x"), load(tmp_path, TEXT)
    assert recipe.launch.args == ("--a", "x")
    assert recipe.optimizer == before.optimizer
    assert recipe.marks["launch.args.0"] == before.marks["launch.args.0"]
    assert recipe.marks["launch"] == before.marks["launch"]


def test_the_last_one_wins(tmp_path):
    """Overrides apply in order; a section can be replaced as a whole and then be refined."""
    recipe = load(
        tmp_path,
        TEXT,
        "seed=1",
        "seed=2",
        "optimizer={name: sgd, learning_rate: 0.1}",
        "optimizer.momentum=0.9",
    )
    assert recipe.seed == 2
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.momentum) == (
        "sgd",
        0.1,
        0.9,
    )


def test_a_word_gives_way_to_keys(tmp_path):
    """`parallel: auto` and one axis by `--set` is that axis beside the defaults; a wrong word does not vanish."""
    assert load(tmp_path, TEXT, "parallel.tensor=2").parallel.pipeline == 1
    found = problems(tmp_path, "parallel: outo", "parallel.tensor=2")
    assert found[0].startswith("r.yaml:1:11: `parallel: outo`: expected `auto`, or keys such as")


def test_what_a_word_said_is_missed(tmp_path):
    """Keys that replace a word must be whole: nothing of the word is kept in silence."""
    (only,) = problems(tmp_path, "precision: bf16", "precision.reduce_dtype=fp32")
    assert "`precision.compute` is missing" in only


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.learning_rate=x", "`optimizer.learning_rate: x`: expected a number above 0 [wrong-type]"),
        ("seed=010", "`seed: 010`: expected a number without leading zero"),
        ("seed=", "`seed:` has no value: expected a whole number of at least 0 [wrong-type]"),
        ("seed", "expected path=value [bad-override]"),
        ("=3", "expected path=value [bad-override]"),
        ("seeed=3", "a recipe has no `seeed` [bad-override]\n  hint: did you mean `seed`?"),
        ("lr=3", "a recipe has no `lr` [bad-override]\n  hint: here that is `optimizer.learning_rate`"),
        (
            "optimzer.learning_rate=3",
            "a recipe has no `optimzer` [bad-override]\n  hint: did you mean `optimizer.learning_rate`?",
        ),
        (
            "optimizer.learning_rat=3",
            "a recipe has no `optimizer.learning_rat` [bad-override]\n  hint: did you mean `optimizer.learning_rate`?",
        ),
        ("seed.x=3", "a recipe has no `seed.x` [bad-override]\n  hint: `seed` holds no keys"),
        ("seed..x=3", "a recipe has no `seed.` [bad-override]"),
        ("launch.args.x=3", "[bad-override]\n  hint: items go by number: `launch.args.0`"),
        ("launch.args.2=x", "`launch.args` has 2 items, counted from 0 [bad-override]"),
        ("stages.1.until=3", "`stages` has 1 item, counted from 0 [bad-override]"),
        (
            "stages.rampup_batch_size=[1, 1, 8]",
            "`stages` is a list of 1 item, which has no `rampup_batch_size` [bad-override]\n  hint: write the whole",
        ),
        ("name=[", "the value is not YAML: a value is missing here [bad-override]"),
        ("name=a: b", "`name: {a: b}`: expected text [wrong-type]"),
        ("name=&a b", "anchor `&a`"),
        ("name=\udcff", "the control character U+DCFF [bad-override]"),
        ("evaluation.evry=3", "hint: did you mean `evaluation.every`?"),
        ("marks.seed=3", "a recipe has no `marks` [bad-override]"),
        ("directory=/", "a recipe has no `directory` [bad-override]"),
    ],
)
def test_refusals_name_the_override(tmp_path, override, message):
    """What is wrong with an override starts with the override."""
    (only,) = problems(tmp_path, TEXT, override)
    shown = override.encode("utf-8", "backslashreplace").decode()
    assert only.startswith(f"--set {shown}: ")
    assert message in only


def test_a_wrong_recipe_and_wrong_overrides_together(tmp_path):
    """All are reported, the recipe's first."""
    found = problems(tmp_path, "seed: x\n", "compile=2", "foo=1")
    assert [problem.split(": ")[0] for problem in found] == ["r.yaml:1:7", "--set compile=2", "--set foo=1"]


def test_a_value_that_is_overridden_need_not_be_right(tmp_path):
    """The command line replaces what the file says before anybody reads it."""
    assert load(tmp_path, "seed: x\n", "seed=3").seed == 3
