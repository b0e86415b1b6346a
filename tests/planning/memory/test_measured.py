"""What a measurement says of a micro-batch, and what the plan makes of it."""

from dataclasses import replace

import pytest

from launcher.api import load_recipe
from launcher.planning.memory.measured import (
    fitting_measurement,
    known_to_fit,
    probe_setting,
    stale_measurement,
    usable_by,
)
from launcher.planning.plan import make_plan
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement, RankPeak, Trial
from launcher.spec.plain import from_plain, to_plain

GIB = 2**30
RECIPE = {
    "global_batch_size": 32,
    "sequence_length": 64,
    "hidden_size": 128,
    "model": {"num_layers": 2, "vocab_size": 96},
    "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu", "host_memory": "8 GiB"},
    "launch": {"script": "train.py"},
}


def planned(measurements=(), **changes):
    recipe = load_recipe({**RECIPE, **changes})
    return make_plan(
        recipe=recipe,
        cluster=recipe.cluster,
        cluster_origin=Origin(origin="recipe"),
        measurements=measurements,
    )


def trial(micro, peak, *, sequences=16):
    """A trial that took `peak` GiB on its larger rank, or that ran out of memory."""
    sizes = [] if peak is None else [round(peak * GIB) - 1000, round(peak * GIB)]
    peaks = tuple(RankPeak(rank=at, host="here", peak_bytes=size) for at, size in enumerate(sizes))
    return Trial(
        micro_batch_size=micro,
        gradient_accumulation_steps=sequences // micro,
        outcome="out-of-memory" if peak is None else "fits",
        peaks=peaks,
        predicted_bytes=None,
        seconds=1.0,
    )


def measurement(*trials, **changes):
    plan = planned()
    recipe = load_recipe(RECIPE)
    found = Measurement(
        made="2026-11-22T04:10:31Z",
        setting=probe_setting(recipe=recipe, layout=plan.layout, model=plan.model, precision=plan.precision),
        code={"train.py": "0" * 64},
        limit_bytes=4 * GIB,
        limit_is_given=False,
        steps=3,
        versions={},
        trials=trials,
        file=".batchwright/probe/0.json",
    )
    return replace(found, **changes)


def test_it_comes_back_from_its_file():
    """Plain values and back is the same measurement."""
    found = measurement(trial(2, 1.0), trial(4, None))
    assert from_plain(Measurement, to_plain(found)) == found


def test_the_setting_leaves_the_split_out():
    """Another micro-batch is the same question; another length, engine or optimizer another one."""
    plain = planned()

    def setting(**changes):
        recipe = load_recipe({**RECIPE, **changes})
        plan = planned(**changes)
        return probe_setting(recipe=recipe, layout=plan.layout, model=plan.model, precision=plan.precision)

    assert plain.batch.micro_batch_size != 4
    assert setting(micro_batch_size=4) == setting() == setting(gradient_accumulation_steps=8)
    assert setting(optimizer={"learning_rate": 1e-3}) == setting()
    others = [
        {"sequence_length": 128},
        {"optimizer": {"name": "sgd", "learning_rate": 0.1}},
        {"precision": "bf16"},
        {"attention": "eager"},
        {"launch": {"script": "other.py"}},
        {"activation_checkpointing": "full"},
        {"loss": {"logits": "chunked"}},
    ]
    for changes in others:
        assert setting(**changes) != setting(), changes


def test_auto_takes_the_largest_that_fitted():
    """The plan's micro-batch, its peak, its band and its largest are the measured ones, between 1 and the share."""
    plan = planned([measurement(trial(4, 2.0), trial(8, None))])
    memory = plan.memory
    assert plan.verdict == "fits"
    assert plan.batch.micro_batch_size == memory.max_micro_batch_size == 4
    assert (memory.low_bytes, memory.peak_bytes, memory.high_bytes) == (2 * GIB - 1000, 2 * GIB, 2 * GIB)
    assert sum(memory.components.values()) == memory.peak_bytes
    assert memory.evidence == "probe of 2026-11-22, 2 trials"
    assert memory.predicted_bytes == planned(micro_batch_size=4).memory.peak_bytes
    assert plan.origins["batch.micro_batch_size"].origin == "measured"
    assert plan.origins["memory.peak_bytes"].file == ".batchwright/probe/0.json"


@pytest.mark.parametrize("micro", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(
    "trials",
    [
        (trial(4, 2.0), trial(8, None)),
        (trial(2, 3.0), trial(4, 5.0)),
        (trial(16, 3.9),),
        (trial(1, None),),
        (trial(8, 3.0), trial(2, 1.0)),
    ],
)
def test_the_largest_agrees_with_the_verdict(trials, micro):
    """A written micro-batch fits just when it is at most the largest, tried or not."""
    found = measurement(*trials)
    largest = planned([found]).memory.max_micro_batch_size or 0
    plan = planned([found], micro_batch_size=micro)
    assert (plan.verdict == "fits") == (micro <= largest)
    assert plan.memory.max_micro_batch_size == (largest or None)
    assert plan.memory.low_bytes <= plan.memory.peak_bytes <= plan.memory.high_bytes
    assert sum(plan.memory.components.values()) == plan.memory.peak_bytes


def test_beyond_the_trials_the_model_decides():
    """Memory that ran out below a limit says nothing of a machine with more."""
    low = measurement(trial(4, 0.5), trial(8, None), limit_bytes=GIB)
    assert planned([low]).memory.max_micro_batch_size == 16
    assert known_to_fit(low, micro_batch_size=8, accumulates=True, usable=4 * GIB) is None
    assert known_to_fit(low, micro_batch_size=8, accumulates=True, usable=GIB) is False


def test_what_fits_without_accumulation_may_not_fit_with_it():
    """The whole share in one pass needs no gradients beside those of the last micro-batch."""
    whole = measurement(trial(16, 3.0))
    assert known_to_fit(whole, micro_batch_size=8, accumulates=True, usable=4 * GIB) is None
    parts = measurement(trial(8, 3.0), trial(4, 2.0))
    assert known_to_fit(parts, micro_batch_size=2, accumulates=True, usable=4 * GIB) is True
    assert known_to_fit(parts, micro_batch_size=4, accumulates=True, usable=GIB) is False


def test_a_limit_for_the_probe_holds_for_the_plan():
    """`--limit` is what one rank may take, unless the recipe says how much memory there is."""
    given = measurement(trial(4, 0.5), trial(8, None), limit_bytes=GIB, limit_is_given=True)
    assert usable_by(given, usable=4 * GIB, is_written=False) == GIB
    assert usable_by(given, usable=None, is_written=True) == GIB
    assert usable_by(given, usable=4 * GIB, is_written=True) == 4 * GIB
    assert usable_by(None, usable=4 * GIB, is_written=False) == 4 * GIB


def test_the_newest_of_unchanged_code_counts():
    """Changed code makes a measurement stale; the newest of the others is used, and then nothing is stale."""
    old = measurement(trial(4, 2.0))
    new = measurement(trial(2, 2.0), made="2026-11-23T00:00:00Z")
    edited = replace(new, changed=("train.py",))
    setting = old.setting
    assert fitting_measurement([new, old], setting=setting) is new
    assert fitting_measurement([edited, old], setting=setting) is old
    assert stale_measurement([edited, old], setting=setting) is None
    assert stale_measurement([edited], setting=setting) is edited
    plan = planned([edited])
    assert [problem.code for problem in plan.problems if problem.code == "probe-stale"] == ["probe-stale"]
    assert plan.memory == planned().memory


def test_a_date_does_not_change_the_plan_that_is_approved():
    """Measuring again with the same outcome leaves the plan's hash as it was."""
    first, again = (
        measurement(trial(4, peak), made=f"2026-11-2{day}T00:00:00Z") for peak, day in ((2.0, 2), (2.1, 3))
    )
    assert planned([first]).plan_hash == planned([again]).plan_hash
    assert planned([first]).semantics_hash == planned().semantics_hash


UNKNOWN = {"model": {"kind": "module", "module": "mine:build"}}


def unknown(*trials, **changes):
    """A measurement of a recipe whose network nobody can lay out: a module without a trace."""
    recipe, plan = load_recipe({**RECIPE, **UNKNOWN}), planned(**UNKNOWN)
    assert plan.memory is None
    setting = probe_setting(recipe=recipe, layout=plan.layout, model=plan.model, precision=plan.precision)
    return replace(measurement(*trials), setting=setting, **changes)


def test_a_network_that_is_not_known_is_known_by_its_measurement():
    """Largest, peak and verdict without any model; the parts and the phase stay unknown."""
    found = unknown(trial(4, 2.0), trial(8, None))
    plan = planned([found], **UNKNOWN)
    assert plan.verdict == "fits"
    assert plan.batch.micro_batch_size == plan.memory.max_micro_batch_size == 4
    assert plan.memory.components == {"measured": 2 * GIB}
    assert (plan.memory.peak_phase, plan.memory.predicted_bytes) == (None, None)
    assert plan.origins["batch.micro_batch_size"].origin == "measured"
    assert "trace-missing" not in {problem.code for problem in plan.problems}
    assert from_plain(type(plan), plan.to_dict()).memory == plan.memory
    larger = planned([found], **UNKNOWN, micro_batch_size=16)
    assert (larger.verdict, larger.memory) == ("does-not-fit", None)
    (problem,) = [problem for problem in larger.problems if problem.code == "does-not-fit"]
    assert problem.hint == "the largest that fitted is 4"
    between = planned([unknown(trial(8, 3.0))], **UNKNOWN, micro_batch_size=4)
    assert (between.verdict, between.memory) == ("fits", None)


def test_a_stale_measurement_of_an_unknown_network_is_only_noted():
    """Nothing is taken from it, not even the micro-batch."""
    stale = unknown(trial(1, 3.9), trial(2, None), changed=("train.py",))
    plan = planned([stale], **UNKNOWN)
    assert plan.verdict == "unknown-memory"
    assert plan.batch.micro_batch_size == planned(**UNKNOWN).batch.micro_batch_size
    assert "probe-stale" in {problem.code for problem in plan.problems}
