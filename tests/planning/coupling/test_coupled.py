"""Which recipes depend on the split of their batch, and what their plans say and hash."""

import pytest
from plan_of import codes, only, plan_of, recipe_of, severities

from launcher.planning.coupling.coupled import KNOWN, coupled_of
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Mark
from launcher.spec.model import Model
from launcher.spec.trace_file import TraceFile
from launcher.spec.training import Loss

MOE = {"kind": "moe", "num_experts": 8}


def traced(*coupled, changed=(), **arguments):
    content = {"module": "another:one", "coupled": list(coupled), "arguments": arguments}
    return (TraceFile(path="t.json", content=content, changed=changed),)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, ()),
        ({"model": Model(kind="resnet")}, ("batch_norm",)),
        ({"model": Model(kind="resnet", norm="batchnorm")}, ("batch_norm",)),
        ({"model": Model(kind="resnet", norm="groupnorm")}, ()),
        ({"model": Model(kind="resnet", batch_coupled=("sync_batch_norm",))}, ("sync_batch_norm",)),
        ({"model": Model(kind="resnet", batch_coupled=("frozen_batch_norm",))}, ()),
        ({"model": Model(kind="resnet", batch_coupled=("my_queue",))}, ("my_queue", "batch_norm")),
        ({"model": Model(kind="mlp", norm="batchnorm")}, ("batch_norm",)),
        ({"model": Model(kind="bag", norm="batchnorm")}, ()),
        ({"model": Model(kind="bag", norm="batchnorm", num_layers=1)}, ("batch_norm",)),
        ({"model": Model(kind="lstm", norm="batchnorm")}, ()),
        ({"model": Model(**MOE)}, ()),
        ({"model": Model(**MOE, capacity_factor=1.25)}, ("moe_capacity",)),
        ({"model": Model(**MOE, batch_coupled=("moe_auxiliary",))}, ("moe_auxiliary",)),
        ({"loss": Loss(kind="contrastive")}, ("contrastive",)),
        ({"model": Model(kind="module", module="a:b"), "traces": traced("batch_norm")}, ("batch_norm",)),
        ({"model": Model(kind="module", module="a:b"), "traces": traced()}, ()),
        ({"model": Model(kind="module", module="a:b", norm="batchnorm")}, ("batch_norm",)),
        (
            {
                "model": Model(kind="module", module="a:b", norm="batchnorm"),
                "traces": traced("sync_batch_norm"),
            },
            ("sync_batch_norm",),
        ),
        (
            {
                "model": Model(kind="module", module="a:b"),
                "traces": traced("batch_norm", "sync_batch_norm"),
            },
            ("batch_norm", "sync_batch_norm"),
        ),
        (
            {
                "model": Model(kind="module", module="a:b", batch_coupled=("sync_batch_norm",)),
                "traces": traced("batch_norm"),
            },
            ("sync_batch_norm",),
        ),
    ],
)
def test_what_looks_at_the_batch_is_found(keys, names):
    """From kind, norm, experts, loss, a trace, or as written; what is said of batch norm stands for all of it."""
    recipe = recipe_of(**keys)
    assert tuple(each.name for each in coupled_of(recipe)) == names
    assert plan_of(recipe).model.batch_coupled == names


def test_the_trace_of_this_code_and_these_keys_counts():
    """A trace of the code as it is comes before one of what it was, which is better than none; others are not read."""
    model = {"kind": "module", "module": "a:b", "activation": "relu"}
    stale, current = traced("batch_norm", changed=("b.py",)), traced()
    other, same = (
        traced("batch_norm", activation="gelu"),
        traced("batch_norm", activation="relu", num_layers=9),
    )

    def names(traces):
        return [each.name for each in coupled_of(recipe_of(model=Model(**model), traces=traces))]

    assert names(stale) == ["batch_norm"]
    assert names((*stale, *current)) == []
    assert names(other) == []
    assert names(same) == ["batch_norm"]


def test_a_norm_that_is_written_is_meant():
    """`norm: layernorm` in a ResNet, written, is no batch norm; the default is."""
    marks = {"model.norm": Mark(origin="recipe", file="r.yaml", line=1)}
    assert coupled_of(recipe_of(model=Model(kind="resnet"), marks=marks)) == ()


def test_derived_names_have_an_origin():
    """What nobody wrote says where it comes from; what is written says where it stands."""
    found = plan_of(model=Model(kind="resnet", batch_coupled=("my_queue",))).origins["model.batch_coupled"]
    assert (found.origin, found.formula) == ("derived", "as written; batch_norm: a ResNet has batch norm")
    assert "model.batch_coupled" not in plan_of().origins


@pytest.mark.parametrize("name", [*KNOWN, "my_queue"])
def test_a_split_is_part_of_every_coupled_model(name):
    """Another micro-batch, and other ranks, are another meaning; without a coupled layer they are not."""
    splits = [
        {"micro_batch_size": 32},
        {"micro_batch_size": 16},
        {"micro_batch_size": 32, "cluster": Cluster(devices_per_node=4)},
    ]
    coupled = [plan_of(model=Model(batch_coupled=(name,)), **split).semantics_hash for split in splits]
    free = [plan_of(**split).semantics_hash for split in splits]
    assert len(set(coupled)) == 3
    assert len(set(free)) == 1


def test_what_varies_is_named_in_one_note():
    """Layers, losses and dropout in one note, each with what it sees; nothing where nothing varies."""
    plan = plan_of(
        model=Model(kind="resnet", dropout=0.1), loss=Loss(kind="contrastive"), micro_batch_size=32
    )
    note = only(plan, "split-dependent")
    assert note.severity == "note"
    assert "micro-batch 32 on 1 data-parallel rank" in note.message
    assert [line.partition(":")[0] for line in note.because] == ["batch_norm", "contrastive", "dropout 0.1"]
    assert note.hint == ""  # the micro-batch is written
    assert "split-dependent" not in codes(plan_of())
    assert only(plan_of(model=Model(dropout=0.1)), "split-dependent").path == "model.dropout"


def test_a_micro_batch_that_the_plan_chose_is_said():
    """`micro_batch_size: auto` of a coupled model names what it became, to be written down."""
    note = only(plan_of(model=Model(kind="resnet")), "split-dependent")
    assert note.hint.startswith("write micro_batch_size: 32")


def test_idle_slots_are_seen():
    """Slots without weight in the loss still enter a coupled layer."""
    from launcher.spec.launch import Launch

    plan = plan_of(
        model=Model(kind="resnet"),
        global_batch_size=100,
        micro_batch_size=32,
        launch=Launch(runtime=True),
    )
    assert plan.batch.idle_slots == 28
    assert "28 idle slots repeat a sample" in " ".join(only(plan, "split-dependent").because)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("batchnorm", "batch_norm"),
        ("BatchNorm2d", "batch_norm"),
        ("SyncBN", "sync_batch_norm"),
        ("sync-batch-norm", "sync_batch_norm"),
        ("frozen_bn", "frozen_batch_norm"),
        ("moe_auxilary", "moe_auxiliary"),
        ("contrastive_loss", "contrastive"),
    ],
)
def test_other_spellings_are_told(word, near):
    """A word that means one of the known ones would lose its checks: a warning names the one that is meant."""
    problem = only(plan_of(model=Model(batch_coupled=(word,))), "unknown-coupling")
    assert (problem.severity, problem.hint) == ("warning", f"write {near}")


def test_a_word_of_ones_own_is_a_note():
    """A layer that only the script knows may be named; nothing is guessed about it."""
    problem = only(plan_of(model=Model(batch_coupled=("memory_bank",))), "unknown-coupling")
    assert (problem.severity, problem.hint) == ("note", "")


def test_a_mixture_is_asked_for_its_loss():
    """Experts without a word about their balancing loss get a note; with one, or with a capacity, none."""
    assert "coupling-unstated" in codes(plan_of(model=Model(**MOE)))
    assert "coupling-unstated" not in codes(plan_of(model=Model(**MOE, batch_coupled=("moe_auxiliary",))))
    assert "coupling-unstated" not in codes(plan_of(model=Model(**MOE, capacity_factor=1.0)))


def test_sync_batch_norm_on_processors_is_told():
    """On CPU ranks torch's SyncBatchNorm refuses; on GPUs there is nothing to say."""
    keys = {"model": Model(kind="resnet", batch_coupled=("sync_batch_norm",)), "micro_batch_size": 32}
    assert severities(plan_of(**keys, device="cpu"))["sync-batch-norm-needs-gpu"] == "warning"
    assert "sync-batch-norm-needs-gpu" not in codes(plan_of(**keys, device="a100-sxm-40gb"))
