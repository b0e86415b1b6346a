"""Recipes whose schedule another stack is to own: what it is told, its curve in the plan, and what is refused."""

import pytest
from asking import owned_plan, owned_refusal

from launcher.planning.placeholders import placeholder_values
from launcher.planning.schedulers.compiling import OWNERS
from launcher.planning.schedulers.drawing import compiled_rate

DEEPSPEED, ACCELERATE = {"engine": "deepspeed"}, {"engine": "accelerate"}
LINE = {"warmup_num_steps": 100, "warmup_type": "linear"}
PLACEHOLDERS = ("scheduler_name", "scheduler_warmup_steps", "scheduler_total_steps", "scheduler_arguments")


def only(problems, code):
    (problem,) = problems
    assert problem.code == code
    return problem


@pytest.mark.parametrize(
    ("owner", "changes", "scheduler", "arguments", "handed"),
    [
        (
            "script:transformers",
            {},
            "linear",
            {"num_warmup_steps": 100, "num_training_steps": 1000, "scheduler_specific_kwargs": {}},
            ["linear", "100", "1000", "{}"],
        ),
        (
            "script:accelerate",
            {"schedule": {"decay": "cosine", "final_learning_rate_ratio": 0.1}, "devices": 4},
            "cosine_with_min_lr",
            {
                "num_warmup_steps": 400,
                "num_training_steps": 4000,
                "scheduler_specific_kwargs": {"min_lr_rate": 0.1},
            },
            ["cosine_with_min_lr", "400", "4000", '{"min_lr_rate":0.1}'],
        ),
        (
            "script:trainer",
            {"schedule": {"decay": "wsd", "decay_length": "10 %", "decay_shape": "sqrt"}},
            "warmup_stable_decay",
            {
                "lr_scheduler_type": "warmup_stable_decay",
                "warmup_steps": 100,
                "max_steps": 1000,
                "lr_scheduler_kwargs": {
                    "num_decay_steps": 100,
                    "decay_type": "1-sqrt",
                    "min_lr_ratio": 0.0,
                },
            },
            [
                "warmup_stable_decay",
                "100",
                "1000",
                '{"decay_type":"1-sqrt","min_lr_ratio":0.0,"num_decay_steps":100}',
            ],
        ),
        (
            "script:transformers",
            {"schedule": {"final_learning_rate_ratio": 0.1}},
            "polynomial",
            {
                "num_warmup_steps": 100,
                "num_training_steps": 1000,
                "scheduler_specific_kwargs": {"lr_end": 1e-4, "power": 1.0},
            },
            ["polynomial", "100", "1000", '{"lr_end":0.0001,"power":1.0}'],
        ),
        (
            "engine:WarmupDecayLR",
            {"launch": DEEPSPEED},
            "WarmupDecayLR",
            {"total_num_steps": 1000, "warmup_min_lr": 0.0, "warmup_max_lr": 1e-3, **LINE},
            [
                "WarmupDecayLR",
                "100",
                "1000",
                '{"warmup_max_lr":0.001,"warmup_min_lr":0.0,"warmup_type":"linear"}',
            ],
        ),
        (  # a DummyScheduler: Accelerate divides its total by the two processes
            "engine:WarmupDecayLR",
            {"launch": ACCELERATE, "zero": True},
            "WarmupDecayLR",
            {"total_num_steps": 1000, "warmup_min_lr": 0.0, "warmup_max_lr": 1e-3, **LINE},
            [
                "WarmupDecayLR",
                "100",
                "2000",
                '{"warmup_max_lr":0.001,"warmup_min_lr":0.0,"warmup_type":"linear"}',
            ],
        ),
    ],
)
def test_what_a_stack_is_told(owner, changes, scheduler, arguments, handed):
    """Name and arguments are in the plan by the stack's own names, and reach the script by placeholders."""
    plan = owned_plan(owner, **changes)
    compiled = plan.learning_rate.compiled
    assert (compiled.scheduler, dict(compiled.arguments)) == (scheduler, arguments)
    values = placeholder_values(plan, files=())
    assert [values[name] for name in PLACEHOLDERS] == handed


def test_the_curve_of_the_plan_is_the_stacks():
    """The plan's curve is what will be trained; the one asked for stands beside it at the same samples."""
    plan = owned_plan("engine:WarmupDecayLR", launch=DEEPSPEED)
    rates = plan.learning_rate
    asked = owned_plan("runtime").learning_rate
    assert asked.compiled is None
    assert rates.compiled.asked_curve == asked.curve
    assert [samples for samples, _ in rates.curve] == [samples for samples, _ in asked.curve]
    for samples, rate in rates.curve:
        assert rate == compiled_rate(rates.compiled, peak=1e-3, step=samples // 48)
    assert rates.curve[0][1] == 0.0
    assert rates.compiled.lag_steps == 2
    assert rates.compiled.largest_difference < 1e-12
    assert plan.plan_hash != owned_plan("script:transformers", launch=DEEPSPEED).plan_hash


LENGTHS = ["{peak_learning_rate}", "{scheduler_warmup_steps}", "{scheduler_total_steps}"]


@pytest.mark.parametrize(
    ("owner", "changes", "expected"),
    [
        ("engine:WarmupDecayLR", {"launch": DEEPSPEED}, "engine"),
        ("script:trainer", {}, "script-must"),
        ("script:trainer", {"launch": {"args": ["{peak_learning_rate}"]}}, "script-must"),
        (
            "script:trainer",
            {"launch": {"args": ["{peak_learning_rate}", "{warmup_steps}", "{total_steps}"]}},
            "argument",
        ),
        (
            "script:trainer",
            {"launch": {"args": LENGTHS}, "schedule": {"decay": "cosine", "final_learning_rate_ratio": 0.1}},
            "script-must",
        ),
        (
            "script:trainer",
            {
                "launch": {"args": [*LENGTHS, "{scheduler_arguments}"]},
                "schedule": {"decay": "cosine", "final_learning_rate_ratio": 0.1},
            },
            "argument",
        ),
        (
            "script:accelerate",
            {"launch": {"args": ["{peak_learning_rate}", "{warmup_steps}", "{total_steps}"]}},
            "script-must",
        ),
        (
            "script:accelerate",
            {
                "launch": {
                    "args": ["{peak_learning_rate}", "{scheduler_warmup_steps}", "{scheduler_total_steps}"]
                }
            },
            "argument",
        ),
    ],
)
def test_who_applies_it(owner, changes, expected):
    """The engine does; of a script it is said whether the arguments carry all that it needs, in its own steps."""
    assert owned_plan(owner, **changes).applied_by["learning_rate"] == expected


# the classic mistakes


@pytest.mark.parametrize("devices", [2, 4])
def test_a_schedule_that_is_advanced_once_per_process(devices):
    """Lengths in optimizer steps, given to a schedule that Accelerate prepares, are over after T / processes.

    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step; Lightricks/LTX-Video-Trainer#67 reports it.
    """
    given = {"num_warmup_steps": 100, "num_training_steps": 1000}
    problem = only(
        owned_refusal("script:accelerate", schedule={"arguments": given}, devices=devices), "schedule-differs"
    )
    assert (
        f"over after {1000 // devices} of 1000 steps: Accelerate advances it once per process"
        in problem.message
    )
    assert f"num_training_steps: {1000 * devices}" in problem.hint
    assert problem.path == "schedule.arguments"


def test_split_batches_advances_it_once():
    """With split_batches the same lengths are right, and nothing has to be multiplied."""
    plan = owned_plan("script:accelerate", schedule={"arguments": {"split_batches": True}})
    compiled = plan.learning_rate.compiled
    assert compiled.calls_per_step == 1
    assert compiled.arguments["num_training_steps"] == 1000
    too_long = {"split_batches": True, "num_training_steps": 2000}
    problem = only(owned_refusal("script:accelerate", schedule={"arguments": too_long}), "schedule-differs")
    assert "its length is 2000 steps, the run's 1000" in problem.message


NO_TYPE = {"type": "WarmupDecayLR", "params": {"total_num_steps": 1000, "warmup_num_steps": 100}}
AUTO = {
    "type": "WarmupDecayLR",
    "params": dict.fromkeys(
        ("warmup_min_lr", "warmup_max_lr", "warmup_num_steps", "total_num_steps"), "auto"
    ),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"arguments": {"warmup_type": "log"}}, "launch": DEEPSPEED},
        {"launch": {**DEEPSPEED, "native": {"deepspeed": {"scheduler": NO_TYPE}}}},
        {"launch": {**DEEPSPEED, "native": {"deepspeed": {"scheduler": AUTO}}}},
        {"launch": {**ACCELERATE, "native": {"deepspeed": {"scheduler": AUTO}}}, "zero": True},
    ],
    ids=["log asked of DeepSpeed", "no warmup_type", "auto of a Trainer", "auto under Accelerate"],
)
def test_a_logarithmic_warmup_that_nobody_asked_for(changes):
    """DeepSpeed's warmup is logarithmic unless warmup_type says linear, and a Trainer's "auto" never says it.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR; transformers@5.23.0 integrations/deepspeed.py.
    """
    problem = only(owned_refusal("engine:WarmupDecayLR", **changes), "schedule-differs")
    assert "its warmup is logarithmic" in problem.message
    assert "warmup_type: linear" in problem.hint


def test_a_logarithmic_warmup_that_was_asked_for():
    """With warmup_shape: log the same arguments are accepted, and a linear one is not."""
    log = {"warmup_shape": "log"}
    for native in (
        {},
        {
            "native": {
                "deepspeed": {
                    "scheduler": {**NO_TYPE, "params": {**NO_TYPE["params"], "warmup_max_lr": 1e-3}}
                }
            }
        },
    ):
        plan = owned_plan("engine:WarmupDecayLR", schedule=log, launch={**DEEPSPEED, **native})
        assert plan.learning_rate.compiled.arguments["warmup_type"] == "log"
        assert plan.learning_rate.compiled.largest_difference < 1e-12
    problem = only(
        owned_refusal(
            "engine:WarmupDecayLR",
            schedule={**log, "arguments": {"warmup_type": "linear"}},
            launch=DEEPSPEED,
        ),
        "schedule-differs",
    )
    assert "its warmup is linear, and `schedule.warmup_shape` is log" in problem.message


def test_a_dummy_schedulers_warmup_is_not_divided():
    """Both lengths times processes, given to a DummyScheduler, warm up for twice as long.

    Source: accelerate@1.15.0 accelerator.py:Accelerator._prepare_deepspeed; jzhang38/EasyContext#21 reports it.
    """
    given = {"total_num_steps": 2000, "warmup_num_steps": 200}
    problem = only(
        owned_refusal("engine:WarmupDecayLR", schedule={"arguments": given}, launch=ACCELERATE, zero=True),
        "schedule-differs",
    )
    assert "Accelerate divides total_num_steps by the processes, and not warmup_num_steps" in problem.message
    assert "total_num_steps: 2000, warmup_num_steps: 100" in problem.hint
    undivided = {"total_num_steps": 1000}
    problem = only(
        owned_refusal(
            "engine:WarmupDecayLR", schedule={"arguments": undivided}, launch=ACCELERATE, zero=True
        ),
        "schedule-differs",
    )
    assert "its length is 500 steps, the run's 1000: Accelerate divides" in problem.message


def test_optimizer_steps_for_a_prepared_schedule_are_warned_of():
    """{warmup_steps} and {total_steps} are steps of the optimizer: a warning, as the script may multiply itself."""
    args = ["{peak_learning_rate}", "{warmup_steps}", "{total_steps}"]
    plan = owned_plan("script:accelerate", launch={"args": args})
    found = [problem for problem in plan.problems if problem.code == "schedule-steps"]
    assert [problem.severity for problem in found] == ["warning", "warning"]
    assert "{scheduler_warmup_steps}" in found[0].hint
    beside = [*args, "{scheduler_warmup_steps}", "{scheduler_total_steps}"]
    for owner, changes in (
        ("script:accelerate", {"launch": {"args": beside}}),
        ("script:accelerate", {"launch": {"args": args}, "devices": 1}),
        ("script:transformers", {"launch": {"args": args}}),
    ):
        codes = [problem.code for problem in owned_plan(owner, **changes).problems]
        assert "schedule-steps" not in codes


# what a stack cannot draw


@pytest.mark.parametrize(
    ("owner", "schedule", "code", "words", "able"),
    [
        (
            "engine:WarmupCosineLR",
            {"decay": "cosine"},
            "schedule-differs",
            "never reaches its peak",
            "script:tr",
        ),
        ("engine:WarmupLR", {}, "schedule-not-drawn", "stays at its peak", "engine:WarmupDecayLR"),
        (
            "engine:WarmupDecayLR",
            {"decay": "wsd", "decay_length": "10 %"},
            "schedule-not-drawn",
            "decays in a line",
            "script:transformers",
        ),
        (
            "engine:WarmupDecayLR",
            {"final_learning_rate_ratio": 0.1},
            "schedule-differs",
            "it starts at 0.0001, asked for is 0 (where it starts is also where it ends)",
            "script:transformers",
        ),
        (
            "script:transformers",
            {"decay": "wsd", "decay_length": "10 %", "final_learning_rate_ratio": 0.1},
            "schedule-differs",
            "it starts at 0.0001",
            "runtime",
        ),
        (
            "script:transformers",
            {"final_learning_rate_ratio": 0.1, "arguments": {"name": "linear"}},
            "schedule-differs",
            "it ends at 0, asked for is 0.0001",
            "polynomial",
        ),
        (
            "engine:WarmupDecayLR",
            {"warmup": "0 steps"},
            "schedule-differs",
            "a warmup of 2 steps, asked for is 0",
            "script:transformers",
        ),
        (
            "engine:WarmupDecayLR",
            {"warmup": "1 steps"},
            "schedule-differs",
            "a warmup of 2 steps, asked for is 1: DeepSpeed takes 2 at least",
            "script:transformers",
        ),
        (
            "script:trainer",
            {"warmup": "120 samples"},
            "schedule-differs",
            "its warmup is whole steps, 3 for 2.5",
            "runtime",
        ),
        (
            "script:accelerate",
            {"warmup": "120 samples"},
            "schedule-differs",
            "its warmup is whole steps, 3 for 2.5",
            "runtime",
        ),
        (
            "script:accelerate",
            {"arguments": {"num_training_steps": 4000}},
            "schedule-differs",
            "its length is 2000 steps, the run's 1000: Accelerate advances it once per process",
            "num_training_steps: 2000",
        ),
        (
            "script:accelerate",
            {"decay": "constant", "arguments": {"num_warmup_steps": 100, "num_training_steps": 1000}},
            "schedule-differs",
            "warmed up after 50 of 100 steps: Accelerate advances it once per process",
            "num_warmup_steps: 200",
        ),
        (
            "script:trainer",
            {"arguments": {"warmup_steps": 0.07}, "warmup": "7 %", "length": "100 steps"},
            "schedule-differs",
            "a warmup of 8 steps, asked for is 7",
            "warmup_steps: 7",
        ),
        (
            "engine:WarmupDecayLR",
            {"arguments": {"warmup_max_lr": 2e-3}},
            "schedule-differs",
            "its peak is 0.002, asked for is 0.001",
            "leave schedule.arguments out",
        ),
    ],
)
def test_another_curve_is_refused(owner, schedule, code, words, able):
    """The message says in what the curve differs, and the hint what would draw the right one."""
    problem = only(owned_refusal(owner, schedule=schedule, launch=DEEPSPEED), code)
    assert words in problem.message
    assert able in problem.hint


def test_a_starting_rate_is_the_runtimes():
    """SGD scaled up linearly starts at its reference rate; no schedule of Hugging Face's and no line of DeepSpeed's does."""
    optimizer = {"name": "sgd", "reference_learning_rate": 0.1, "reference_batch_size": 24}
    for owner in ("script:transformers", "engine:WarmupDecayLR"):
        problem = only(owned_refusal(owner, optimizer=optimizer, launch=DEEPSPEED), "schedule-differs")
        assert "it starts at 0, asked for is 0.1" in problem.message
        assert "runtime" in problem.hint
    plan = owned_plan(
        "engine:WarmupLR", optimizer=optimizer, schedule={"decay": "constant"}, launch=DEEPSPEED
    )
    assert plan.learning_rate.compiled.arguments["warmup_min_lr"] == 0.1


@pytest.mark.parametrize(
    ("owner", "changes", "path"),
    [
        ("engine:WarmupLR", {}, "schedule.owner"),
        ("engine:WarmupLR", {"launch": ACCELERATE}, "schedule.owner"),
        ("engine:OneCycle", {"launch": DEEPSPEED}, "schedule.owner"),
        ("script:keras", {}, "schedule.owner"),
        ("script:trainer", {"schedule": {"clock": "tokens"}}, "schedule.clock"),
        ("script:trainer", {"schedule": {"warmup_shape": "log"}}, "schedule.warmup_shape"),
        ("runtime", {"schedule": {"warmup_shape": "log"}}, "schedule.warmup_shape"),
    ],
)
def test_owners_that_are_not_there(owner, changes, path):
    """A scheduler without its engine, an unknown one, and keys that only the runtime carries out."""
    assert only(owned_refusal(owner, **changes), "schedule-owner").path == path


def test_stages_are_the_runtimes():
    """A scheduler that counts optimizer steps knows of one batch: with stages it is refused."""
    stages = [{"until": "4800 samples", "global_batch_size": 24}, {}]
    found = owned_refusal("script:trainer", stages=stages, launch={"runtime": True})
    assert "schedule-owner" in [problem.code for problem in found]


@pytest.mark.parametrize(
    ("owner", "arguments", "path"),
    [
        ("script:trainer", {"warmup_ratio": 0.1}, "warmup_ratio"),
        ("script:trainer", {"max_steps": "1000"}, "max_steps"),
        ("script:trainer", {"lr_scheduler_kwargs": "x"}, "lr_scheduler_kwargs"),
        ("script:transformers", {"name": "reduce_lr_on_plateau"}, "name"),
        ("script:transformers", {"split_batches": True}, "split_batches"),
        ("script:accelerate", {"split_batches": 1}, "split_batches"),
        ("engine:WarmupDecayLR", {"warmup_num_steps": 0}, "warmup_num_steps"),
        ("engine:WarmupDecayLR", {"warmup_num_steps": 100.0}, "warmup_num_steps"),
        ("engine:WarmupDecayLR", {"warmup_type": "cosine"}, "warmup_type"),
        ("engine:WarmupDecayLR", {"warmup_min_ratio": 0.0}, "warmup_min_ratio"),
        ("engine:WarmupDecayLR", {"last_batch_iteration": 5}, "last_batch_iteration"),
    ],
)
def test_arguments_that_a_stack_does_not_take(owner, arguments, path):
    """What the stack would refuse, or take for something else in silence, is a problem of the plan."""
    problem = only(
        owned_refusal(owner, schedule={"arguments": arguments}, launch=DEEPSPEED), "schedule-argument"
    )
    assert problem.path == f"schedule.arguments.{path}"


def test_arguments_without_a_stack_change_nothing():
    """The runtime and a bare script are given none."""
    plan = owned_plan("script", schedule={"arguments": {"num_warmup_steps": 3}})
    (problem,) = [problem for problem in plan.problems if problem.code == "no-effect"]
    assert problem.path == "schedule.arguments"


def test_a_million_steps_are_planned_quickly():
    """A long schedule is compared at its corners, not at every step."""
    import time

    began = time.process_time()
    owned_plan("script:accelerate", schedule={"warmup": "2000 steps", "length": "1000000 steps"})
    assert time.process_time() - began < 0.2


def test_every_owner_is_named_in_the_tests():
    """No owner is without a recipe here."""
    assert set(OWNERS) == {
        "script:transformers",
        "script:accelerate",
        "script:trainer",
        "engine:WarmupLR",
        "engine:WarmupDecayLR",
        "engine:WarmupCosineLR",
    }


def test_who_draws_a_schedule_is_not_what_training_means():
    """Owner and arguments move the plan's hash and not that of its semantics; a logarithmic warmup moves both."""
    hashes = {
        owner: owned_plan(owner, launch=DEEPSPEED, schedule=schedule).semantics_hash
        for owner, schedule in {
            "script": {},
            "script:accelerate": {"arguments": {"num_training_steps": 2000}},
            "engine:WarmupDecayLR": {},
        }.items()
    }
    assert len(set(hashes.values())) == 1
    log = owned_plan("engine:WarmupDecayLR", launch=DEEPSPEED, schedule={"warmup_shape": "log"})
    assert log.semantics_hash not in hashes.values()
