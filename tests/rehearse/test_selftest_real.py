"""`batchwright selftest` with real jobs of two ranks, and by `run` itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

MESSAGES = Path(__file__).parent / "messages"


@pytest.mark.real
def test_the_runtime_gives_one_gradient(place):
    """Samples of different lengths, weighted by tokens: the ratio is 1, and no run folder stays."""
    uneven = "run.steps([row[: 9 + at % 57] for at, row in enumerate(training)], collate=pad,"
    recipe = place.quickstart(without="run.steps(training,", instead=uneven)
    script = recipe.parent / "train.py"
    text = script.read_text()
    padded = """def pad(rows):
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def main():"""
    text = text.replace("def main():", padded)
    text = text.replace(
        "x = self.tokens(inputs) +",
        "inputs, known = inputs.clamp(min=0), labels >= 0\n        labels = labels.clamp(min=0)\n"
        "        x = self.tokens(inputs) +",
    )
    text = text.replace('reduction="none").sum(1)', 'reduction="none").mul(known).sum(1)')
    script.write_text(text)
    ran = place.batchwright("selftest", recipe, "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["verdict"] == "passed"
    assert found["ratio"] == pytest.approx(1, abs=1e-5)
    splits = [(each["micro_batch_size"], each["gradient_accumulation_steps"]) for each in found["splits"]]
    assert splits == [(8, 2), (16, 1)]
    assert found["splits"][0]["gradient_norm"] > 1.0  # the recipe clips at 1
    assert found["notes"] == ["half of the samples are the longest (65), half the shortest (9)"]
    assert not (place.folder / "runs").exists()
    assert place.left() == []


@pytest.mark.real
def test_another_version_finds_a_mean_of_means(place):
    """A record of another torch makes `run` compare first; the script takes means of means, and nothing starts."""
    recipe = place.ragged()
    kept = place.folder / ".batchwright" / "versions.json"
    kept.parent.mkdir()
    kept.write_text(json.dumps({"ragged.yaml": {"torch": "2.0.0"}, "other.yaml": {}}))
    ran = place.batchwright("run", recipe)
    assert ran.code == 78
    said = ran.err[ran.err.index(str(recipe)) :]
    told = said.replace(str(place.folder), "HERE").replace(_changed(ran.err), "VERSIONS")
    assert told == (MESSAGES / "selftest-failed.txt").read_text()
    assert "torch 2.0.0 is now 2." in _changed(ran.err)
    assert json.loads(kept.read_text())["ragged.yaml"] == {"torch": "2.0.0"}
    assert not (place.folder / "runs").exists()


@pytest.mark.real
def test_a_script_that_does_not_train(place):
    """A job without an optimizer step has no gradient; its own words are shown."""
    recipe = place.ragged()
    (place.folder / "ragged.py").write_text("raise SystemExit('no data here')\n")
    ran = place.batchwright("selftest", recipe)
    assert ran.code == 1
    told = re.sub(r"rank \d", "rank N", ran.err.replace(str(place.folder), "HERE"))
    assert told == (MESSAGES / "trial-failed.txt").read_text()


def _changed(said: str) -> str:
    """Which versions have changed, as the first line says it; other machines have other ones."""
    first = next(line for line in said.splitlines() if line.startswith("selftest "))
    return first.removeprefix("selftest ").removesuffix(" since the last run of this recipe")
