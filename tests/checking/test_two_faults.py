"""Two faults are two problems: mending one never brings the other to light."""

import copy
import itertools

import pytest

from launcher.api import examine

WHOLE = {
    "schema": 1,
    "global_batch_size": 1024,
    "sequence_length": 1024,
    "hidden_size": 768,
    "model": {"kind": "decoder", "num_layers": 12, "num_attention_heads": 12, "vocab_size": 50304},
    "data": {"num_tokens": "10B"},
    "optimizer": {"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.1},
    "schedule": {"warmup": "100 steps", "decay": "cosine", "length": "1000 steps"},
    "parallel": {"data": {"strategy": "ddp"}},
    "cluster": {"nodes": 1, "devices_per_node": 8, "device": "cpu"},
    "checkpoint": {"every": "100 steps"},
    "launch": {
        "engine": "torchrun",
        "executor": "local",
        "script": "train.py",
        "args": ["--lr", "{peak_learning_rate}"],
        "env": {"A": "b"},
    },
}
REFERENCE = {"name": "adamw", "reference_learning_rate": 1e-4}
# what is written, and what is told of it
FAULTS = {
    "a batch of nobody": ({"global_batch_size": 1001}, "batch-not-divisible"),
    "no number of tokens": ({"sequence_length": "many"}, "wrong-type"),
    "heads": ({"model.num_attention_heads": 7}, "heads-not-dividing"),
    "a key of the model": ({"model.numlayers": 7}, "unknown-key"),
    "dropout": ({"model.dropout": 3}, "out-of-range"),
    "two sizes of the data": ({"data.num_samples": 100_000}, "ambiguous-data-size"),
    "an optimizer": ({"optimizer.name": "adamv"}, "bad-choice"),
    "no reference batch": ({"optimizer": REFERENCE}, "missing-reference-batch"),
    "a warmup without unit": ({"schedule.warmup": 100}, "bad-unit"),
    "a decay without length": ({"schedule.decay": "wsd"}, "schedule-needs-decay-length"),
    "an owner": ({"schedule.owner": "nobody"}, "bad-choice"),
    "tensor ranks": ({"parallel.tensor": 2}, "script-must-apply"),
    "a strategy": ({"parallel.data.strategy": "fsdp"}, "script-must-apply"),
    "a device": ({"cluster.device": "a100"}, "unknown-device"),
    "a key of the cluster": ({"cluster.gpus": 8}, "unknown-key"),
    "an engine": ({"launch.engine": "deepspee"}, "unknown-engine"),
    "an executor": ({"launch.executor": "slrm"}, "unknown-executor"),
    "two scripts": ({"launch.module": "train"}, "ambiguous-script"),
    "a placeholder": ({"launch.args": ["{x_y}"]}, "unknown-placeholder"),
    "a brace": ({"launch.env": {"A": "{"}}, "unbalanced-brace"),
    "a template": ({"launch.template": "gone.sh"}, "template-unreadable"),
    "a hostfile": ({"cluster.hostfile": "gone"}, "hostfile-unreadable"),
    "restarts": ({"launch.restarts": 2}, "not-yet-supported"),
    "a seed": ({"seed": -1}, "out-of-range"),
    "a key of nobody": ({"frobnicate": "yes"}, "unknown-key"),
}
STAGES = [
    {"until": "1B tokens", "global_batch_size": 256},
    {"until": "2B tokens", "global_batch_size": 512},
    {"global_batch_size": 1024},
]
IN_STAGES = {
    "a stage without end": ({"stages.0.until": None}, "stage-without-end"),
    "marks out of order": ({"stages.1.until": "0.5B tokens"}, "stages-out-of-order"),
    "a batch of a stage": ({"stages.1.global_batch_size": 513}, "batch-not-divisible"),
    "the last stage's batch": ({"stages.2.global_batch_size": 1023}, "batch-not-divisible"),
    "a key of a stage": ({"stages.2.global_batch": 7}, "unknown-key"),
    "a type in a stage": ({"stages.0.compile": 3}, "wrong-type"),
    "a choice in a stage": ({"stages.1.precision": "bf61"}, "bad-choice"),
}
SAME_KEY = {frozenset({"an optimizer", "no reference batch"})}
PAIRS = [pair for pair in itertools.combinations(FAULTS, 2) if frozenset(pair) not in SAME_KEY]


def with_faults(*names, stages=()):
    recipe = copy.deepcopy({**WHOLE, "stages": list(stages)})
    for name in names:
        for path, value in {**FAULTS, **IN_STAGES}[name][0].items():
            *above, key = path.split(".")
            at = recipe
            for part in above:
                at = at[int(part) if part.isdecimal() else part]
            at[key] = value
    return recipe


def told(recipe):
    return sorted((each.code, each.path) for each in examine(recipe).problems if each.severity == "error")


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one(name):
    """Alone it is told alone."""
    assert [code for code, _ in told(with_faults(name))] == [FAULTS[name][1]]


@pytest.fixture(scope="module")
def alone():
    """What is told of each fault alone."""
    return {name: told(with_faults(name)) for name in FAULTS}


def both_are_told(pairs, alone):
    for one, other in pairs:
        assert told(with_faults(one, other)) == sorted(alone[one] + alone[other]), (one, other)


def test_both_faults_are_told(alone):
    """Beside another fault each is told, and nothing else."""
    both_are_told(PAIRS[::4], alone)


@pytest.mark.full
def test_both_faults_are_told_of_every_pair(alone):
    """The same of all pairs."""
    both_are_told(PAIRS, alone)


def test_both_faults_of_stages_are_told():
    """Marks, batches and keys of stages hide one another as little."""
    alone = {name: told(with_faults(name, stages=STAGES)) for name in (*IN_STAGES, *FAULTS)}
    assert {name: [code for code, _ in alone[name]] for name in IN_STAGES} == {
        name: [code] for name, (_, code) in IN_STAGES.items()
    }
    for one, other in list(itertools.combinations(IN_STAGES, 2))[
        1:
    ]:  # without the mark before it none is out of order
        assert told(with_faults(one, other, stages=STAGES)) == sorted(alone[one] + alone[other]), (one, other)
    for one, other in [("a batch of a stage", "a device"), ("marks out of order", "an engine")]:
        assert told(with_faults(one, other, stages=STAGES)) == sorted(alone[one] + alone[other]), (one, other)
