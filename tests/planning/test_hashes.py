"""Two fingerprints: what moves each, and what moves neither."""

from dataclasses import replace

import pytest
from plan_of import amount, count, plan_of, recipe_of

from launcher.planning.hashes import digest, hashed_plan, plan_hash
from launcher.spec.cluster import Cluster, Interconnect
from launcher.spec.launch import Launch
from launcher.spec.marks import Mark
from launcher.spec.model import Model
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.recipe import Stage
from launcher.spec.training import Checkpoint, Data, Loss, Optimizer, Scaling, Schedule
from launcher.units import parse_amount

OPTIMIZER = Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)
SCHEDULE = Schedule(warmup=amount("100 steps"), length=amount("1000 steps"), decay="cosine")
RECIPE = recipe_of(devices=2, optimizer=OPTIMIZER, schedule=SCHEDULE, data=Data(num_samples=count("1M")))
BEFORE = plan_of(RECIPE)


def hashes(**keys) -> tuple[bool, bool]:
    """Whether semantics and plan moved under changed keys."""
    after = plan_of(replace(RECIPE, **keys))
    return after.semantics_hash != BEFORE.semantics_hash, after.plan_hash != BEFORE.plan_hash


@pytest.mark.parametrize(
    "keys",
    [
        {"global_batch_size": 512},
        {"sequence_length": 2048},
        {"hidden_size": 1024},
        {"seed": 1},
        {"model": Model(num_layers=3)},
        {"model": Model(norm="rmsnorm")},
        {"data": Data(num_samples=count("2M"))},
        {"data": Data(num_samples=count("1M"), packing="packed")},
        {"optimizer": replace(OPTIMIZER, betas=(0.9, 0.95))},
        {"optimizer": replace(OPTIMIZER, scaling="linear")},
        {"optimizer": replace(OPTIMIZER, gradient_clipping=1.0)},
        {"schedule": replace(SCHEDULE, warmup=amount("101 steps"))},
        {"schedule": replace(SCHEDULE, final_learning_rate_ratio=0.1)},
        {"loss": Loss(weighting="sequences")},
        {"precision": "bf16"},
    ],
)
def test_what_training_means_moves_both(keys):
    """Model, data, optimizer, schedule, loss, precision, batch and seed are in both."""
    assert hashes(**keys) == (True, True)


@pytest.mark.parametrize(
    "keys",
    [
        {"micro_batch_size": 4},
        {"cluster": Cluster(devices_per_node=4)},
        {"parallel": Parallel(data=DataParallel(strategy="zero")), "launch": Launch(engine="deepspeed")},
        {"launch": Launch(engine="accelerate")},
        {"launch": Launch(runtime=True)},
        {"launch": Launch(args=("--lr", "{peak_learning_rate}"))},
        {"activation_checkpointing": "full"},
        {"attention": "flash"},
        {"compile": True},
        {"optimizer": replace(OPTIMIZER, implementation="fused")},
        {"loss": Loss(logits="chunked")},
        {"checkpoint": Checkpoint(every=amount("10 steps"))},
    ],
)
def test_how_it_is_carried_out_moves_only_the_plan(keys):
    """The same training on other ranks, engines and kernels has the same meaning."""
    assert hashes(**keys) == (False, True)


@pytest.mark.parametrize(
    "keys",
    [
        {"data": Data(num_samples=count("1_000_000"))},
        {"data": Data(num_samples=count("1M"), paths=("/data",))},
        {"launch": Launch(workdir="elsewhere")},
        {"directory": "/home/somebody"},
        {"marks": {"seed": Mark(origin="default", file="other.yaml", line=3)}},
        {
            "cluster": Cluster(
                devices_per_node=2, interconnect=Interconnect(within_node=parse_amount("1 GB/s", kind="rate"))
            )
        },
        {"model": Model(implementation="torch")},
        {"optimizer": replace(OPTIMIZER, scaling="auto")},
    ],
)
def test_paths_estimates_and_spelling_move_neither(keys):
    """A path, a place in a file, a note, another spelling of the same number."""
    moved = hashes(**keys)
    assert not moved[0]
    # kernels and notes on them are shown in the plan's model block, hence in its hash
    assert moved[1] == ("model" in keys)


def test_estimates_are_in_no_hash():
    """Verdict, memory, time, counts of parameters, problems and alternatives may change under the same plan hash."""
    model = replace(BEFORE.model, num_parameters=1, num_active_parameters=1, num_trainable_parameters=None)
    other = replace(BEFORE, verdict="tight", problems=plan_of(compile=True).problems, model=model)
    assert other != BEFORE
    assert plan_hash(other) == BEFORE.plan_hash
    assert plan_hash(replace(BEFORE, plan_hash="x")) == BEFORE.plan_hash
    assert plan_hash(replace(BEFORE, seed=3)) != BEFORE.plan_hash


def test_who_chose_a_number_is_in_no_hash():
    """A default and a derived number that are written out are the same plan."""
    written = {"micro_batch_size": BEFORE.batch.micro_batch_size, "activation_checkpointing": "none"}
    assert plan_of(replace(RECIPE, **written)).origins != BEFORE.origins
    assert hashes(**written) == (False, False)


@pytest.mark.parametrize("model", [Model(dropout=0.1), Model(batch_coupled=("batch_norm",))])
def test_models_that_depend_on_the_split_have_the_split_in_their_meaning(model):
    """With dropout or batch-coupled layers another micro-batch, or other ranks, is another training."""
    one = plan_of(replace(RECIPE, model=model))
    micro = plan_of(replace(RECIPE, model=model, micro_batch_size=4))
    ranks = plan_of(replace(RECIPE, model=model, cluster=Cluster(devices_per_node=4)))
    assert len({one.semantics_hash, micro.semantics_hash, ranks.semantics_hash}) == 3


def test_defaults_written_out_mean_the_same():
    """A default that is written is the default; 1 and 1.0, 1M and 1_000_000 are one number."""
    written = replace(
        RECIPE,
        model=Model(num_layers=12, num_attention_heads=12, intermediate_size=4 * 768),
        optimizer=replace(OPTIMIZER, betas=(0.9, 0.999), epsilon=1e-8, momentum=0.0, scaling="sqrt"),
        precision="fp32",
    )
    assert plan_of(written).semantics_hash != plan_of(replace(written, seed=9)).semantics_hash
    assert plan_of(replace(RECIPE, model=written.model)).semantics_hash == BEFORE.semantics_hash
    assert plan_of(replace(RECIPE, precision="fp32")).semantics_hash == BEFORE.semantics_hash
    assert plan_of(written).semantics_hash == BEFORE.semantics_hash
    mapped = replace(OPTIMIZER, scaling=Scaling(rule="sqrt"))
    assert plan_of(replace(RECIPE, optimizer=mapped)).semantics_hash == BEFORE.semantics_hash
    whole = replace(OPTIMIZER, weight_decay=1)
    fraction = replace(OPTIMIZER, weight_decay=1.0)
    assert (
        plan_of(replace(RECIPE, optimizer=whole)).semantics_hash
        == plan_of(replace(RECIPE, optimizer=fraction)).semantics_hash
    )


def test_identical_recipes_have_identical_plans():
    """Planning twice gives the same bytes."""
    import json

    assert json.dumps(plan_of(RECIPE).to_dict()) == json.dumps(BEFORE.to_dict())
    assert len(BEFORE.plan_hash) == len(BEFORE.semantics_hash) == 64


def test_the_split_of_a_stage_is_not_what_it_means():
    """A run resumes inside a stage on another micro-batch; another batch, mark or length is another training."""
    first = Stage(until=amount("100 samples"), global_batch_size=64)

    def meaning(stage, **keys):
        return plan_of(replace(RECIPE, stages=(stage, Stage()), **keys)).semantics_hash

    same = meaning(first)
    assert meaning(replace(first, micro_batch_size=4)) == same
    assert meaning(replace(first, micro_batch_size=4, gradient_accumulation_steps=8)) == same
    assert meaning(replace(first, global_batch_size=128)) != same
    assert meaning(replace(first, until=amount("200 samples"))) != same
    dropout = Model(dropout=0.1)
    assert meaning(first, model=dropout) != meaning(replace(first, micro_batch_size=4), model=dropout)


def test_a_key_that_is_not_written_is_in_no_hash():
    """What holds nothing is left out, so that a key that a later version adds moves nothing; a person's null stays."""
    assert "weight_average_decay" not in BEFORE.meaning["optimizer"]
    assert "gradient_clipping" not in hashed_plan(BEFORE)["optimizer"]
    assert digest(BEFORE.meaning) == BEFORE.semantics_hash
    launch = replace(BEFORE.launch, native_deepspeed={"comms_logger": None})
    assert plan_hash(replace(BEFORE, launch=launch)) != BEFORE.plan_hash
