"""The whole plan: all problems at once, every number with its origin, the contract's own recipe."""

import json
from pathlib import Path

import pytest
from plan_of import amount, codes, count, errors, only, plan_of, recipe_of, refusal_of, severities

from launcher.spec.cluster import Cluster
from launcher.spec.launch import Launch, Network, Slurm
from launcher.spec.marks import Mark
from launcher.spec.model import Model
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.training import Data, LossScale, Optimizer, Precisions, Scaling, Schedule

CONTRACT = Path(__file__).parent.parent / "contract" / "full.yaml"


def test_all_problems_at_once():
    """One refusal names what is wrong with batch, model, layout, rate and schedule together."""
    refusal = refusal_of(
        global_batch_size=7,
        hidden_size=100,
        devices=4,
        parallel=Parallel(tensor=2),
        optimizer=Optimizer(reference_learning_rate=1e-3),
        schedule=Schedule(decay="cosine"),
        launch=Launch(script="a.py", module="b"),
    )
    assert errors(refusal) == [
        "batch-not-divisible",
        "width-not-divisible",
        "missing-reference-batch",
        "schedule-needs-length",
        "ambiguous-script",
        "script-must-apply",
    ]
    assert refusal.alternatives


def test_a_refused_plan_shows_what_it_has():
    """The dict of a refusal holds the blocks that could be solved, and is JSON."""
    refusal = refusal_of(
        hidden_size=100, optimizer=Optimizer(learning_rate=1e-3), schedule=Schedule(length=amount("9 steps"))
    )
    shown = json.loads(json.dumps(refusal.to_dict()))
    assert (shown["verdict"], shown["model"], shown["semantics_hash"]) == ("refused", None, None)
    assert shown["batch"]["global_batch_size"] == 256
    assert shown["learning_rate"]["total_steps"] == 9
    assert shown["problems"][0]["code"] == "width-not-divisible"
    unknown = refusal_of(device="nothing", global_batch_size=None)
    assert unknown.to_dict()["layout"] is None


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (
            {"schedule": Schedule(decay_length=amount("10 %"), length=amount("9 steps"))},
            "schedule.decay_length",
        ),
        ({"schedule": Schedule(decay_shape="sqrt")}, "schedule.decay_shape"),
        ({"schedule": Schedule(final_learning_rate_ratio=0.1)}, "schedule.final_learning_rate_ratio"),
        ({"schedule": Schedule(warmup_keeps="samples")}, "schedule.warmup_keeps"),
        ({"optimizer": Optimizer(name="sgd", betas=(0.9, 0.95))}, "optimizer.betas"),
        ({"optimizer": Optimizer(momentum=0.9)}, "optimizer.momentum"),
        ({"optimizer": Optimizer(nesterov=True)}, "optimizer.nesterov"),
        ({"optimizer": Optimizer(scaling="linear")}, "optimizer.scaling"),
        ({"optimizer": Optimizer(scaling=Scaling(rule="linear"))}, "optimizer.scaling.rule"),
        ({"parallel": Parallel(data=DataParallel(stage=2))}, "parallel.data.stage"),
        ({"parallel": Parallel(data=DataParallel(offload="optimizer"))}, "parallel.data.offload"),
        ({"parallel": Parallel(data=DataParallel(version=1))}, "parallel.data.version"),
        ({"launch": Launch(slurm=Slurm(constraint="a100"))}, "launch.slurm.constraint"),
        ({"launch": Launch(slurm=Slurm(requeue=True))}, "launch.slurm.requeue"),
        (
            {"launch": Launch(executor="kubernetes", workdir="/w", slurm=Slurm(extra=("--mem=0",)))},
            "launch.slurm.extra",
        ),
        ({"launch": Launch(executor="ssh", template="site.sbatch")}, "launch.template"),
    ],
)
def test_written_values_without_effect_are_warned_of(keys, path):
    """A value that nothing reads is legal, and said."""
    plan = plan_of(**keys)
    assert [(problem.code, problem.path, problem.severity) for problem in plan.problems] == [
        ("no-effect", path, "warning")
    ]


def test_parameters_of_rules_that_have_none():
    """An alpha and a critical batch beside `sqrt` are two warnings; beside `capped` none."""
    scaling = {"alpha": 0.5, "critical_batch_tokens": count("1Mi")}

    def found(rule: str) -> list[str]:
        optimizer = Optimizer(
            reference_learning_rate=1e-3, reference_batch_size=256, scaling=Scaling(rule=rule, **scaling)
        )
        return codes(plan_of(optimizer=optimizer))

    assert found("sqrt") == ["no-effect"] * 2
    assert found("capped") == []


def test_values_with_effect_are_not():
    """Momentum of SGD, betas of Adam, the decay of wsd, a stage of zero say nothing."""
    plan = plan_of(
        optimizer=Optimizer(name="sgd", momentum=0.9, nesterov=True, learning_rate=0.1),
        schedule=Schedule(
            decay="wsd", decay_length=amount("10 %"), decay_shape="sqrt", length=amount("90 steps")
        ),
        parallel=Parallel(data=DataParallel(strategy="zero", stage=1, offload="optimizer")),
        launch=Launch(engine="deepspeed"),
    )
    assert codes(plan) == []
    assert (plan.optimizer.momentum, plan.optimizer.nesterov) == (0.9, True)


def test_a_streams_order_is_not_proven():
    """data.kind: stream is noted."""
    assert severities(plan_of(data=Data(kind="stream"))) == {"order-unproven": "note"}


def test_precision():
    """A word, or every number format written out."""
    written = Precisions(compute="fp16", reduce_dtype="fp32", loss_scale=LossScale(initial=65536.0))
    plan = plan_of(precision=written).precision
    assert (plan.compute, plan.reduce_dtype, plan.loss_scale_initial, plan.loss_scale_static) == (
        "fp16",
        "fp32",
        65536.0,
        None,
    )
    assert plan_of(precision=Precisions(compute="bf16")).precision.loss_scale_initial is None
    assert plan_of(precision="fp8").precision.compute == "fp8"


def test_the_launch_block():
    """Paths are joined to the recipe's folder; one node meets on itself, several where they are told."""
    launch = Launch(script="train.py", workdir="../code", network=Network(port=29500))
    plan = plan_of(recipe_of(launch=launch, directory="/home/somebody/recipes"))
    assert plan.launch.workdir == "/home/somebody/code"
    assert (plan.launch.main_address, plan.launch.main_port) == ("127.0.0.1", 29500)
    assert (plan.launch.handshake_seconds, plan.launch.stall_seconds) == (60.0, 600.0)
    assert plan_of(nodes=2).launch.main_address == "auto"
    told = Launch(network=Network(main_address="10.0.0.1"))
    assert plan_of(nodes=2, launch=told).launch.main_address == "10.0.0.1"


@pytest.mark.parametrize(
    ("cpus", "devices", "threads"), [(None, 2, 1), (8, 2, 8 // 2), (2, 4, 1), (9, 2, 9 // 2)]
)
def test_threads(cpus, devices, threads):
    """Each process gets its share of the node's cores, at least one; one where they are not known."""
    cluster = Cluster(devices_per_node=devices, cpus_per_node=cpus)
    assert plan_of(recipe_of(cluster=cluster)).launch.threads_per_process == threads


def test_names():
    """A plan is named by its recipe, else by its file, else it is `recipe`."""
    mark = Mark(origin="recipe", file="recipes/small.yaml", line=1, column=1)
    assert plan_of(name="mine").recipe_name == "mine"
    assert plan_of(marks={"seed": Mark(origin="command-line"), "schema": mark}).recipe_name == "small"
    assert plan_of().recipe_name == "recipe"


def test_origins_say_where_each_number_comes_from():
    """Written numbers name their place, derived ones their formula, this machine what it was."""
    marks = {
        "global_batch_size": Mark(origin="recipe", file="a.yaml", line=2, column=20),
        "micro_batch_size": Mark(origin="command-line", file="--set micro_batch_size"),
    }
    recipe = recipe_of(
        global_batch_size=1024,
        micro_batch_size=2,
        nodes=8,
        devices=8,
        marks=marks,
        optimizer=Optimizer(learning_rate=1.0),
    )
    origins = plan_of(recipe).origins
    assert (origins["batch.global_batch_size"].origin, origins["batch.global_batch_size"].file) == (
        "recipe",
        "a.yaml:2:20",
    )
    assert origins["batch.micro_batch_size"].origin == "command-line"
    assert origins["batch.gradient_accumulation_steps"].formula == "1024 / (2 x 64)"
    assert origins["layout.world_size"].formula == "8 nodes x 8 devices"
    machine = plan_of(recipe_of(cluster=None)).origins["layout.devices_per_node"]
    assert machine.formula == "this machine"
    uneven = plan_of(global_batch_size=10, devices=4, launch=Launch(runtime=True)).origins
    assert uneven["batch.micro_batch_size"].formula == "largest divisor of 3 up to 8; 3 = ceil(10 / 4)"
    assert uneven["batch.gradient_accumulation_steps"].formula == "ceil(10 / (3 x 4))"


@pytest.mark.parametrize(
    ("warmup", "formula"),
    [
        ("20 steps", "20 steps x 256"),
        ("300 samples", "300 samples"),
        ("1M tokens", "1M tokens / sequence_length 1024"),
        ("2 epochs", "2 epochs x 5000 samples"),
        ("3 %", "3 % of 5000 samples"),
    ],
)
def test_origin_of_a_warmup(warmup, formula):
    """The formula shows what the unit was multiplied with."""
    plan = plan_of(
        optimizer=Optimizer(learning_rate=1.0),
        schedule=Schedule(warmup=amount(warmup)),
        data=Data(num_samples=count("5000")),
    )
    assert plan.origins["learning_rate.warmup_samples"].formula == formula
    assert plan.origins["learning_rate.total_samples"].formula == "one epoch of 5000 samples"


def test_origins_of_a_scaled_rate():
    """The scale shows both batches, in the unit they were written in; a kept warmup says what it keeps."""
    by_size = Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)
    schedule = Schedule(warmup=amount("9 steps"), warmup_keeps="samples")
    origins = plan_of(optimizer=by_size, schedule=schedule).origins
    assert origins["learning_rate.scale"].formula == "sqrt of 256 / 64 sequences"
    assert origins["learning_rate.peak_learning_rate"].formula == "0.001 x 2 (sqrt rule)"
    assert origins["learning_rate.warmup_samples"].formula == (
        "9 steps at the reference batch, keeping samples "
        "(Goyal et al. 2017, arXiv:1706.02677; MLPerf Llama 3.1 405B)"
    )
    assert origins["learning_rate.total_steps"].formula == "the run has no length"
    by_tokens = Optimizer(reference_learning_rate=1e-3, reference_batch_tokens=count("64Ki"))
    formula = plan_of(optimizer=by_tokens).origins["learning_rate.scale"].formula
    assert formula == f"sqrt of {256 * 1024} / {64 * 1024} tokens"
    dropped = Data(num_samples=count("1000"), drop_last=True)
    formula = plan_of(optimizer=by_size, data=dropped).origins["learning_rate.total_steps"].formula
    assert formula == "floor(768 / 256)"


def test_every_number_of_the_main_blocks_has_an_origin():
    """batch, layout, model and learning_rate: each number that is not null is in origins."""
    plan = plan_of(
        devices=2,
        optimizer=Optimizer(reference_learning_rate=1e-3, reference_batch_size=64),
        schedule=Schedule(warmup=amount("5 %"), decay="cosine", length=amount("100 steps")),
        parallel=Parallel(data=DataParallel(strategy="zero")),
        launch=Launch(engine="deepspeed"),
    )
    shown = plan.to_dict()
    counted = {"num_parameters", "num_active_parameters", "num_trainable_parameters"}
    missing = [
        f"{block}.{name}"
        for block in ("batch", "layout", "model", "learning_rate")
        for name, value in shown[block].items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in counted
        if f"{block}.{name}" not in plan.origins
    ]
    assert missing == []


def test_two_choices_of_a_script():
    """A script beside a module is ambiguous."""
    assert (
        only(refusal_of(launch=Launch(script="a.py", module="b")), "ambiguous-script").path == "launch.module"
    )


def test_the_contracts_recipe_plans_with_notes():
    """The full recipe of the contract is legal: notes and a warning, no error, and the numbers its comments name."""
    from launcher.loading import load_recipe

    recipe = load_recipe(CONTRACT)
    assert isinstance(recipe.cluster, Cluster)
    plan = plan_of(recipe)
    assert errors(plan) == []
    assert {problem.path for problem in plan.problems if problem.code == "not-yet-used"} == {
        "cluster.interconnect",
    }
    assert severities(plan)["nobody-applies"] in {"note", "warning"}
    batch = plan.batch
    assert batch.micro_batch_size * batch.gradient_accumulation_steps * 64 == 1024
    assert plan.learning_rate.peak_learning_rate == pytest.approx(1.5e-4 * (1024 / 256) ** 0.5)
    first = -(-250 * 10**9 // (4096 * 768))
    left = 300 * 10**9 - first * 4096 * 768
    assert plan.learning_rate.total_steps == first + -(-left // (8192 * 1024))
    assert plan.learning_rate.warmup_samples == 2000 * 768
    assert plan.model.num_parameters == 8_030_261_248
    assert plan.model.others["gated_mlp"] is True
    assert plan.layout.zero_stage == 3


def test_a_model_given_by_kind_only():
    """An unknown width is one problem, whatever else depends on it."""
    assert codes(refusal_of(hidden_size=None, model=Model(kind="encoder"))) == ["missing-key"]


@pytest.mark.parametrize(
    ("text", "mark", "shown"),
    [
        ("a: 3e-4", Mark(origin="recipe", file="a.yaml", line=1, column=4), "3e-4"),
        ("{a: 0.000_3, b: 1}", Mark(origin="recipe", file="a.yaml", line=1, column=5), "0.000_3"),
        ("a: 3e-4", Mark(origin="command-line", file="--set", line=1, column=4), "0.0003"),
        ("a: 7e-4", Mark(origin="recipe", file="a.yaml", line=1, column=4), "0.0003"),
        ("", Mark(origin="recipe", file="a.yaml", line=1, column=4), "0.0003"),
        ("a: 3e-4", None, "0.0003"),
    ],
)
def test_numbers_are_shown_as_they_were_written(text, mark, shown):
    """A message holds `3e-4` where the file does, and the shortest form where there is no file."""
    path = "optimizer.reference_learning_rate"
    recipe = recipe_of(
        optimizer=Optimizer(reference_learning_rate=3e-4), source=text, marks={path: mark} if mark else {}
    )
    assert f"`{path}: {shown}`" in only(refusal_of(recipe), "missing-reference-batch").message


def test_a_kept_warmup_has_effect_with_either_reference():
    """One reference batch, in sequences or in tokens, is enough for warmup_keeps."""
    schedule = Schedule(warmup=amount("9 steps"), warmup_keeps="samples")
    for reference in ({"reference_batch_size": 256}, {"reference_batch_tokens": count("256Ki")}):
        optimizer = Optimizer(reference_learning_rate=1e-3, **reference)
        assert codes(plan_of(optimizer=optimizer, schedule=schedule)) == []


def test_origin_of_listed_devices():
    """A list derives the number; a written number beside it is the number's own origin."""
    marks = {"cluster.devices_per_node": Mark(origin="recipe", file="a.yaml", line=1, column=1)}
    listed = plan_of(recipe_of(cluster=Cluster(devices=(0, 1)))).origins["layout.devices_per_node"]
    both = plan_of(recipe_of(cluster=Cluster(devices=(0, 1), devices_per_node=2), marks=marks))
    assert listed.formula == "2 listed in cluster.devices"
    assert both.origins["layout.devices_per_node"].origin == "recipe"
