"""A recipe with many faults gives all of them, each with its line and column, in one go."""

import io

import pytest

from launcher.api import examine
from launcher.cli.main import main

LOADING_AND_PLANNING = """\
schema: 1
global_batch_size: 1000
sequence_length: 0512
hidden_size: 768
model: {kind: decoder, num_layer: 12, dropout: 2}
optimizer:
  name: adamv
  learning_rate: 3e-4
  reference_learning_rate: 1e-4
  reference_batch_size: 256
schedule:
  warmup: 2000
  decay: wsd
  length: 100 steps
parallel: {tensor: 2}
cluster: {nodes: 4, devices_per_node: 16, device: h10-sxm}
launch:
  engine: deepspeeed
  script: train.py
  args: ["--lr", "{peak_lr}"]
  timeouts: {stall: 10}
"""
CLUSTER_FILE = """\
nodes: 2
devices_per_node: 8
device: h100
gpus: 8
interconnect: {within_node: 450}
"""
WITH_A_CLUSTER_FILE = """\
schema: 1
global_batch_size: 1024
global_batch_tokens: 1Mi
sequence_length: 1024
hidden_size: 770
model: {num_layers: 12, num_attention_heads: 12}
data: {num_tokens: 10B, num_samples: 5M}
optimizer: {name: adamw, reference_learning_rate: 3e-4}
schedule: {warmup: 3 weeks, decay: cosine, length: 2000 steps}
cluster: lab
launch: {engine: torchrun, script: train.py, module: package.train, args: ["{total_step}"]}
"""
STAGES = """\
schema: 1
global_batch_size: 512
sequence_length: 2048
hidden_size: 1024
optimizer: {name: adamw, learning_rate: 0.0003, betas: [0.9, 1.5]}
schedule: {warmup: 500 steps, decay: cosinus, length: 100B tokens}
stages:
  - {until: 20B tokens, global_batch_size: 128}
  - {until: 10B tokens, global_batch_size: 256}
  - {global_batch_size: 384, sequence_length: 4k}
  - {until: 60B tokens, global_batch: 512, micro_batch_size: 0}
  - {global_batch_size: 512, precision: bf61}
cluster: {nodes: 1, devices_per_node: 8, devices: [0, 1, 2, 3], device: a100-sxm-80gb}
launch: {engine: torch-run, script: train.py, runtime: yes}
"""
TEXT_AND_PLANNING = """\
schema: 1
global_batch_size: 1000
sequence_length: 0x200
hidden_size: 768
hidden_size: 1024
model: {kind: decoder, num_layers: !!int 12}
data: {num_samples: 1_000, num_tokens: 1M}
optimizer:
  name: sgd
  learning_rate: .inf
  weight_decay: -0.1
seed: 007
checkpoint: {every: *often}
cluster: {nodes: 1, devices_per_node: 7, device: a100-sxm-80gb}
launch: {engine: torchrun, executor: slrum, script: train.py, args: ["{"]}
"""
PLANNING_ALONE = """\
schema: 1
global_batch_size: 96
sequence_length: 1024
hidden_size: 770
model: {kind: decoder}
optimizer:
  reference_learning_rate: 1e-3
  reference_batch_size: 32
  reference_batch_tokens: 32Ki
  scaling: {rule: capped}
schedule: {warmup: 100 steps, decay: wsd, length: 1000 steps}
parallel: {data: {strategy: fsdp, stage: 1}}
cluster: {nodes: 1, devices_per_node: 7, device: h100-sxm-80gb, backend: hccl}
launch:
  engine: torchrun
  executor: clown
  script: train.py
  module: train
  args: ["--lr", "{peak_learning_rat}", "{x"]
  script_applies: [fsdp]
  restarts: 3
"""
# code and where its column begins: behind the bar of a text that stands once in the file
MIXTURES = {
    "loading and planning": (
        LOADING_AND_PLANNING,
        [
            ("batch-not-divisible", "global_batch_size: |1000"),
            ("leading-zero", "|0512"),
            ("unknown-key", "|num_layer:"),
            ("out-of-range", "dropout: |2"),
            ("bad-choice", "|adamv"),
            ("ambiguous-learning-rate", "  reference_learning_rate: |1e-4"),
            ("bad-unit", "warmup: |2000"),
            ("schedule-needs-decay-length", "|wsd"),
            ("script-must-apply", "tensor: |2"),
            ("unknown-device", "|h10-sxm"),
            ("unknown-engine", "|deepspeeed"),
            ("unknown-placeholder", '|"{peak_lr}"'),
            ("bad-unit", "stall: |10"),
        ],
    ),
    "a cluster file": (
        WITH_A_CLUSTER_FILE,
        [
            ("ambiguous-batch", "|1Mi"),
            ("heads-not-dividing", "num_attention_heads: |12"),
            ("ambiguous-data-size", "|5M"),
            ("missing-reference-batch", "|3e-4"),
            ("bad-unit", "|3 weeks"),
            ("ambiguous-script", "|package.train"),
            ("unknown-placeholder", '|"{total_step}"'),
        ],
    ),
    "stages": (
        STAGES,
        [
            ("out-of-range", "0.9, |1.5"),
            ("bad-choice", "|cosinus"),
            ("stages-out-of-order", "|10B tokens"),
            ("stage-without-end", "|{global_batch_size: 384"),
            ("wrong-type", "|4k"),
            ("unknown-key", "|global_batch:"),
            ("out-of-range", "micro_batch_size: |0"),
            ("bad-choice", "|bf61"),
            ("ambiguous-devices", "devices_per_node: |8"),
            ("unknown-engine", "|torch-run"),
            ("wrong-type", "|yes"),
        ],
    ),
    "text and planning": (
        TEXT_AND_PLANNING,
        [
            ("batch-not-divisible", "|1000"),
            ("wrong-type", "|0x200"),
            ("duplicate-key", "|hidden_size: 1024"),
            ("yaml-tag", "|!!int"),
            ("ambiguous-data-size", "num_samples: |1_000"),
            ("not-finite", "|.inf"),
            ("out-of-range", "|-0.1"),
            ("leading-zero", "|007"),
            ("yaml-tag", "|*often"),
            ("unknown-executor", "|slrum"),
            ("unbalanced-brace", 'args: [|"{"]'),
        ],
    ),
    "planning alone": (
        PLANNING_ALONE,
        [
            ("batch-not-divisible", "|96"),
            ("width-not-divisible", "|770"),
            ("ambiguous-batch", "|32Ki"),
            ("missing-scaling-parameter", "|capped"),
            ("schedule-needs-decay-length", "|wsd"),
            ("bad-choice", "stage: |1}"),
            ("bad-choice", "|hccl"),
            ("unknown-executor", "|clown"),
            ("ambiguous-script", "module: |train"),
            ("unknown-placeholder", '|"{peak_learning_rat}"'),
            ("unbalanced-brace", '|"{x"'),
            ("not-yet-supported", "restarts: |3"),
        ],
    ),
}
OF_THE_CLUSTER = [("unknown-device", "device: |h100"), ("unknown-key", "|gpus"), ("bad-unit", "|450")]


def places(name, text, faults):
    """File, line, column and code of each fault."""
    for code, where in faults:
        before, _, after = where.partition("|")
        assert text.count(before + after) == 1, where
        at = text.index(before + after) + len(before)
        line = text.count("\n", 0, at)
        yield name, line + 1, at - (text.rfind("\n", 0, at) + 1) + 1, code


def found(path):
    """The same of every error."""
    for problem in examine(path).problems:
        if problem.severity == "error":
            name, line, column = problem.where.rsplit(":", 2)
            yield name.rpartition("/")[2], int(line), int(column), problem.code


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "r.yaml").write_text(text)
        (tmp_path / "clusters").mkdir()
        (tmp_path / "clusters" / "lab.yaml").write_text(CLUSTER_FILE)
        return tmp_path / "r.yaml"

    return write


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_fault_is_told_once_at_its_place(written, mixture):
    """Faults of text, types, planning, rendering and cluster file come all at once."""
    text, faults = MIXTURES[mixture]
    expected = [*places("r.yaml", text, faults)]
    if "cluster: lab" in text:
        expected += places("lab.yaml", CLUSTER_FILE, OF_THE_CLUSTER)
    assert len(expected) >= 10
    assert sorted(found(written(text))) == sorted(expected)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_problems_come_in_the_order_of_the_file(written, mixture):
    """A person mends the recipe from top to bottom, then the cluster file, whatever found the problem."""
    where = [
        (name != "r.yaml", line, column) for name, line, column, _ in found(written(MIXTURES[mixture][0]))
    ]
    assert where == sorted(where)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_plan_prints_the_same_list(written, mixture):
    """`batchwright plan` refuses with every fault too, but those that only rendering has."""
    path, out, err = written(MIXTURES[mixture][0]), io.StringIO(), io.StringIO()
    assert main(["plan", str(path)], environ={}, stdout=out, stderr=err) == 1
    told = [line.rpartition("[")[2].rstrip("]") for line in err.getvalue().splitlines() if line.endswith("]")]
    rendering = {"not-yet-supported"}
    assert told == [code for *_, code in found(path) if code not in rendering]
    assert err.getvalue().splitlines()[-1] == f"{len(told)} problems"
