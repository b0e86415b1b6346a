"""Texts that YAML readers usually misread, and texts made to hurt them."""

import time
from pathlib import Path

import pytest
import yaml
from reading import load, problems

from launcher.loading.found import Found
from launcher.loading.tree import MAX_DEPTH, Place
from launcher.loading.yaml_text import NotYamlError, read_yaml

FULL = Path(__file__).parents[1] / "contract" / "full.yaml"
READERS = [getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader]


def test_a_learning_rate_without_a_point_is_a_number(tmp_path):
    """`1e-4` is a number, which YAML 1.1 takes as text."""
    assert load(tmp_path, "optimizer: {learning_rate: 1e-4}").optimizer.learning_rate == 1e-4


def test_words_stay_words(tmp_path):
    """`no`, `on`, `12:30:00` and dates are text, which YAML 1.1 takes as false, true, 45000 and dates."""
    words = ["no", "yes", "on", "12:30:00", "2026-11-21", "0x10", "1e4x"]
    assert load(tmp_path, f"data: {{paths: [{', '.join(words)}]}}").data.paths == tuple(words)


def test_numbers_are_decimal(tmp_path):
    """`1_000` is a thousand; `010` and `0x10` are not guessed at."""
    assert load(tmp_path, "hidden_size: 1_000").hidden_size == 1000
    assert problems(tmp_path, "hidden_size: 010") == [
        (
            "r.yaml:1:14: `hidden_size: 010`: expected a number without leading zero, which other readers take as octal "
            '[leading-zero]\n  hint: write `10`, or `"010"` to mean text'
        )
    ]
    assert problems(tmp_path, "hidden_size: 0x10") == [
        (
            "r.yaml:1:14: `hidden_size: 0x10`: expected a whole number of at least 1 [wrong-type]\n"
            "  hint: write `16`: numbers are decimal"
        )
    ]


def test_a_key_written_twice(tmp_path):
    """Both places are named, at any depth and however the key is quoted."""
    text = 'seed: 1\nlaunch:\n  native: {deepspeed: {a: 1, b: {c: 1, "c": 2}}}\n\nseed: 1\n'
    assert problems(tmp_path, text) == [
        (
            "r.yaml:3:40: key `launch.native.deepspeed.b.c` is already written at line 3, column 34 [duplicate-key]\n"
            "  hint: delete one of the two"
        ),
        "r.yaml:5:1: key `seed` is already written at line 1, column 1 [duplicate-key]\n  hint: delete one of the two",
    ]


@pytest.mark.parametrize("text", ["model:\n\tkind: decoder\n", "model:\n  kind: decoder\n\tnorm: rmsnorm\n"])
def test_tabs(tmp_path, text):
    """A tab as indentation is named as what it is."""
    (only,) = problems(tmp_path, text)
    assert "a tab where spaces are expected [yaml-syntax]\n  hint: indent with spaces" in only


def test_a_byte_order_mark_does_not_count(tmp_path):
    """A UTF-8 file may start with a byte order mark, and columns are counted without it."""
    recipe = load(tmp_path, b"\xef\xbb\xbfseed: 7\n")
    assert recipe.seed == 7
    assert recipe.marks["seed"].column == 7
    assert recipe.source == "seed: 7\n"


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends(tmp_path, newline):
    """Windows and old Macintosh line ends are line ends."""
    text = newline.join(["# comment", "launch:", "  script: train.py", "seed: x", ""])
    (only,) = problems(tmp_path, text)
    assert only.startswith("r.yaml:4:7: `seed: x`")


def test_unicode(tmp_path):
    """Columns count characters, not bytes, and text comes through unchanged."""
    text = 'launch: {script: "tr\u00e4nen/\U0001f40d.py", args: [\u65e5\u672c, x]}\n'
    recipe = load(tmp_path, text)
    assert recipe.launch.script == "tr\u00e4nen/\U0001f40d.py"
    assert recipe.launch.args == ("\u65e5\u672c", "x")
    assert recipe.marks["launch.args.1"].column == text.index("x]") + 1


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"name: caf\xe9\n", "1:10"),
        (b"seed: 1\n# \xc3\xa9\nname: \xc3\xa9\xff", "3:8"),
        ("seed: 1".encode("utf-16"), "1:1"),
    ],
)
def test_not_utf8(tmp_path, data, where):
    """A byte that is not UTF-8 is named with its place."""
    (only,) = problems(tmp_path, data)
    assert only.startswith(f"r.yaml:{where}: byte 0x")
    assert "[not-utf8]" in only


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ufffe"])
def test_control_characters(tmp_path, character):
    """A control character is refused by number, not printed."""
    (only,) = problems(tmp_path, f"seed: 1\nname: a{character}b\n")
    assert f"r.yaml:2:8: the control character U+{ord(character):04X} [yaml-syntax]" in only


def test_nul_by_escape(tmp_path):
    """No value of a recipe holds NUL, however it is written: no argument, variable or path could."""
    for text in [
        'name: "a\\0b"',
        'launch: {native: {deepspeed: {a: ["\\0"]}}}',
        'launch: {env: {"A\\0": b}}',
    ]:
        (only,) = problems(tmp_path, text)
        assert "without the character NUL" in only


@pytest.mark.parametrize("text", ["[" * 10_000, "- " * 10_000, "{a: " * 10_000, "a:\n" + "? " * 10_000])
def test_very_deep_nesting(tmp_path, text):
    """Ten thousand levels are refused by the level, quickly, on any reader."""
    start = time.monotonic()
    (only,) = problems(tmp_path, text)
    assert f"nested deeper than {MAX_DEPTH} levels [yaml-syntax]" in only
    assert time.monotonic() - start < 5


def test_nesting_up_to_the_limit(tmp_path):
    """What another tool may need is read."""
    depth = MAX_DEPTH - 5
    text = "launch: {native: {deepspeed: {a: " + "[" * depth + "]" * depth + "}}}"
    value = load(tmp_path, text).launch.native.deepspeed["a"]
    for _ in range(depth - 1):
        (value,) = value
    assert value == ()


def test_an_alias_bomb_is_not_followed(tmp_path):
    """Nested aliases cost what they are long, and each is named."""
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
    start = time.monotonic()
    found = problems(tmp_path, "\n".join(lines))
    assert time.monotonic() - start < 5
    assert sum("[yaml-tag]" in problem for problem in found) == 60 + 2 * 59
    assert not any("x, x" in problem for problem in found)


def test_text_that_runs_on(tmp_path):
    """A value without quotes that swallows the next line is refused: the next line was meant as something else."""
    found = problems(tmp_path, "data:\n  paths:\n    - a\n     - b\n")
    assert found == [
        (
            "r.yaml:3:7: `data.paths.0: a - b`: the next line was read as part of this value [yaml-syntax]\n"
            "  hint: check its indentation, or use quotes"
        )
    ]
    assert load(tmp_path, 'launch: {script: "a\n  b"}').launch.script == "a b"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "---\n", "---\n...\n", "{}", "\ufeff"])
def test_nothing(tmp_path, text):
    """A file without keys is called empty."""
    (only,) = problems(tmp_path, text)
    assert only.startswith("r.yaml: the recipe holds no keys [empty-recipe]")


@pytest.mark.parametrize("text", ["- 1", "1", "text", '"quoted"', "null", "true"])
def test_no_keys_but_something(tmp_path, text):
    """A file that holds something else than keys shows what."""
    (only,) = problems(tmp_path, text)
    assert only.startswith("r.yaml:1:1: `")
    assert "expected `key: value` lines [not-a-mapping]" in only


@pytest.mark.parametrize("text", ["? [a]\n: 1\nseed: 1", "{[a]: 1, seed: 1}", "? {a: b}\n: 1"])
def test_keys_that_are_no_words(tmp_path, text):
    """A list or a mapping cannot be a key."""
    (only,) = problems(tmp_path, text)
    assert "a key must be a word, not a list or keys [wrong-type]" in only


def test_keys_that_look_like_something_else(tmp_path):
    """A key is text: `1`, `true` and `null` are unknown keys like any other; an empty one is refused."""
    found = problems(tmp_path, '1: a\ntrue: b\nnull: c\n"": d\n')
    assert [problem.split(" [")[0] for problem in found] == [
        "r.yaml:1:1: unknown key `1`",
        "r.yaml:2:1: unknown key `true`",
        "r.yaml:3:1: unknown key `null`",
        "r.yaml:4:1: a key must not be empty",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a: b", "1:8: a `:` where no key can stand"),
        ('name: "x\nseed: 1', "1:7: this text has no closing quote"),
        ("name: x\npaths\nseed: 1", "2:1: this line has no `:`; reading ended at line 3, column 1"),
        ("data: {kind: map\nseed: 1", "1:7: these keys are not closed, or lack a comma; reading ended at line 2, column 5"),
        ("data: {paths: [a}}", "1:15: this list is not closed, or lacks a comma; reading ended at line 1, column 17"),
        ("model:\n    kind: x\n  norm: y", "3:3: this is neither a key of what stands above nor part of a value"),
        ("name: @x", "1:7: a value cannot start with `@`"),
        ("name: `x`", "1:7: a value cannot start with a backtick"),
        ("name: %x", "1:7: a value cannot start with `%`"),
        ('name: "\\q"', ": an escape that YAML does not know"),
        ('name: "\\UFFFFFFFF"', ""),
        ("name: - a", "1:7: a list cannot start here"),
        ("name: *", "a value cannot start with `*` or `&`"),
        ("name: }", "1:7: a value is missing here"),
        ("{name: x} y", "1:11: something follows the end of the recipe"),
        ("%YAML 3.0\n---\nname: x", "1:1: a `%YAML` line for another version of YAML"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reader", READERS)
def test_syntax_errors_say_what_is_wrong(reader, text, message):
    """Each mistake has a sentence and a place, the same from libyaml's reader and from Python's."""
    with pytest.raises(NotYamlError) as refused:
        read_yaml(text, place=Place("recipe", "r.yaml"), found=Found(), reader=reader)
    assert message in f"{refused.value.place}: {refused.value}"


@pytest.mark.parametrize(
    "text", [FULL.read_text(encoding="utf-8"), "a: [\"\u00e9\", 'b', c]\n# x\n\u00e9:\n  - d\n"]
)
def test_both_readers_read_the_same(text):
    """Values and places do not depend on whether libyaml is there."""
    fast, slow = (
        read_yaml(text, place=Place("recipe", "r.yaml"), found=Found(), reader=reader) for reader in READERS
    )
    assert fast == slow
