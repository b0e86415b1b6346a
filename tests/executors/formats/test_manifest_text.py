"""YAML without a YAML library: whatever is written is read back, by the strictest and the laxest reader alike."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from launcher.executors.formats.manifest_text import manifest_text

TEXTS = some.text(some.characters(exclude_categories=("Cs",)))
KEYS = some.text(
    some.characters(exclude_categories=("Cs",)), max_size=60
)  # YAML ends a key after 1024 characters
SCALARS = some.none() | some.booleans() | some.integers() | TEXTS
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(some.lists(some.dictionaries(KEYS, VALUES, min_size=1), min_size=1, max_size=3))
def test_what_is_written_is_read_back(documents):
    """Any text, number, list and mapping survives, several documents in their order; the file is ASCII."""
    text = manifest_text(documents)
    assert text.isascii()
    assert list(yaml.safe_load_all(text)) == documents


@pytest.mark.parametrize(
    "word",
    [
        *(
            "yes",
            "No",
            "ON",
            "y",
            "null",
            "~",
            "true",
            "",
            " ",
            "1",
            "1e3",
            "0644",
            "0x1f",
            "12:30:00",
            "2026-11-22",
        ),
        *(
            "- a",
            "a: b",
            "a #b",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "{a",
            "[a",
            "'a'",
            '"a"',
            "a\\",
            "---",
            "...",
        ),
        *(
            "a\nb",
            "a\r\nb",
            "\ta",
            "a\x00b",
            "\x7f",
            "\x85",
            "\u2028",
            "\ufeff",
            "\u00e9\u4e2d",
            "\U0001f600",
            ".nan",
            "<<",
        ),
    ],
)
def test_a_text_stays_a_text(word):
    """Whatever a reader of YAML 1.1 would take for something else is quoted."""
    text = manifest_text([{word: word, "list": [word, [word], {word: word}]}])
    for loader in (yaml.SafeLoader, yaml.BaseLoader):
        assert yaml.load(text, loader) == {word: word, "list": [word, [word], {word: word}]}


def test_papers_stay_readable():
    """A text of several plain lines stands as it is, so that people can read a plan in a manifest."""
    text = json.dumps({"a": [1, 2]}, indent=1) + "\n"
    assert manifest_text([{"data": {"plan.json": text}}]) == (
        'data:\n  plan.json: |\n    {\n     "a": [\n      1,\n      2\n     ]\n    }\n'
    )


def test_a_placeholder_is_found_however_deep_it_lies():
    """A placeholder in JSON in a text that must be quoted stands as one that placing a bundle fills in."""
    inner = json.dumps({"host": "\0run-id\0-0", "caf\u00e9": 1}, ensure_ascii=False)
    text = manifest_text([{"data": inner}])
    assert text == 'data: "{\\"host\\": \\"\\u0000run-id\\u0000-0\\", \\"caf\\u00e9\\": 1}"\n'
