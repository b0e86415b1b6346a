"""The memory of a plan as people read it: parts, bar, peak, evidence."""

import re
from dataclasses import replace

import pytest

from launcher.api import load_recipe, plan
from launcher.reporting.glyphs import ASCII, UNICODE
from launcher.reporting.memory_text import memory_lines, memory_summary

BASE = {"global_batch_size": 64, "sequence_length": 1024, "model": {"preset": "gpt2"}}
GIB = 2**30


def made(**keys):
    cluster = {"nodes": 1, "devices_per_node": 8, "device": "a100-sxm-40gb"}
    return plan(load_recipe({**BASE, "cluster": cluster, **keys}))


def bar_of(result, glyphs=ASCII):
    return next(
        line for line in memory_lines(result, glyphs) if set(line) <= set(f"{glyphs.shades}{glyphs.empty}|")
    )


def test_the_summary_holds_expected_worst_and_limit():
    """The first line's answer in GiB."""
    result = made()
    expected, worst, limit = re.findall(r"[0-9.]+", memory_summary(result))
    memory = result.memory
    assert float(expected) == pytest.approx(memory.peak_bytes / GIB, abs=0.05)
    assert float(worst) == pytest.approx(memory.high_bytes / GIB, abs=0.05)
    assert float(limit) == 39.4


def test_without_an_estimate_there_is_no_number():
    """A plan that knows nothing of the model's dimensions says so."""
    result = replace(made(), memory=None)
    assert memory_summary(result) == ""
    assert memory_lines(result, ASCII) == ["not estimated: the dimensions of the model are not known"]


@pytest.mark.parametrize("glyphs", [ASCII, UNICODE])
def test_the_bar_is_as_full_as_the_device(glyphs):
    """Sixty characters are what the device has; the filled ones are the peak."""
    result = made()
    bar = bar_of(result, glyphs)
    assert len(bar) == 60
    filled = sum(character in glyphs.shades for character in bar)
    assert filled == pytest.approx(60 * result.memory.peak_bytes / result.memory.usable_bytes, abs=1)


def test_a_bar_that_runs_over_shows_the_limit():
    """Where it does not fit, a stroke stands at the limit."""
    result = made(micro_batch_size=8, model={"preset": "gpt2-xl"})
    bar = bar_of(result)
    assert bar.count("|") == 1
    assert bar.index("|") == round(60 * result.memory.usable_bytes / result.memory.peak_bytes)
    assert "." not in bar


def test_the_parts_shown_are_the_components():
    """Each part above a hundredth of the peak, and together what the plan says."""
    result = made()
    shown = memory_lines(result, ASCII)[0]
    numbers = [float(number) for number in re.findall(r"[a-z] ([0-9.]+)", shown)]
    assert sum(numbers) == pytest.approx(result.memory.peak_bytes / GIB, rel=0.05)
    assert "activations" in shown


def test_the_peak_and_its_evidence_are_named():
    """Phase, range and source of the figures."""
    text = "\n".join(memory_lines(made(), ASCII))
    assert "peak: start of the backward pass" in text
    assert "transformers/gpt2" in text
    assert "largest micro-batch that fits with its margin: 8" in text


def test_a_pipeline_names_its_stage():
    """With more than one stage the one that peaks is named."""
    result = made(
        global_batch_size=64,
        parallel={"pipeline": 2},
        launch={"script_applies": ["pipeline"]},
    )
    assert re.search(r"of pipeline stage [01]", "\n".join(memory_lines(result, ASCII)))


def test_an_unknown_limit_says_what_to_write():
    """On a CPU whose memory nobody wrote down."""
    result = made(cluster={"nodes": 1, "devices_per_node": 2, "device": "cpu"})
    assert "cluster.host_memory" in "\n".join(memory_lines(result, ASCII))
