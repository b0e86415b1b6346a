"""What a person reads about one wrong value or key."""

import pytest
from reading import load, problems

from launcher.loading.near import near_miss
from launcher.loading.other_names import OTHER_NAMES
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

PATHS = {path for path, _ in walk(section_of(Recipe))}


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        # whole numbers
        ('hidden_size: "8"', "wrong-type", "drop the quotes"),
        ("hidden_size: '8'", "wrong-type", "drop the quotes"),
        ("hidden_size: 8.0", "wrong-type", "write `8`"),
        ("hidden_size: 1e3", "wrong-type", "write `1000`"),
        ("hidden_size: 1.5", "wrong-type", ""),
        ("hidden_size: 8Ki", "wrong-type", "write `8192`"),
        ("hidden_size: 0b100", "wrong-type", "write `4`: numbers are decimal"),
        ("hidden_size: -0x1F", "wrong-type", "write `-31`: numbers are decimal"),
        ('hidden_size: "1,024"', "wrong-type", "write `1024`"),
        ("hidden_size: true", "wrong-type", ""),
        ("hidden_size: [8]", "wrong-type", "write `8` without brackets"),
        ("hidden_size: [8, 9]", "wrong-type", ""),
        ("hidden_size: {a: 8}", "wrong-type", ""),
        ("hidden_size:", "wrong-type", "write `null` to leave it out"),
        ("hidden_size: 0", "out-of-range", ""),
        ("hidden_size: 99999999999999999999", "out-of-range", ""),
        ("seed: -1", "out-of-range", ""),
        # any number
        ("optimizer: {learning_rate: fast}", "wrong-type", ""),
        ('optimizer: {learning_rate: "3e-4"}', "wrong-type", "drop the quotes"),
        ("optimizer: {learning_rate: 0.0}", "out-of-range", ""),
        ("optimizer: {learning_rate: inf}", "not-finite", ""),
        ("optimizer: {learning_rate: false}", "wrong-type", ""),
        ("optimizer: {weight_decay: 10 %}", "wrong-type", "write `0.1`"),
        ("optimizer: {betas: [0.9, 1]}", "out-of-range", ""),
        ("optimizer: {betas: [0.9, 0.95, 0.99]}", "wrong-type", ""),
        ("optimizer: {betas: 0.9}", "wrong-type", ""),
        # true and false
        ("compile: yes", "wrong-type", "write `true`"),
        ("compile: Off", "wrong-type", "write `false`"),
        ("compile: True", "wrong-type", "write `true`"),
        ('compile: "true"', "wrong-type", "drop the quotes"),
        ("compile: 0", "wrong-type", "write `false`"),
        ("compile: perhaps", "wrong-type", ""),
        # one of a few words
        ("precision: BF16", "bad-choice", "did you mean `bf16`?"),
        ("precision: 16", "bad-choice", ""),
        ("model: {activation: gelu-new}", "bad-choice", "did you mean `gelu_new`?"),
        ("parallel: {data: {stage: 4}}", "bad-choice", ""),
        ('parallel: {data: {stage: "3"}}', "wrong-type", "drop the quotes"),
        ("parallel: {data: {stage: true}}", "bad-choice", ""),
        ("schema: 0", "bad-choice", ""),
        # text
        ("name: 3", "wrong-type", 'write `"3"` to mean text'),
        ("name: true", "wrong-type", 'write `"true"` to mean text'),
        ('name: ""', "wrong-type", ""),
        ("launch: {args: [--lr, 3e-4]}", "wrong-type", 'write `"3e-4"` to mean text'),
        (
            "launch: {args: [--lr, {peak_learning_rate}]}",
            "wrong-type",
            'write `"{peak_learning_rate}"` with quotes',
        ),
        (
            "launch: {env: {LR: {peak_learning_rate}}}",
            "wrong-type",
            'write `"{peak_learning_rate}"` with quotes',
        ),
        ("hidden_size: {hidden_size}", "wrong-type", ""),
        ("launch: {args: train.py}", "wrong-type", "write `[train.py]`"),
        ("launch: {env: {A: 1}}", "wrong-type", 'write `"1"` to mean text'),
        ("launch: {env: {A-B: x}}", "wrong-type", ""),
        ("launch: {env: [A]}", "wrong-type", ""),
        ("launch: {pass_env: ['A=B']}", "wrong-type", ""),
        ("launch: {module: train.py/x}", "wrong-type", ""),
        ("model: {module: package.file}", "wrong-type", ""),
        ("launch: {setup: [module load]}", "wrong-type", "write `[module load]`"),
        # amounts
        ("schedule: {warmup: 2000}", "bad-unit", "write `2000 steps`"),
        ("schedule: {warmup: 0.03}", "bad-unit", "write `3 %`"),
        ("schedule: {warmup: 2000steps}", "bad-unit", "write `2000 steps`"),
        ("schedule: {warmup: 2000 stpes}", "bad-unit", "write `2000 steps`"),
        ("schedule: {warmup: '2,000 iterations'}", "bad-unit", "write `2000 steps`"),
        ("schedule: {warmup: 3 s}", "bad-unit", ""),
        ("schedule: {warmup: 101 %}", "out-of-range", ""),
        ("schedule: {warmup: 1.5 steps}", "out-of-range", ""),
        ("schedule: {warmup: -5 steps}", "out-of-range", ""),
        ("schedule: {warmup: true}", "wrong-type", ""),
        ("schedule: {length: 0 steps}", "out-of-range", ""),
        ("schedule: {length: 10 %}", "bad-unit", ""),
        ("schedule: {length: 1e999999999 steps}", "out-of-range", ""),
        ("data: {num_tokens: 300 B}", "bad-unit", "write `300B`"),
        ("data: {num_tokens: 300b}", "bad-unit", "write `300B`"),
        ("data: {num_tokens: 1.5}", "out-of-range", ""),
        ("data: {num_samples: 0}", "out-of-range", ""),
        ("cluster: {reserve: 2GiB}", "bad-unit", "write `2 GiB`"),
        ("cluster: {reserve: 2}", "bad-unit", "write `2 GiB`"),
        ("cluster: {interconnect: {within_node: 400 Gb/s}}", "bad-unit", "write `50 GB/s`"),
        ("cluster: {interconnect: {within_node: 400 Gbps}}", "bad-unit", "write `50 GB/s`"),
        ("launch: {timeouts: {stall: 10 minutes}}", "bad-unit", "write `10 min`"),
        ("launch: {slurm: {time: '24:00:00'}}", "bad-unit", "write `24 h`"),
        ("launch: {slurm: {time: 1-12:30:00}}", "bad-unit", "write `2190 min`"),
        # several forms
        ("micro_batch_size: -1", "out-of-range", ""),
        ("micro_batch_size: atuo", "bad-choice", ""),
        ("micro_batch_size: autom", "bad-choice", "did you mean `auto`?"),
        ('micro_batch_size: "8"', "wrong-type", "drop the quotes"),
        ("micro_batch_size: 1.5", "wrong-type", ""),
        ("sequence_length: {input: 3}", "missing-key", "add `target`"),
        ("cluster: {nodes: 6-8}", "wrong-type", "write `6..8`"),
        ("cluster: {nodes: 8..6}", "out-of-range", "write `6..8`"),
        ("cluster: {nodes: 0..6}", "wrong-type", ""),
        ("cluster: 8", "wrong-type", ""),
        ('schedule: {owner: "engine:"}', "bad-choice", ""),
        # sections
        ("optimizer: adamw", "wrong-type", "did you mean `optimizer.name: adamw`?"),
        ("optimizer: [adamw]", "wrong-type", ""),
        ("optimizer:", "wrong-type", "indent what belongs to it, or delete the line"),
        ("stages: {until: 3 samples}", "wrong-type", ""),
        ("stages: [3]", "wrong-type", ""),
    ],
)
def test_code_and_hint(tmp_path, text, code, hint):
    """One problem, with its code and at most one hint."""
    (only,) = problems(tmp_path, text)
    assert f"[{code}]" in only
    assert only.partition("\n  hint: ")[2] == hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("learning_rate: 3e-4", "did you mean `optimizer.learning_rate`?"),
        ("schedule: {warm_up: 3 steps}", "did you mean `warmup`?"),
        ("schedule: {learning_rate: 3}", "did you mean `optimizer.learning_rate`?"),
        ("stage: 3", "did you mean `stages` or `parallel.data.stage`?"),
        ("kind: decoder", "did you mean `model.kind`, `model.adapter.kind` or `data.kind`?"),
        ("optimizer.learning_rate: 3", "write `learning_rate` below `optimizer:`"),
        ("lr: 3", "here that is `optimizer.learning_rate`"),
        ("per-device-train-batch-size: 3", "here that is `micro_batch_size`"),
        ("Hidden_Size: 8", "did you mean `hidden_size`?"),
        ("stages: [{learning_rate: 3}]", "did you mean `stages.0.optimizer.learning_rate` or"),
        ("learning_rat: 3", "did you mean `optimizer.learning_rate`?"),
        ("quite_something_else: 3", ""),
    ],
)
def test_hints_for_unknown_keys(tmp_path, text, hint):
    """The nearest key, the place where the key lives, or what it is called here; nothing when unclear."""
    (only,) = problems(tmp_path, text)
    assert "[unknown-key]" in only
    found = only.partition("\n  hint: ")[2]
    assert found.startswith(hint)
    assert bool(found) == bool(hint)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names_lead_somewhere(name):
    """Every path that a hint names is a key of a recipe, and none of the names is one itself at the top."""
    assert name not in {key.name for key in section_of(Recipe).keys}
    words = [word.split(":")[0] for word in OTHER_NAMES[name].split("`")[1::2]]
    assert words
    assert all(word in PATHS or word == "strategy" for word in words)


def test_near_miss_needs_to_be_near():
    """Words that share less than eight tenths are not taken for one another."""
    assert near_miss("adam-w", ["adam", "adamw"]) == "adamw"
    assert near_miss("cosine", ["constant", "linear"]) == ""


def test_all_problems_at_once_from_top_to_bottom(tmp_path):
    """Reader, types and YAML speak in the order of the file, whoever found what first."""
    text = "a: 1\nseed: 010\nname: 3\nseed: 2\ndata: {kind: mop, kind: *x}\nmodel: {depth: -1}\n"
    places = [problem.split(": ")[0] for problem in problems(tmp_path, text)]
    assert places == [
        f"r.yaml:{place}" for place in ("1:1", "2:7", "3:7", "4:1", "5:14", "5:19", "5:25", "6:16")
    ]


def test_a_broken_value_is_complained_about_once(tmp_path):
    """What YAML cannot mean is not also called a wrong type, or missing."""
    assert len(problems(tmp_path, "sequence_length: {input: 010, target: 3}")) == 1
    assert len(problems(tmp_path, "hidden_size: !!int 3")) == 1


def test_null_leaves_a_key_out(tmp_path):
    """`null` and `~` mean absent where a key may be absent, leave no mark, and are refused elsewhere."""
    recipe = load(tmp_path, "hidden_size: null\nevaluation: ~\n")
    assert recipe.hidden_size is None
    assert recipe.evaluation is None
    assert recipe.marks == {}
    assert "`seed: null`: expected a whole number of at least 0" in problems(tmp_path, "seed: null")[0]


def test_floats_accept_whole_numbers(tmp_path):
    """`weight_decay: 1` is 1.0."""
    value = load(tmp_path, "optimizer: {weight_decay: 1}").optimizer.weight_decay
    assert value == 1.0
    assert isinstance(value, float)


def test_a_free_mapping_keeps_what_is_written(tmp_path):
    """Keys of other tools are handed on as they are, by the same rules for words and numbers."""
    text = "launch: {native: {deepspeed: {a: {b: [1, 2.5, no, null, true, 'x']}, 1: 1e-4, zero.x: {}}}}"
    native = load(tmp_path, text).launch.native
    assert native.deepspeed == {"a": {"b": (1, 2.5, "no", None, True, "x")}, "1": 1e-4, "zero.x": {}}


def test_the_name_is_the_files_unless_written(tmp_path):
    """A recipe without a name is called like its file, and has no mark for it."""
    assert load(tmp_path, "seed: 1").name == "r"
    assert "name" not in load(tmp_path, "seed: 1").marks
    assert load(tmp_path, "name: other").name == "other"
