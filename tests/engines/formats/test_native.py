"""launch.native: merged last, refused where the plan owns the key."""

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.engines.formats.native import flag_problems, key_problems, leaves, merged
from launcher.testing import changed, sample_plans

PLANS = sample_plans()


def codes(engine, plan, **launch):
    problems = find_plugin("launcher.engines", engine).check(changed(plan, launch=launch))
    return [(p.code, p.path) for p in problems if p.severity == "error"]


def test_merging_is_deep_and_leaves_its_input_alone():
    """A native key keeps its siblings; a list or number replaces what stood there."""
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
    assert merged(base, {"a": {"c": {"f": 3}}, "e": [2]}) == {"a": {"b": 1, "c": {"d": 2, "f": 3}}, "e": [2]}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}


def test_leaves_are_dotted_paths():
    """Empty mappings count as values, so that none is lost."""
    assert leaves({"a": {"b": 1, "c": {}}, "d": None}) == {"a.b": 1, "a.c": {}, "d": None}


@pytest.mark.parametrize(
    "native",
    [{"a": {"b": 1}}, {"a": {"b": {"x": 1}}}, {"a": True}, {"a": None}],
    ids=["itself", "below", "its parent", "its parent as null"],
)
def test_an_owned_key_is_refused_itself_below_and_above(native):
    """Replacing the mapping that holds an owned key is setting that key."""
    (problem,) = key_problems(native, {"a.b": "write a"}, path="launch.native.x")
    assert (problem.code, problem.hint) == ("native-owns-key", "write a")


def test_a_neighbour_of_an_owned_key_is_not_refused():
    """Keys are compared part by part, not letter by letter."""
    assert not key_problems({"a": {"bc": 1}, "ab": 2}, {"a.b": ""}, path="p")


@pytest.mark.parametrize(
    "word", ["--nproc_per_node", "--nproc-per-node=4", "--nproc", "--n", "-m", "--module"]
)
def test_an_owned_flag_is_refused_however_it_is_written(word):
    """Dashes, values and argparse's own shortening change nothing."""
    owned = {"nproc_per_node": "write cluster", "m": "", "module": ""}
    (problem,) = flag_problems(("--tee", "3", word), owned)
    assert (problem.code, problem.path) == ("native-owns-key", "launch.native.argv.2")


@pytest.mark.parametrize("argv", [("train2.py",), ("--tee", "3", "--"), ("-",)])
def test_a_word_that_would_become_the_script_is_refused(argv):
    """The first word that is no flag is what an engine starts."""
    assert [p.code for p in flag_problems(argv, {})] == ["native-owns-key"]


def test_foreign_flags_pass():
    """What the engine does not render is the user's."""
    assert not flag_problems(("--log_dir", "logs", "-r", "3", "--tee=3"), {"nnodes": "", "rdzv_id": ""})


@pytest.mark.parametrize(
    ("native", "path"),
    [
        ({"train_batch_size": 8}, "train_batch_size"),
        ({"zero_optimization": {"stage": 1}}, "zero_optimization.stage"),
        (
            {"zero_optimization": {"offload_optimizer": {"device": "nvme"}}},
            "zero_optimization.offload_optimizer.device",
        ),
        ({"prescale_gradients": True}, "prescale_gradients"),
        ({"gradient_predivide_factor": 2.0}, "gradient_predivide_factor"),
        ({"gradient_allreduce_op": "sum"}, "gradient_allreduce_op"),
        ({"managed_gradient_accumulation": False}, "managed_gradient_accumulation"),
        ({"optimizer": {"type": "Adam"}}, "optimizer.type"),
        ({"scheduler": {"type": "WarmupLR"}}, "scheduler.type"),
        ({"fp16": {"enabled": True}}, "fp16.enabled"),
        ({"data_types": {"grad_accum_dtype": "bf16"}}, "data_types.grad_accum_dtype"),
    ],
)
def test_deepspeed_keys_that_the_plan_owns(native, path):
    """Nothing that changes the batch, the gradient, the precision or the schedule gets in by the side door."""
    expected = [("native-owns-key", f"launch.native.deepspeed.{path}")]
    assert codes("deepspeed", PLANS["cpu-1x2-zero2"], native_deepspeed=native) == expected


def test_deepspeed_keys_that_a_recipe_does_not_know_are_rendered():
    """ZeRO++, aio and monitors pass, beside what the plan writes in the same block."""
    native = {
        "zero_optimization": {"zero_quantized_weights": True},
        "aio": {"queue_depth": 8},
        "steps_per_print": 10,
    }
    plan = changed(PLANS["gpu-1x2-native"], launch={"native_deepspeed": native})
    text = find_plugin("launcher.engines", "deepspeed").render(plan, ["h"]).files["deepspeed.json"]
    assert '"zero_quantized_weights": true' in text
    assert '"stage": 0' in text
    assert '"steps_per_print": 10' in text


@pytest.mark.parametrize(
    ("native", "path"),
    [
        ({"num_processes": 4}, "num_processes"),
        ({"mixed_precision": "bf16"}, "mixed_precision"),
        (
            {"deepspeed_config": {"gradient_accumulation_steps": 2}},
            "deepspeed_config.gradient_accumulation_steps",
        ),
        ({"fsdp_config": {"version": 1}}, "fsdp_config.version"),
        ({"fsdp_config": {"fsdp_version": 1}}, "fsdp_config.fsdp_version"),
        ({"parallelism_config": {"tp_size": 2}}, "parallelism_config.tp_size"),
    ],
)
def test_accelerate_keys_that_the_plan_owns(native, path):
    """The same for Accelerate's file, whose FSDP keys go by two names."""
    expected = [("native-owns-key", f"launch.native.accelerate.{path}")]
    assert codes("accelerate", PLANS["cpu-1x2"], native_accelerate=native) == expected


@pytest.mark.parametrize(
    ("engine", "argv"),
    [
        ("torchrun", ("--rdzv-backend", "c10d")),
        ("torchrun", ("--stand",)),
        ("accelerate", ("--gradient_accumulation_steps", "2")),
        ("accelerate", ("--num-processes", "4")),
        ("deepspeed", ("-i", "localhost:0")),
        ("deepspeed", ("--num_gpus=1",)),
        ("deepspeed", ("--autotuning", "run")),
    ],
)
def test_flags_that_the_plan_owns(engine, argv):
    """Each engine knows its own flags."""
    assert codes(engine, PLANS["cpu-1x2"], native_argv=argv) == [("native-owns-key", "launch.native.argv.0")]


@pytest.mark.parametrize("engine", ["torchrun", "accelerate", "deepspeed"])
def test_native_words_stand_before_the_script(engine):
    """Extra flags are the engine's, not the script's."""
    plan = changed(PLANS["cpu-1x2"], launch={"native_argv": ("--log_level", "x y")})
    (command,) = find_plugin("launcher.engines", engine).render(plan, ["h"]).commands
    at = command.argv.index("--log_level")
    assert command.argv[at + 1] == "x y"
    assert at < command.argv.index("batchwright_witness")


def test_a_block_for_another_engine_is_kept_and_noted():
    """A recipe may hold blocks for several engines; the one not used says so."""
    problems = find_plugin("launcher.engines", "torchrun").check(PLANS["gpu-1x2-native"])
    assert [(p.code, p.severity, p.path) for p in problems] == [
        ("not-yet-used", "note", "launch.native.deepspeed"),
        ("not-yet-used", "note", "launch.native.accelerate"),
    ]
