"""Plans whose schedule another stack owns, run to their end on two real ranks: every rate is the plan's curve.

What a case is given comes from a recipe through plan and render: DeepSpeed's file, or the placeholders.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from rank_jobs import free_port, run_group

from launcher.api import load_recipe, plan, render
from launcher.errors import PlanError
from launcher.planning.placeholders import placeholder_values
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.planning.schedulers.handing import scheduler_values
from launcher.spec.plain import from_plain
from launcher.spec.rates import CompiledSchedule

pytestmark = pytest.mark.real

SCRIPT = Path(__file__).parent / "scripts" / "compiled_ranks.py"
PEAK = 2e-3
NAMES = ("scheduler_name", "scheduler_warmup_steps", "scheduler_total_steps", "scheduler_arguments")
LOG, ZERO = {"warmup_shape": "log"}, {"strategy": "zero", "stage": 2}
COSINE = {"decay": "cosine", "warmup": "12 steps"}

# name -> kind, owner, schedule; a name that ends with (refused) has no plan, and its curve is in the refusal
CASES = {
    "WarmupLR": ("engine", "engine:WarmupLR", {"decay": "constant"}),
    "WarmupLR without warmup": ("engine", "engine:WarmupLR", {"decay": "constant", "warmup": "0 steps"}),
    "WarmupDecayLR": ("engine", "engine:WarmupDecayLR", {}),
    "WarmupDecayLR to a floor": ("engine", "engine:WarmupDecayLR", {"final_learning_rate_ratio": 0.01}),
    "WarmupDecayLR log": ("engine", "engine:WarmupDecayLR", LOG),
    "WarmupDecayLR log (refused)": (
        "engine",
        "engine:WarmupDecayLR",
        {"arguments": {"warmup_type": "log"}},
    ),
    "WarmupCosineLR log": (
        "engine",
        "engine:WarmupCosineLR",
        {**COSINE, **LOG, "length": "180 steps", "final_learning_rate_ratio": 0.1},
    ),
    "WarmupCosineLR linear (refused)": ("engine", "engine:WarmupCosineLR", COSINE),
    "constant": ("script", "script:transformers", {"decay": "constant", "warmup": "0 steps"}),
    "constant_with_warmup": ("script", "script:transformers", {"decay": "constant"}),
    "linear": ("script", "script:transformers", {}),
    "polynomial": ("script", "script:transformers", {"final_learning_rate_ratio": 0.3}),
    "cosine": ("script", "script:transformers", {"decay": "cosine"}),
    "cosine_with_min_lr": (
        "script",
        "script:transformers",
        {"decay": "cosine", "final_learning_rate_ratio": 0.1},
    ),
    "warmup_stable_decay": ("script", "script:transformers", {"decay": "wsd", "decay_length": "8 steps"}),
    "warmup_stable_decay, 1-sqrt": (
        "script",
        "script:transformers",
        {"decay": "wsd", "decay_length": "8 steps", "decay_shape": "sqrt"},
    ),
    "warmup_stable_decay, cosine, early": (
        "script",
        "script:transformers",
        {"decay": "wsd", "decay_length": "8 steps", "decay_shape": "cosine", "decay_ends": "80 %"},
    ),
    "polynomial, power 2": ("script", "script:transformers", {"decay": "polynomial", "decay_power": 2.0}),
    "inverse_sqrt": ("script", "script:transformers", {"decay": "inverse-sqrt"}),
    "cosine, early (refused)": ("script", "script:transformers", {"decay": "cosine", "decay_ends": "80 %"}),
    "cosine_with_restarts (refused)": (
        "script",
        "script:transformers",
        {
            "decay": "cosine",
            "arguments": {"name": "cosine_with_restarts", "scheduler_specific_kwargs": {"num_cycles": 3}},
        },
    ),
    "prepared linear": ("prepared", "script:accelerate", {}),
    "prepared cosine": (
        "prepared",
        "script:accelerate",
        {"decay": "cosine", "final_learning_rate_ratio": 0.1},
    ),
    "prepared inverse_sqrt": (
        "prepared",
        "script:accelerate",
        {"decay": "inverse-sqrt", "decay_length": "9 steps"},
    ),
    "prepared constant": ("prepared", "script:accelerate", {"decay": "constant"}),
    "prepared wsd": ("prepared", "script:accelerate", {"decay": "wsd", "decay_length": "8 steps"}),
    "prepared, lengths not multiplied (refused)": (
        "prepared",
        "script:accelerate",
        {"arguments": {"num_warmup_steps": 6, "num_training_steps": 30}},
    ),
    "prepared with split_batches": ("split", "script:accelerate", {"arguments": {"split_batches": True}}),
    "prepared beside DeepSpeed": ("prepared beside DeepSpeed", "script:accelerate", {}),
    "DummyScheduler": ("dummy", "engine:WarmupDecayLR", {}),
    "DummyScheduler, auto": ("dummy", "engine:WarmupDecayLR", {}),
    "DummyScheduler of a Warmup": ("dummy", "engine:WarmupLR", {"decay": "constant"}),
    "DummyScheduler, warmup multiplied (refused)": (
        "dummy",
        "engine:WarmupDecayLR",
        {"arguments": {"total_num_steps": 60, "warmup_num_steps": 12}},
    ),
}


def recipe_of(kind, owner, schedule):
    engine = "deepspeed" if kind == "engine" else "accelerate"
    # Accelerate starts DeepSpeed on GPUs only; the schedule does not know
    device = "h100-sxm-80gb" if kind == "dummy" else "cpu"
    written = {"warmup": "6 steps", "decay": "linear", "length": "30 steps", "owner": owner, **schedule}
    return load_recipe(
        {
            "global_batch_size": 4,
            "sequence_length": 16,
            "hidden_size": 64,
            "micro_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "optimizer": {"learning_rate": PEAK},
            "schedule": written,
            "cluster": {"nodes": 1, "devices_per_node": 2, "device": device},
            "launch": {"engine": engine, "script": "train.py"},
            **({"parallel": {"data": ZERO}} if kind == "dummy" else {}),
        }
    )


def case_of(name):
    """What the script is given, and the curve that the plan has for it."""
    kind, owner, schedule = CASES[name]
    recipe = recipe_of(kind, owner, schedule)
    if name.endswith("(refused)"):
        with pytest.raises(PlanError) as refusal:
            plan(recipe)
        given = of_refusal(kind, refusal.value)
    else:
        given = of_plan(kind, recipe, plan(recipe))
    case, compiled = given
    case |= {"name": name, "kind": kind, "peak": PEAK, "auto": "auto" in name or "(refused)" in name}
    steps = range(1, case["steps"] + 1)
    return case, [compiled_rate(compiled, peak=PEAK, step=step) for step in steps]


def of_plan(kind, recipe, planned):
    """Placeholders and DeepSpeed's file as they are rendered."""
    values = placeholder_values(planned, files=())
    case = {name: values[name] or 0 for name in NAMES}
    if kind in {"engine", "dummy"}:
        case["config"] = json.loads(render(recipe, planned).files["deepspeed.json"])
    return {**case, "steps": planned.learning_rate.total_steps}, planned.learning_rate.compiled


def of_refusal(kind, refusal):
    """The same of a recipe that has no plan: its curve is in the refusal, its file is another plan's."""
    rates = refusal.to_dict()["learning_rate"]
    compiled = from_plain(CompiledSchedule, rates["compiled"])
    case = dict(zip(NAMES, scheduler_values(compiled).values(), strict=True))
    if kind in {"engine", "dummy"}:
        beside = recipe_of(kind, "engine:WarmupDecayLR", {})
        case["config"] = of_plan(kind, beside, plan(beside))[0]["config"]
        case["config"]["scheduler"] = {"type": compiled.scheduler, "params": dict(compiled.arguments)}
    return {**case, "steps": rates["total_steps"]}, compiled


@pytest.fixture(scope="module")
def cases():
    return {name: case_of(name) for name in CASES}


@pytest.fixture(scope="module")
def seen(cases, tmp_path_factory):
    """The rates that the real stacks used, by case."""
    folder = tmp_path_factory.mktemp("compiled_ranks")
    (folder / "cases.json").write_text(json.dumps([case for case, _ in cases.values()]))
    command = [
        *(sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"),
        *("--num_processes", "2", "--main_process_port", str(free_port())),
        *(str(SCRIPT), str(folder / "cases.json"), str(folder / "seen.json")),
    ]
    environ = {**os.environ, "ACCELERATE_USE_CPU": "true", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    code, text = run_group(command, environ=environ, seconds=300)
    assert code == 0, text
    return json.loads((folder / "seen.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_every_rate_is_the_plans(name, cases, seen):
    """Each optimizer step of the whole schedule trains at the plan's rate, to 1e-7; so does a refused one at its own.

    Source: deepspeed@0.19.8 runtime/engine.py, accelerate@1.15.0 scheduler.py and accelerator.py,
    transformers@5.23.0 optimization.py.
    """
    case, curve = cases[name]
    assert len(seen[name]) == case["steps"] >= 30
    assert seen[name] == pytest.approx(curve, rel=1e-7, abs=1e-9 * PEAK)
    assert len(set(curve)) > 10 or "constant" in name or "WarmupLR" in name or "a Warmup" in name
