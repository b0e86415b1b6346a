"""The catalog of models: what papers round, and what only some families have."""

import re

import pytest

from launcher import load_recipe, plan
from launcher.catalog.models import PRESETS


def planned(name, length=8):
    keys = {"global_batch_size": 1, "sequence_length": length, "cluster": {"device": "cpu"}}
    return plan(load_recipe({**keys, "model": {"preset": name}})).model


@pytest.mark.parametrize(
    ("name", "millions"),
    [("gpt-3-125m", 125), ("gpt-3-350m", 350), ("gpt-3-760m", 760), ("gpt-3-1.3b", 1300), ("gpt-3-2.7b", 2700),
     ("gpt-3-6.7b", 6700), ("gpt-3-13b", 13000), ("gpt-3-175b", 175000)],
)  # fmt: skip
def test_sizes_that_a_paper_rounds(name, millions):
    """Within 2 % of what the table prints.

    Source: Brown et al. 2020, arXiv:2005.14165, table 2.1.
    """
    assert PRESETS[name].num_parameters / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("mixtral-8x7b", 12.9),
        ("mixtral-8x22b", 39),
        ("deepseek-v3", 37),
        ("olmoe-1b-7b", 1.3),
        ("qwen3-30b-a3b", 3.3),
        ("qwen3-235b-a22b", 22),
    ],
)
def test_active_parameters_of_mixtures(name, billions):
    """What one token meets, as published.

    Source: Jiang et al. 2024, arXiv:2401.04088, section 2; mistral.ai, Mixtral 8x22B; DeepSeek-AI 2024, arXiv:2412.19437;
    Muennighoff et al. 2024, arXiv:2409.02060; Yang et al. 2025, arXiv:2505.09388.
    """
    assert planned(name).num_active_parameters / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("name", [name for name in PRESETS if re.search(r"-\d+(\.\d+)?[bm](-|$)", name)])
def test_a_name_says_the_size(name):
    """The largest number in a name is the number of parameters, as far as names are exact."""
    sizes = re.findall(r"-(\d+(?:\.\d+)?)([bm])(?=-|$)", name)
    said = max(float(number) * {"b": 1e9, "m": 1e6}[unit] for number, unit in sizes)
    assert PRESETS[name].num_parameters == pytest.approx(said, rel=0.35)


def test_the_suites_are_whole():
    """Every size of a published suite that the formulas can express."""
    assert sum(name.startswith("pythia-") for name in PRESETS) == 10
    assert sum(name.startswith("gpt-3-") for name in PRESETS) == 8
    assert sum(name.startswith("bloom-") for name in PRESETS) == 6
    assert sum(name.startswith("qwen2.5-") for name in PRESETS) == 7
    assert sum(name.startswith("t5-") for name in PRESETS) == 5
