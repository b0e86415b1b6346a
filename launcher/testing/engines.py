"""What every engine has to keep to, ours and other people's, checked on the sample plans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.errors import CODES, Problem
from launcher.spec.bundle import MAIN_PORT, RUN_DIR, LaunchBundle
from launcher.spec.plan import RunPlan
from launcher.spec.plugins import Engine
from launcher.testing.plans import HOSTILE, sample_plans

__all__ = ["check_engine"]

_FOLDER = "/tmp/a run \"'$(id)"  # noqa: S108 - a name, nothing is written there

# what a native file calls a number of the plan, wherever in the file it stands
_NATIVE_NAMES = {
    "train_batch_size": "batch.slots_per_step",
    "train_micro_batch_size_per_gpu": "batch.micro_batch_size",
    "gradient_accumulation_steps": "batch.gradient_accumulation_steps",
    "num_processes": "layout.world_size",
    "num_machines": "layout.num_nodes",
    "nproc_per_node": "layout.devices_per_node",
}


def check_engine(engine: Engine, plans: Mapping[str, RunPlan] | None = None) -> int:
    """How many of the plans the engine renders, each of them correctly; the others it has to refuse in words.

    plans: case name to plan; the sample plans when None. Raises AssertionError that names the case.
    """
    assert engine.name, "an engine has a name"
    assert all(isinstance(word, str) for word in engine.requirements), "requirements are executables"
    plans = sample_plans() if plans is None else plans
    rendered = [name for name, plan in plans.items() if _renders(engine, name, plan)]
    assert rendered, f"{engine.name} renders none of {', '.join(plans)}"
    return len(rendered)


def _renders(engine: Engine, case: str, plan: RunPlan) -> bool:
    problems = engine.check(plan)
    for problem in problems:
        assert isinstance(problem, Problem), f"{case}: check returns problems, not {problem!r}"
        assert problem.code in CODES, f"{case}: {problem.code} is no code"
    if any(problem.severity == "error" for problem in problems):
        return False
    hosts = [f"host{rank}" for rank in range(plan.layout.num_nodes)]
    bundle = engine.render(plan, hosts)
    assert bundle == engine.render(plan, hosts), f"{case}: the same plan renders differently a second time"
    _check_commands(case, plan, bundle)
    _check_files(case, plan, bundle)
    _check_placing(case, bundle)
    return True


def _check_commands(case: str, plan: RunPlan, bundle: LaunchBundle) -> None:
    nodes = [command.node_rank for command in bundle.commands]
    assert nodes in ([0], list(range(plan.layout.num_nodes))), f"{case}: commands for nodes {nodes}"
    for command in bundle.commands:
        assert isinstance(command.argv, tuple), f"{case}: argv is a tuple"
        assert all(isinstance(word, str) for word in command.argv), f"{case}: argv holds text"
        assert command.env.get("LAUNCHER_PLAN") == f"{RUN_DIR}/plan.json", (
            f"{case}: LAUNCHER_PLAN names the plan"
        )
        assert command.env.get("BATCHWRIGHT_PLAN_HASH") == plan.plan_hash, f"{case}: the plan's hash is set"
        _check_script(case, plan, command.argv)


def _check_script(case: str, plan: RunPlan, argv: tuple[str, ...]) -> None:
    script = plan.launch.script or plan.launch.module
    assert script in argv, f"{case}: {script} is on the command line"
    if plan.launch.args == HOSTILE:
        given = tuple(word.replace("{{", "{").replace("}}", "}") for word in HOSTILE)
        assert argv[-len(given) :] == given, (
            f"{case}: arguments arrive as written, nothing in them is interpreted"
        )


def _check_files(case: str, plan: RunPlan, bundle: LaunchBundle) -> None:
    placed = bundle.placed(_FOLDER)
    for name in bundle.files:
        assert not name.startswith("/"), f"{case}: {name} lies inside the bundle"
        assert ".." not in name.split("/"), f"{case}: {name} lies inside the bundle"
        if name.endswith(".json"):
            _check_numbers(case, plan, json.loads(bundle.files[name]), name)
            json.loads(placed.files[name])


def _check_numbers(case: str, plan: RunPlan, value: Any, at: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_numbers(case, plan, inner, f"{at}: {key}")
            if key in _NATIVE_NAMES:
                block, _, field = _NATIVE_NAMES[key].partition(".")
                planned = getattr(getattr(plan, block), field)
                assert inner == planned, f"{case}: {at}: {key} is {inner}, planned is {planned}"
    assert value != "auto", f"{case}: {at} is left for somebody else to fill"


def _check_placing(case: str, bundle: LaunchBundle) -> None:
    """No token is left once the bundle has a folder, and the folder stands where it stood."""
    placed = bundle.placed(_FOLDER, main_port=12345)
    texts = [*placed.files.values()]
    texts += [word for command in placed.commands for word in (*command.argv, *command.env.values())]
    for text in texts:
        for token in (RUN_DIR, MAIN_PORT, json.dumps(RUN_DIR)[1:-1], json.dumps(MAIN_PORT)[1:-1]):
            assert token not in text, f"{case}: a token is left in {text!r}"
    assert all(command.env["LAUNCHER_PLAN"] == f"{_FOLDER}/plan.json" for command in placed.commands), case
