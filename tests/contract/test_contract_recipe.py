"""The recipe of the contract loads, each key lands, and so does every alternative that its comments name."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from launcher.loading import load_recipe
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml
from launcher.spec.plain import to_plain
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import SectionShape, section_of, walk
from launcher.units import Amount

FULL = Path(__file__).parent / "full.yaml"
TEXT = FULL.read_text(encoding="utf-8")
VALUES = plain(read_yaml(TEXT, place=Place("recipe", "full.yaml"), found=Found()))


def leaves(value, path=()):
    """Every written value that is no section, with its path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


LEAVES = dict(leaves(VALUES))


@pytest.fixture(scope="module")
def full():
    return load_recipe(FULL)


def at(value, path):
    for part in path:
        value = value[part] if isinstance(value, dict | tuple) else getattr(value, part)
    return value


def tupled(value):
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value


def texts(value):
    if isinstance(value, tuple):
        return tuple(texts(item) for item in value)
    return value.text if isinstance(value, Amount) else value


def test_there_is_something_to_check():
    """The recipe writes about a hundred values."""
    assert len(LEAVES) > 90


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_every_key_lands_at_the_right_value(full, path):
    """A value of the file is the value of the recipe at the same path, an amount by its text."""
    value, written = at(full, path), LEAVES[path]
    if isinstance(value, Amount):
        assert value.text == written
    elif path == ("launch", "native"):
        assert written == {}
        assert to_plain(value) == {"deepspeed": {}, "accelerate": {}, "argv": []}
    else:
        assert value == tupled(written)
        assert isinstance(written, list) or type(value) is type(written)


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_every_key_has_its_place(full, path):
    """The mark of a value leads to its text in the file."""
    mark = full.marks[".".join(map(str, path))]
    line = TEXT.splitlines()[mark.line - 1]
    assert mark.origin == "recipe"
    assert mark.file == str(FULL)
    if isinstance(path[-1], str):
        assert line[mark.key_column - 1 :].startswith(path[-1])
    written = LEAVES[path]
    if isinstance(written, str):
        assert line[mark.column - 1 :].startswith(written)
    elif isinstance(written, list):
        assert line[mark.column - 1] == "["
    else:
        assert re.match(r"true|false|[-+.0-9e]+|{}", line[mark.column - 1 :])


def test_amounts_are_exact(full):
    """Amounts are exact numbers of their base unit."""
    assert full.data.num_tokens == Amount(Fraction(300 * 10**9), "", "300B")
    assert full.schedule.length == Amount(Fraction(300 * 10**9), "tokens", "300B tokens")
    assert full.launch.timeouts.stall == Amount(Fraction(600), "seconds", "10 min")
    assert full.cluster.interconnect.within_node.number == 450 * 10**9


def test_the_smallest_recipe():
    """Three numbers are a recipe."""
    recipe = load_recipe({"global_batch_size": 256, "sequence_length": 1024, "hidden_size": 768})
    assert (recipe.global_batch_size, recipe.sequence_length, recipe.hidden_size) == (256, 1024, 768)
    assert set(recipe.marks) == {"global_batch_size", "sequence_length", "hidden_size"}
    assert recipe.cluster is None


def test_the_defaults_of_the_contract():
    """What is not written has the contract's default, or is None where planning derives it."""
    recipe = load_recipe({"seed": 0})
    model, optimizer, schedule, launch = recipe.model, recipe.optimizer, recipe.schedule, recipe.launch
    assert (model.kind, model.vocab_size, model.norm, model.activation) == (
        "decoder",
        50257,
        "layernorm",
        "gelu",
    )
    assert (model.position, model.tie_word_embeddings, model.dropout) == ("learned", True, 0.0)
    assert (model.num_layers, model.num_attention_heads, model.intermediate_size) == (None, None, None)
    assert (recipe.precision, recipe.attention, recipe.activation_checkpointing) == ("auto", "sdpa", "none")
    assert (optimizer.name, optimizer.scaling, optimizer.owner) == ("adamw", "auto", "script")
    assert (schedule.warmup, schedule.decay, schedule.first_step) == (None, "constant", "one-batch")
    assert (launch.engine, launch.executor, recipe.parallel, recipe.seed) == ("torchrun", "local", "auto", 0)
    assert (recipe.micro_batch_size, recipe.gradient_accumulation_steps) == ("auto", "auto")


ALTERNATIVES = """\
global_batch_tokens: 8Mi
sequence_length: {input: 512, target: 114}
model: {preset: llama-3-8b}
model: {config: path/of/config.json}
model: {num_experts: 8, num_experts_per_token: 2, moe_intermediate_size: 1024, num_shared_experts: 1}
model: {first_dense_layers: 1, capacity_factor: 1.25, kv_latent_dim: 512, sliding_window: 4096}
model: {input_size: 3, output_size: 2, bidirectional: true, projection_size: 8, carry_state: true, truncate_steps: 9}
model: {family: bert, num_encoder_layers: 2, max_position_embeddings: 512, bias: true, attention_dropout: 0.0}
model: {q_latent_dim: 1536, rotary_dim: 64, value_dim: 128}
model: {image_size: 224, patch_size: 16, depth: 50, num_classes: 1000}
model: {kind: module, module: "package.file:function"}
model: {adapter: {kind: lora, rank: 16, targets: [q_proj, v_proj], quantization: none}, frozen: [embed_tokens]}
model: {batch_coupled: [batch_norm]}
data: {num_samples: 1000}
data: {kind: stream, mean_length: 300, loss_token_fraction: 0.5, drop_last: true, paths: [/data]}
optimizer: {learning_rate: 3e-4}
optimizer: {reference_learning_rate: 1.5e-4, reference_batch_tokens: 4Mi}
optimizer: {scaling: {rule: capped, alpha: 0.75, critical_batch_tokens: 4M}}
optimizer: {scaling: {rule: saturating, alpha: 0.75, critical_batch_tokens: 4000000}}
optimizer: {scaling: {rule: saturating, critical_batch_tokens: auto}}
optimizer: {reference_batch_size: 256, reference_sequence_length: 2048, weight_average_decay: 0.9999}
optimizer: {rescale: {betas: sde, weight_decay: timescale}}
schedule: {warmup: auto}
optimizer: {name: sgd, momentum: 0.9, nesterov: true, epsilon: 1e-8}
optimizer: {owner: engine}
schedule: {warmup: 2000 samples}
schedule: {warmup: 375M tokens}
schedule: {warmup: 8Gi tokens}
schedule: {warmup: 1T tokens}
schedule: {warmup: 2K steps}
schedule: {warmup: 4Ki steps}
schedule: {warmup: 0.5 epochs}
schedule: {warmup: 3 %}
schedule: {warmup: 3%}
schedule: {decay: wsd, decay_length: 10 %, decay_shape: sqrt}
schedule: {decay: wsd, decay_length: 4.3T tokens, decay_shape: cosine, decay_ends: 14.3T tokens}
schedule: {decay: cosine, decay_starts: 10 %, decay_ends: 260B tokens}
schedule: {decay: polynomial, decay_power: 0.5, decay_starts: 0 steps}
schedule: {decay: inverse-sqrt, decay_length: 10000 steps}
schedule: {decay: step, decay_at: [30 epochs, 60 epochs, 80 epochs], decay_factor: 0.1}
schedule: {decay: step, decay_at: [80 %, 90 %], decay_factor: [0.316, 0.3165]}
schedule: {first_step: zero}
schedule: {owner: script}
schedule: {owner: engine:WarmupDecayLR}
schedule: {owner: script:transformers, arguments: {num_training_steps: 1000}}
stages: [{until: 1K samples, optimizer: {learning_rate: 1e-4}, micro_batch_size: 2}, {precision: fp32}]
precision: {compute: bf16, parameter_dtype: fp32, gradient_dtype: bf16, reduce_dtype: fp32, master_weights: true}
precision: {compute: fp16, autocast: true, loss_scale: {initial: 65536}}
precision: {compute: fp16, loss_scale: {static: 1024}}
micro_batch_size: 4
gradient_accumulation_steps: 4
parallel: auto
parallel: {tensor: auto, pipeline: auto, context: auto, expert: auto}
parallel: {context: {size: 8, algorithm: ulysses}}
parallel: {data: {strategy: zero, stage: 1, offload: optimizer}}
parallel: {data: {strategy: fsdp, version: 2, stage: 3, shard: 8, replicate: 2}}
cluster: {nodes: 6..8}
cluster: {groups: [{nodes: 2, devices_per_node: 8, device: v100-sxm-32gb}, {nodes: 1, devices_per_node: 4, device: t4}]}
cluster: {devices: [0, 1]}
cluster: {hostfile: hosts, host_memory: 1 TiB, cpus_per_node: 64, reserve: 2 GiB, time_limit: 24 h}
cluster: {price_per_device_hour: 2.5, power_watts: 700, checkpoint_bandwidth: 2 GB/s}
launch: {engine: a-plugin, executor: a-plugin}
launch: {module: package.train}
launch: {network: {port: 29500, interface: eth0, main_address: node-a}}
launch: {runtime: true, script_applies: [tensor]}
launch: {native: {deepspeed: {a: 1}, accelerate: {b: [c]}, argv: [--x]}}
launch: {container: {image: i, mounts: ["a:b"], runtime: pyxis}}
launch: {slurm: {partition: p, account: a, time: 24 h, constraint: ib, signal: TERM@120, requeue: true, array: 2, extra: ["--x"]}, template: site.sbatch.in}
launch: {timeouts: {handshake: 1 min, stall: 1 h}, restarts: 3}
"""
CHOICES = {
    "model.kind": "decoder encoder encoder-decoder moe rnn lstm gru bag mlp vit resnet module",
    "model.activation": "gelu gelu_new relu silu tanh",
    "model.norm": "layernorm rmsnorm batchnorm groupnorm",
    "model.position": "rotary learned none",
    "model.implementation": "auto transformers torch megatron fused compiled",
    "data.kind": "map stream",
    "data.packing": "packed padded none",
    "optimizer.name": "sgd adam adamw adamw-8bit rmsprop lamb lars adafactor lion muon",
    "optimizer.scaling": "auto none linear sqrt",
    "optimizer.rescale.betas": "none sde token-half-life",
    "optimizer.rescale.weight_decay": "none timescale",
    "optimizer.implementation": "auto foreach fused for-loop",
    "optimizer.owner": "script engine",
    "schedule.warmup_keeps": "unit steps samples tokens",
    "schedule.decay": "constant linear cosine polynomial inverse-sqrt wsd step",
    "schedule.decay_shape": "linear sqrt cosine",
    "schedule.clock": "samples tokens",
    "schedule.first_step": "one-batch zero",
    "schedule.warmup_shape": "linear log",
    "precision": "fp32 fp16 bf16 fp8",
    "activation_checkpointing": "none selective full",
    "attention": "eager sdpa flash",
    "loss.kind": "cross_entropy mse contrastive policy_gradient custom",
    "loss.weighting": "tokens sequences samples",
    "loss.logits": "full chunked fused",
    "parallel.context.algorithm": "ring ulysses allgather",
    "parallel.data.strategy": "ddp zero fsdp",
    "parallel.data.offload": "none optimizer parameters",
    "gradient_noise": "auto off ranks micro-batches",
    "gradient_noise.mode": "auto off ranks micro-batches",
    "cluster.backend": "nccl gloo rccl hccl",
    "launch.container.runtime": "pyxis apptainer docker",
    "launch.engine": "deepspeed accelerate torchrun",
    "launch.executor": "local ssh slurm kubernetes",
}


@pytest.mark.parametrize("snippet", ALTERNATIVES.splitlines())
def test_alternatives(tmp_path, snippet):
    """Every form that the comments name is accepted, and every value of it is marked."""
    (tmp_path / "r.yaml").write_text(snippet)
    (tmp_path / "path/of").mkdir(parents=True)
    (tmp_path / "path/of/config.json").write_text('{"model_type": "gpt2", "n_embd": 64, "n_layer": 2}')
    recipe = load_recipe(tmp_path / "r.yaml")
    for path, written in leaves(plain(read_yaml(snippet, place=Place("recipe"), found=Found()))):
        value = at(recipe, path)
        assert recipe.marks[".".join(map(str, path))].line == 1
        assert texts(value) in (tupled(written), str(written))


@pytest.mark.parametrize(
    ("path", "word"), [(path, word) for path, words in CHOICES.items() for word in words.split()]
)
def test_choices(path, word):
    """Every word that the comments name is accepted."""
    base = {"launch": {"container": {"image": "i"}}} if "container" in path else {"seed": 1}
    assert at(load_recipe(base, overrides=[f"{path}={word}"]), path.split(".")) == word


def test_stages_take_every_key_below_the_three_numbers():
    """A stage may override any key that stands below the three numbers in the contract."""
    names = [key.name for key in section_of(Recipe).keys]
    stage = section_of(Recipe).key("stages").shape.options[0].item
    below = set(names[names.index("hidden_size") + 1 :]) - {"stages"}
    assert below <= {key.name for key in stage.keys}


def test_every_key_of_the_schema_is_tried():
    """No key of a recipe is without a value here: in the contract's recipe or in a snippet."""
    tried = set()
    for text in (TEXT, *ALTERNATIVES.splitlines()):
        values = plain(read_yaml(text, place=Place("recipe"), found=Found()))
        for path, _ in leaves(values):
            names = [part for part in path if isinstance(part, str)]
            tried |= {".".join(names[: length + 1]) for length in range(len(names))}
    tried |= set(CHOICES)
    paths = {path for path, key in walk(section_of(Recipe)) if not isinstance(key.shape, SectionShape)}
    inner = {path.rpartition(".")[0] for path in paths}
    assert {path for path in paths - inner if not path.startswith("stages")} - tried == set()
