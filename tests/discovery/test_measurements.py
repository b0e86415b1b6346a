"""Measurements beside a recipe: found, or passed over."""

import json
from dataclasses import replace

from launcher.api import load_recipe
from launcher.discovery.measurements import measurement_key, probe_folder, read_measurements
from launcher.spec.measurement import Measurement
from launcher.spec.plain import to_plain

FOUND = Measurement(
    made="2026-11-22T04:10:31Z",
    setting={"layout": {"device_kind": "cpu"}},
    code={},
    limit_bytes=1,
    limit_is_given=True,
    steps=3,
    versions={},
    trials=(),
)


def test_damaged_files_are_passed_over(tmp_path):
    """What is no measurement, or one of another version, is not read; the rest is."""
    (tmp_path / "recipe.yaml").write_text("global_batch_size: 2\nsequence_length: 8\nhidden_size: 64\n")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert read_measurements(recipe) == ()
    folder = probe_folder(recipe)
    folder.mkdir(parents=True)
    texts = {
        "a": "",
        "b": "[]",
        "c": "{}",
        "d": json.dumps({**to_plain(FOUND), "measurement_version": 2}),
        "e": json.dumps({**to_plain(FOUND), "trials": 3}),
        "f": json.dumps(to_plain(FOUND)),
    }
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text)
    (found,) = read_measurements(recipe)
    assert found == FOUND
    assert found.file == ".batchwright/probe/f.json"
    assert found.changed == ()


def test_the_key_is_of_the_question_not_of_the_answer():
    """Another limit or another outcome replaces the file; other code or another setting does not."""
    assert measurement_key(FOUND) == measurement_key(replace(FOUND, limit_bytes=2, made="", steps=9))
    assert measurement_key(FOUND) != measurement_key(replace(FOUND, code={"train.py": "0"}))
    assert measurement_key(FOUND) != measurement_key(replace(FOUND, setting={}))
