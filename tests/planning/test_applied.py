"""Who carries out what; what nobody would is refused or said."""

import pytest
from plan_of import amount, codes, errors, only, plan_of, recipe_of, refusal_of

from launcher.planning.support import unsupported
from launcher.spec.launch import Launch
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.recipe import Stage
from launcher.spec.training import Loss, Optimizer, Schedule

ALL_ARGS = tuple(
    f"{{{name}}}"
    for name in (
        "micro_batch_size",
        "gradient_accumulation_steps",
        "peak_learning_rate",
        "weight_decay",
        "gradient_clipping",
        "precision",
        "activation_checkpointing",
        "seed",
    )
)
FULL = Optimizer(weight_decay=0.1, gradient_clipping=1.0, learning_rate=1e-3)


def applied(**keys):
    return plan_of(optimizer=keys.pop("optimizer", FULL), **keys).applied_by


def test_a_bare_script_must_do_everything():
    """Without runtime, engine or arguments each setting is the script's."""
    assert set(applied().values()) == {"script-must"}


def test_placeholders_make_arguments():
    """What a placeholder carries, in args or in env, is an argument."""
    by_args = applied(launch=Launch(args=ALL_ARGS))
    expected = {name for name, who in by_args.items() if who == "argument"}
    assert expected == {
        "micro_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "weight_decay",
        "gradient_clipping",
        "precision",
        "activation_checkpointing",
        "seed",
    }
    assert applied(launch=Launch(env={"LR": "{peak_learning_rate}"}))["learning_rate"] == "argument"
    assert (
        applied(launch=Launch(args=("{gradient_accumulation_steps_all_ranks}",)))[
            "gradient_accumulation_steps"
        ]
        == "argument"
    )


def test_the_runtime_applies_batch_rate_order_and_weights():
    """launch.runtime: true hands these to the runtime; the model stays the script's."""
    by = applied(launch=Launch(runtime=True))
    theirs = {
        "micro_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "sample_order",
        "loss.weighting",
    }
    assert {name for name, who in by.items() if who == "runtime"} == theirs | {"gradient_clipping"}
    scripts = plan_of(
        optimizer=FULL, launch=Launch(runtime=True), schedule=Schedule(owner="script")
    ).applied_by
    assert scripts["learning_rate"] == "script-must"


@pytest.mark.parametrize(
    ("engine", "theirs"),
    [
        ("deepspeed", {"gradient_accumulation_steps", "gradient_clipping", "precision", "data_strategy"}),
        ("accelerate", {"gradient_accumulation_steps", "precision", "data_strategy"}),
        ("torchrun", set()),
    ],
)
def test_engines(engine, theirs):
    """DeepSpeed accumulates, clips and casts; Accelerate accumulates and casts; torchrun starts processes."""
    by = applied(launch=Launch(engine=engine))
    assert {name for name, who in by.items() if who == "engine"} == theirs


def test_an_optimizer_of_the_engine():
    """optimizer.owner: engine is rendered, with its weight decay."""
    optimizer = Optimizer(owner="engine", weight_decay=0.1)
    by = applied(optimizer=optimizer, launch=Launch(engine="deepspeed"))
    assert (by["optimizer"], by["weight_decay"]) == ("engine", "engine")


def test_settings_that_are_not_there_are_not_listed():
    """No clipping, no decay and no axes: nobody applies them."""
    by = applied(optimizer=Optimizer())
    assert not {"gradient_clipping", "weight_decay", "tensor", "pipeline", "context", "expert"} & set(by)


@pytest.mark.parametrize("axis", ["tensor", "pipeline", "context"])
@pytest.mark.parametrize("engine", ["torchrun", "deepspeed", "accelerate", "somebody-elses"])
def test_axes_that_nobody_applies_are_refused(axis, engine):
    """Ignored without a word they would multiply the batch: the script has to declare them."""
    parallel = Parallel(**{axis: 2})
    refusal = refusal_of(devices=2, parallel=parallel, launch=Launch(engine=engine))
    problem = only(refusal, "script-must-apply")
    assert problem.path == f"parallel.{axis}"
    assert problem.because == ("a script that ignores it trains a batch 2 times as large",)
    declared = plan_of(devices=2, parallel=parallel, launch=Launch(engine=engine, script_applies=(axis,)))
    assert declared.applied_by[axis] == "script-must"


def test_all_axes_are_refused_at_once():
    """Two axes are two problems; experts do not change the batch and are none."""
    parallel = Parallel(tensor=2, pipeline=2, expert=2)
    assert errors(refusal_of(devices=8, parallel=parallel)) == ["script-must-apply"] * 2
    assert plan_of(devices=2, parallel=Parallel(expert=2)).applied_by["expert"] == "script-must"


@pytest.mark.parametrize(
    ("engine", "strategy", "applies"),
    [
        ("torchrun", "ddp", True),
        ("torchrun", "zero", False),
        ("torchrun", "fsdp", False),
        ("deepspeed", "zero", True),
        ("deepspeed", "fsdp", False),
        ("accelerate", "zero", True),
        ("accelerate", "fsdp", True),
        ("somebody-elses", "zero", False),
    ],
)
def test_strategies(engine, strategy, applies):
    """Sharding needs an engine that shards, or a script that says it does."""
    parallel = Parallel(data=DataParallel(strategy=strategy))
    if applies:
        assert codes(plan_of(parallel=parallel, launch=Launch(engine=engine))) == []
        return
    problem = only(refusal_of(parallel=parallel, launch=Launch(engine=engine)), "script-must-apply")
    assert "launch.engine: " in problem.hint
    declared = Launch(engine=engine, script_applies=(strategy,))
    assert plan_of(parallel=parallel, launch=declared).applied_by["data_strategy"] == "script-must"


def test_what_a_script_does_by_itself():
    """Sequence parallelism, pipeline pieces and stages are the script's where it says so, else not to be rendered."""
    parallel = Parallel(tensor=2, pipeline=2, virtual_pipeline=2, sequence=True)
    axes = ("tensor", "pipeline", "virtual_pipeline", "sequence")
    stages = (Stage(until=amount("512 samples"), global_batch_size=128), Stage())
    keys = {"devices": 4, "parallel": parallel, "stages": stages}
    declared = recipe_of(**keys, launch=Launch(script_applies=(*axes, "stages")))
    assert unsupported(declared) == ()
    by = plan_of(declared).applied_by
    assert {name: by[name] for name in (*axes, "stages")} == dict.fromkeys((*axes, "stages"), "script-must")
    half = recipe_of(**keys, launch=Launch(script_applies=("tensor", "pipeline")))
    assert [(problem.code, problem.path) for problem in unsupported(half)] == [
        ("not-yet-supported", "parallel.virtual_pipeline"),
        ("not-yet-supported", "parallel.sequence"),
        ("stages-need-the-runtime", "stages"),
        ("stages-need-data-parallel", "parallel"),
    ]
    assert not {"stages", "sequence", "virtual_pipeline"} & set(plan_of(half).applied_by)


def test_the_runtime_changes_stages_itself():
    """A script that uses the runtime does not change the batch, whatever it declares."""
    stages = (Stage(until=amount("512 samples"), global_batch_size=128), Stage())
    launch = Launch(runtime=True, script_applies=("tensor", "stages"))
    recipe = recipe_of(devices=2, parallel=Parallel(tensor=2), stages=stages, launch=launch)
    assert [problem.code for problem in unsupported(recipe)] == ["stages-need-data-parallel"]
    assert "stages" not in plan_of(recipe).applied_by


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"activation_checkpointing": "full"}, "activation_checkpointing"),
        ({"attention": "flash"}, "attention"),
        ({"compile": True}, "compile"),
        ({"loss": Loss(logits="chunked")}, "loss.logits"),
    ],
)
def test_what_only_the_script_can_do_is_noted(keys, path):
    """A note, once it is not at its default; with a placeholder that carries it, none."""
    problem = only(plan_of(**keys), "nobody-applies")
    assert (problem.severity, problem.path) == ("note", path)
    assert problem.message.startswith(f"`{path}: ")
    if path == "activation_checkpointing":
        assert codes(plan_of(**keys, launch=Launch(args=("{activation_checkpointing}",)))) == []
