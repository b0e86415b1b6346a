"""What advice is made of a run's noise.jsonl, and in which words; what cannot be measured, and why."""

from __future__ import annotations

import json

import pytest

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.errors import PlanError
from launcher.planning.noise.modes import way_of
from launcher.planning.noise.report import noise_report
from launcher.reporting.noise_text import noise_lines, noise_plan_lines, read_noise

ENTRY = {
    "step": 400, "samples": 25600, "mode": "micro-batches", "small_square": 3.0, "big_square": 1.25,
    "small_size": 8.0, "big_size": 64, "weight_square": 1.0, "tokens_per_sequence": 100.0, "gradient_square": 1.0,
    "trace": 160.0, "measurements": 400, "noise_scale": 160.0, "low": 130.0, "high": 200.0, "unresolved": None,
}  # fmt: skip


def planned(*, ranks=2, **keys):
    recipe = {
        "global_batch_size": 64,
        "sequence_length": 128,
        "hidden_size": 64,
        "data": {"num_samples": 1000},
        "schedule": {"length": "9 steps"},
        "micro_batch_size": 8,
        "cluster": {"nodes": 1, "devices_per_node": ranks, "device": "cpu"},
        **keys,
    }
    recipe["launch"] = {"script": "train.py", "runtime": True, **keys.get("launch", {})}
    return make_plan(load_recipe(recipe))


def test_a_resolved_scale_is_a_band():
    """0.2, 1 and 5 noise scales rounded down to 2 ranks x micro-batch 8, with what each costs, and this run's."""
    report = noise_report(
        entries=[{"step": 1, "noise_scale": None, "unresolved": "x"}, ENTRY], plan=planned()
    )
    assert {name: cost["global_batch_size"] for name, cost in report["band"].items()} == {
        "efficient": 32,
        "balanced": 160,
        "no_benefit": 800,
    }
    assert report["band"]["balanced"]["extra_data"] == pytest.approx(1)
    assert report["present"]["global_batch_size"] == 64
    assert report["present"]["extra_data"] == pytest.approx(0.4)
    assert report["present"]["speed"] == pytest.approx(64 / 224)
    assert noise_lines(report) == [
        "160 sequences (95 %: 130 to 200), 16,000 loss tokens",
        "400 measurements up to step 400, micro-batches",
        "order of magnitude, for this point of training; SGD noise, not Adam-preconditioned",
        "                       batch   extra data   of full speed",
        "token-efficient           32         20 %          16.7 %",
        "balanced                 160        100 %            50 %",
        "no benefit beyond        800        500 %          83.3 %",
        "this run                  64         40 %          28.6 %",
        "rounded down to multiples of 16; the batch is yours to change",
    ]


def test_an_unresolved_scale_is_no_band():
    """The reason in words and the number so far, no batch sizes."""
    entry = {**ENTRY, "unresolved": "120 of 200 measurements", "measurements": 120}
    report = noise_report(entries=[entry], plan=planned())
    assert report["band"] is None
    assert noise_lines(report) == [
        "not resolved: 120 of 200 measurements",
        "so far 160 sequences, 120 measurements up to step 400",
    ]


def test_nothing_measured():
    """Without a line the plan's own reason is told, or that it is too early."""
    off = noise_report(entries=[], plan=planned(gradient_noise="off"))
    assert noise_lines(off) == ["not resolved: it was not measured: gradient_noise is off"]
    assert noise_lines(noise_report(entries=[], plan=planned())) == ["not resolved: nothing was measured yet"]


def test_the_file_is_read_back(tmp_path):
    """Lines in order; a line cut short, and a folder without the file, are nothing."""
    assert read_noise(tmp_path) == []
    (tmp_path / "noise.jsonl").write_text(json.dumps(ENTRY) + '\n{"step": 40')
    assert read_noise(tmp_path) == [ENTRY]


WAYS = [
    # keys, way, a word of the reason
    ({}, "micro-batches", None),
    ({"micro_batch_size": 32}, "ranks", None),
    ({"gradient_noise": "ranks"}, "ranks", None),
    ({"gradient_noise": {"mode": "ranks", "every": "10 steps"}}, "ranks", None),
    ({"ranks": 1}, "micro-batches", None),
    ({"ranks": 1, "micro_batch_size": 64}, None, "one rank with one micro-batch"),
    ({"gradient_noise": "off"}, None, "gradient_noise is off"),
    ({"launch": {"runtime": False}}, None, "launch.runtime is false"),
    ({"launch": {"engine": "deepspeed"}}, "micro-batches", None),
    ({"launch": {"engine": "deepspeed"}, "micro_batch_size": 32}, None, "only DistributedDataParallel"),
    ({"launch": {"engine": "accelerate"}, "micro_batch_size": 32}, "ranks", None),
    *(
        (
            {"launch": {"engine": "deepspeed"}, "parallel": {"data": {"strategy": "zero", "stage": stage}}},
            "micro-batches",
            None,
        )
        for stage in (1, 2)
    ),
    (
        {"launch": {"engine": "deepspeed"}, "parallel": {"data": {"strategy": "zero", "stage": 3}}},
        None,
        "ZeRO-3 shards gradients",
    ),
    (
        {
            "launch": {"engine": "accelerate"},
            "parallel": {"data": {"strategy": "fsdp"}},
            "cluster": {"nodes": 1, "devices_per_node": 2, "device": "h100-sxm-80gb"},
        },
        None,
        "FSDP shards gradients",
    ),
]


@pytest.mark.parametrize(("keys", "way", "because"), WAYS)
def test_ways(keys, way, because):
    """What can be measured is measured, accumulation before ranks; what cannot is told why."""
    plan = planned(**keys)
    assert plan.gradient_noise["way"] == way == way_of(plan, plan.batch)
    assert (because is None) == (plan.gradient_noise["because"] is None)
    assert because is None or because in plan.gradient_noise["because"]


def test_the_interval_of_steps():
    """Counted as evaluation.every is; every step when it is not written."""
    assert planned().gradient_noise["every_steps"] == 1
    assert planned(gradient_noise={"every": "130 samples"}).gradient_noise["every_steps"] == 3


IMPOSSIBLE = [
    ({"gradient_noise": "ranks", "ranks": 1}, "there is one rank"),
    ({"gradient_noise": "ranks", "launch": {"engine": "deepspeed"}}, "only DistributedDataParallel"),
    ({"gradient_noise": "micro-batches", "micro_batch_size": 32}, "there is one micro-batch per rank"),
    ({"gradient_noise": "micro-batches", "launch": {"runtime": False}}, "launch.runtime is false"),
]


@pytest.mark.parametrize(("keys", "because"), IMPOSSIBLE)
def test_what_cannot_be_measured_is_refused(keys, because):
    """A way that was asked for by name and does not exist here is an error."""
    with pytest.raises(PlanError, match=because) as error:
        planned(**keys)
    assert [problem.code for problem in error.value.problems] == ["noise-not-measurable"]


def test_measuring_is_no_part_of_what_training_means():
    """The same training with and without: one semantics hash, two plans."""
    on, off = planned(), planned(gradient_noise="off")
    assert on.semantics_hash == off.semantics_hash
    assert on.plan_hash != off.plan_hash


def test_a_stage_does_not_measure_for_itself():
    """Written inside a stage it is legal, changes nothing and is warned of."""
    stages = [{"until": "128 samples", "gradient_noise": "off"}, {}]
    problems = planned(stages=stages).problems
    found = [problem for problem in problems if problem.path == "stages.0.gradient_noise"]
    assert ("no-effect", "warning") in [(problem.code, problem.severity) for problem in found]


def test_the_plan_says_whether_it_measures():
    """One line with the runtime, none without it or when it is off."""
    assert noise_plan_lines(planned()) == [
        "measured every step: the first micro-batch's gradient against the whole batch's"
    ]
    every_tenth = planned(gradient_noise={"mode": "ranks", "every": "10 steps"})
    assert noise_plan_lines(every_tenth) == [
        "measured every 10 steps: each rank's gradient against the mean of all"
    ]
    lone = planned(ranks=1, micro_batch_size=64)
    assert noise_plan_lines(lone) == [
        "not measured: one rank with one micro-batch has one gradient, and nothing to hold it against"
    ]
    assert noise_plan_lines(planned(gradient_noise="off")) == []
    assert noise_plan_lines(planned(launch={"runtime": False})) == []


def test_origins():
    """Default where nothing is written; the recipe's place for each part that is."""
    assert {
        planned().origins[f"gradient_noise.{name}"].origin for name in ("asked", "every_steps", "decay")
    } == {"default"}
    written = planned(gradient_noise={"mode": "ranks", "decay": 0.9}).origins
    assert written["gradient_noise.asked"].origin == written["gradient_noise.decay"].origin == "recipe"
    assert written["gradient_noise.every_steps"].origin == "default"
    assert planned(gradient_noise="off").origins["gradient_noise.asked"].origin == "recipe"
