"""A bundle without its plan and recipe: what init brings back, what it says is missing, and the plan of both."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from round_trips import ENVIRON, RefusedError, begun, planned, rendered, with_the_missing

from launcher.api import plan

BASE = {
    "schema": 1,
    "name": "sample",
    "global_batch_size": 48,
    "sequence_length": 128,
    "hidden_size": 128,
    "model": {"num_layers": 2, "num_attention_heads": 2, "vocab_size": 512},
    "optimizer": {
        "learning_rate": 0.0003,
        "weight_decay": 0.1,
        "gradient_clipping": 1.0,
        "betas": [0.9, 0.95],
    },
    "schedule": {
        "warmup": "10 steps",
        "decay": "cosine",
        "length": "100 steps",
        "final_learning_rate_ratio": 0.1,
    },
    "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
    "launch": {"script": "train.py", "args": ["--data", "shards", "--lr", "{peak_learning_rate}"]},
    "seed": 7,
}
GPU = {"nodes": 1, "devices_per_node": 2, "device": "a100-sxm-40gb"}


def recipe(**changes):
    """BASE with sections changed key by key."""
    values = {**BASE}
    for key, value in changes.items():
        old = values.get(key)
        values[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return values


def zero(stage, **more):
    return {"data": {"strategy": "zero", "stage": stage, **more}}


def fsdp(stage, version, **more):
    return {"data": {"strategy": "fsdp", "stage": stage, "version": version, **more}}


OWNED = {"owner": "engine"}
LONG = {"length": "96K samples", "warmup_shape": "log"}
CASES = {
    "torchrun-cpu": recipe(),
    "torchrun-gpu": recipe(cluster={**GPU, "nodes": 4}, precision="bf16"),
    "torchrun-port": recipe(launch={"network": {"port": 6000}}),
    "torchrun-far-port": recipe(
        cluster={**GPU, "nodes": 2}, launch={"network": {"port": 6000, "main_address": "10.0.0.7"}}
    ),
    "torchrun-devices": recipe(cluster={"devices_per_node": 2, "devices": [2, 3], "device": "a100-sxm-40gb"}),
    "torchrun-odd-words": recipe(
        launch={
            "args": [
                "--json",
                '{{"a": 1}}',
                "it's",
                "$(id)",
                "",
                "--",
                "-x",
                "a\nb",
                "{run_dir}/out",
                "{seed}",
            ],
            "env": {"NOTE": 'say "x" $HOME', "STEPS": "{total_steps}", "EMPTY": "", "A": "b=c"},
            "python": "/opt/py/bin/python3",
        }
    ),
    "torchrun-module-runtime": recipe(
        launch={
            "script": None,
            "module": "package.train",
            "runtime": True,
            "native": {"argv": ["--tee", "3"]},
        },
        global_batch_size=45,
    ),
    "torchrun-reference": recipe(
        optimizer={"learning_rate": None, "reference_learning_rate": 0.001, "reference_batch_size": 12}
    ),
    "deepspeed-cpu": recipe(launch={"engine": "deepspeed"}),
    "deepspeed-idle": recipe(launch={"engine": "deepspeed", "runtime": True}, global_batch_size=45),
    "deepspeed-stage-0": recipe(launch={"engine": "deepspeed"}, parallel=zero(0)),
    "deepspeed-zero3-bf16": recipe(
        launch={"engine": "deepspeed"}, cluster={**GPU, "nodes": 2}, parallel=zero(3), precision="bf16"
    ),
    "deepspeed-zero2-fp16-offload": recipe(
        launch={"engine": "deepspeed"},
        cluster=GPU,
        parallel=zero(2, offload="optimizer"),
        precision={"compute": "fp16", "loss_scale": {"initial": 1024.0}, "reduce_dtype": "fp16"},
        optimizer={"gradient_clipping": None, **OWNED},
    ),
    "deepspeed-static-scale": recipe(
        launch={"engine": "deepspeed"},
        cluster={**GPU, "devices": [4, 5]},
        parallel=zero(3, offload="parameters"),
        precision={"compute": "fp16", "loss_scale": {"static": 128.0}, "gradient_dtype": "fp16"},
    ),
    "deepspeed-native": recipe(
        launch={
            "engine": "deepspeed",
            "native": {
                "deepspeed": {
                    "aio": {"queue_depth": 8},
                    "zero_optimization": {"round_robin_gradients": True},
                },
                "argv": ["--enable_each_rank_log", "logs"],
            },
        },
        cluster=GPU,
        parallel=zero(1),
    ),
    "deepspeed-cosine": recipe(
        launch={"engine": "deepspeed"},
        optimizer=OWNED,
        schedule={"owner": "engine:WarmupCosineLR", "warmup": "100 steps", **LONG},
        parallel=zero(1),
    ),
    "deepspeed-linear": recipe(
        launch={"engine": "deepspeed"},
        optimizer={**OWNED, "name": "adam", "betas": None, "weight_decay": 0.0},
        schedule={"owner": "engine:WarmupDecayLR", "decay": "linear", "final_learning_rate_ratio": 0.0},
    ),
    "deepspeed-constant-no-warmup": recipe(
        launch={"engine": "deepspeed"},
        optimizer={**OWNED, "name": "sgd", "betas": None, "momentum": 0.9, "nesterov": True},
        schedule={
            "owner": "engine:WarmupLR",
            "decay": "constant",
            "final_learning_rate_ratio": 0.0,
            "warmup": None,
        },
    ),
    "accelerate-cpu": recipe(launch={"engine": "accelerate"}),
    "accelerate-autocast-off": recipe(
        launch={"engine": "accelerate"}, cluster=GPU, precision={"compute": "bf16", "autocast": False}
    ),
    "accelerate-ddp-fp16": recipe(
        launch={"engine": "accelerate", "native": {"accelerate": {"enable_cpu_affinity": True}}},
        cluster={**GPU, "nodes": 2, "cpus_per_node": 16},
        precision="fp16",
    ),
    "accelerate-fsdp2": recipe(
        launch={"engine": "accelerate"},
        cluster=GPU,
        parallel=fsdp(3, 2, offload="parameters"),
        precision="bf16",
    ),
    "accelerate-fsdp1": recipe(
        launch={
            "engine": "accelerate",
            "native": {"accelerate": {"fsdp_config": {"fsdp_use_orig_params": False}}},
        },
        cluster={**GPU, "nodes": 2},
        parallel=fsdp(2, 1),
        precision="bf16",
    ),
    "accelerate-zero3": recipe(
        launch={"engine": "accelerate", "args": ["--config", "{deepspeed_config}", "{accelerate_config}"]},
        cluster={**GPU, "nodes": 2},
        parallel=zero(3),
        precision="bf16",
    ),
    "accelerate-zero2-cosine": recipe(
        launch={"engine": "accelerate"},
        cluster=GPU,
        parallel=zero(2),
        optimizer=OWNED,
        schedule={"owner": "engine:WarmupCosineLR", "warmup": "10 %", **LONG},
    ),
    "tensor-parallel": recipe(
        launch={"engine": "deepspeed", "script_applies": ["tensor"]},
        cluster={**GPU, "devices_per_node": 4},
        parallel={"tensor": 2, **zero(1)},
    ),
    "setup": recipe(launch={"setup": [["module", "load", "cuda/12.8"]]}, cluster=GPU),
    "slurm": recipe(
        cluster={**GPU, "nodes": 2},
        launch={"executor": "slurm", "slurm": {"partition": "gpu", "time": "4 h"}},
    ),
    "slurm-deepspeed": recipe(
        cluster={**GPU, "nodes": 2},
        launch={"executor": "slurm", "engine": "deepspeed", "setup": [["module", "load", "x"]]},
        parallel=zero(2),
    ),
    "ssh": recipe(
        cluster={**GPU, "nodes": 2, "hostfile": "hosts"},
        launch={"executor": "ssh", "engine": "deepspeed"},
        parallel=zero(2),
    ),
    "kubernetes": recipe(
        cluster={**GPU, "nodes": 2},
        launch={
            "executor": "kubernetes",
            "engine": "accelerate",
            "workdir": "/w",
            "container": {"image": "a/b"},
        },
    ),
    "container": recipe(cluster=GPU, launch={"container": {"image": "a.sif", "runtime": "apptainer"}}),
    "ramp": recipe(
        launch={"engine": "torchrun", "runtime": True},
        stages=[{"until": "480 samples", "global_batch_size": 24}, {"global_batch_size": 48}],
    ),
    "ramp-deepspeed": recipe(
        launch={"engine": "deepspeed", "runtime": True},
        stages=[{"until": "480 samples", "global_batch_size": 24}, {"global_batch_size": 48}],
    ),
}


WORDS = st.sampled_from(
    ["--x", "7", "1e-4", "it's", "$(id)", "{seed}", "{micro_batch_size}", "{run_dir}/a", "full", "b c"]
)
STEPS = st.sampled_from(["10 steps", "96 samples", "5 %"])


@st.composite
def recipes(draw):
    """Engines, strategies, precisions, machines, owners, words: what can be rendered of it, and what cannot."""
    engine = draw(st.sampled_from(["torchrun", "deepspeed", "accelerate"]))
    strategy = draw(st.sampled_from(["ddp", "zero", "fsdp"]))
    data = {"strategy": strategy}
    if strategy != "ddp":
        data["stage"] = draw(st.integers(1 if strategy == "zero" else 2, 3))
        data["offload"] = draw(st.sampled_from(["none", "none", "optimizer", "parameters"]))
    if strategy == "fsdp":
        data["version"] = draw(st.integers(1, 2))
    compute = draw(st.sampled_from(["fp32", "bf16", "fp16"]))
    precision = {"compute": compute} | draw(
        st.sampled_from([{}, {}, {"reduce_dtype": "bf16"}, {"gradient_dtype": "fp32"}, {"autocast": False}])
    )
    if compute == "fp16":
        precision |= draw(
            st.sampled_from([{}, {"loss_scale": {"initial": 256.0}}, {"loss_scale": {"static": 8.0}}])
        )
    owner = draw(st.sampled_from(["auto", "engine:WarmupLR", "engine:WarmupDecayLR", "script:transformers"]))
    decay = {"engine:WarmupLR": "constant", "engine:WarmupDecayLR": "linear"}.get(owner, "cosine")
    return recipe(
        global_batch_size=draw(st.sampled_from([48, 96, 45])),
        launch={
            "engine": engine,
            "args": draw(st.lists(WORDS, max_size=3)),
            "env": draw(st.dictionaries(st.sampled_from(["A", "B"]), WORDS, max_size=2)),
            "runtime": draw(st.booleans()),
            "script_applies": draw(st.sampled_from([[], ["zero", "fsdp"]])),
            "native": draw(
                st.sampled_from([{}, {}, {"deepspeed": {"comms_logger": {"enabled": True}}}, {"argv": ["--log_level", "info"]}])
            ),
            "network": draw(st.sampled_from([{}, {"port": 6000}, {"main_address": "10.0.0.7"}])),
        },
        cluster={
            "nodes": draw(st.integers(1, 2)),
            "devices_per_node": 2,
            "device": draw(st.sampled_from(["cpu", "a100-sxm-40gb"])),
        }
        | draw(st.sampled_from([{}, {"cpus_per_node": 16}])),
        parallel={"data": data},
        precision=precision,
        optimizer=draw(
            st.sampled_from([{}, OWNED, {"learning_rate": None, "reference_learning_rate": 1e-3, "reference_batch_size": 12}])
        ),
        schedule={
            "owner": owner,
            "decay": decay,
            "warmup": draw(STEPS),
            "length": draw(st.sampled_from(["200 steps", "9600 samples"])),
            "final_learning_rate_ratio": 0.1 if decay == "cosine" else 0.0,
        },
    )  # fmt: skip


@settings(max_examples=20, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(recipes())
def test_any_bundle_and_what_is_missing_make_the_plan_again(values):
    """Whatever renders comes back, number by number, with just the missing keys added."""
    with TemporaryDirectory() as folder:
        try:
            original, _ = rendered(values, Path(folder) / "bundle")
        except RefusedError:
            assume(False)
        found = begun(Path(folder) / "bundle")
        again = planned(with_the_missing(found, original), Path(folder))
        before = plan(original, environ=ENVIRON)
        assert again.plan_hash == before.plan_hash, differences(before, again)


SUBMITTED = ("slurm", "slurm-deepspeed", "ssh", "kubernetes")  # what render prints only reaches the nodes


@pytest.mark.parametrize(
    ("case", "kept"),
    [(case, "bundle.json") for case in CASES] + [(case, "run.sh") for case in CASES if case not in SUBMITTED],
)
def test_a_bundle_and_what_is_missing_make_the_plan_again(case, kept, tmp_path):
    """From the engine's files with our list of commands, or with the printed line alone: the same plan_hash."""
    original, line = rendered(CASES[case], tmp_path / "bundle")
    if kept == "run.sh":
        (tmp_path / "bundle" / "bundle.json").unlink()
        (tmp_path / "bundle" / "run.sh").write_text(f"#!/bin/bash\n{line}")
    found = begun(tmp_path / "bundle")
    again = planned(with_the_missing(found, original), tmp_path)
    before = plan(original, environ=ENVIRON)
    assert found["rendered_plan_hash"] == before.plan_hash
    assert again.plan_hash == before.plan_hash, differences(before, again)


def differences(before, again):
    """For the one who has to find out why."""
    left, right = before.to_dict(), again.to_dict()
    return {
        f"{block}.{key}": (value, right[block][key])
        for block in left
        if isinstance(left[block], dict) and block not in {"origins", "memory"}
        for key, value in left[block].items()
        if right[block] is not None and value != right[block].get(key)
    } | {
        key: (left[key], right[key])
        for key in left
        if not isinstance(left[key], dict | list) and left[key] != right[key]
    }
