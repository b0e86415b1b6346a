"""Every case: one recipe per split, stage and variant, planned and rendered, and one launch per engine and world size."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.api import render

HERE = Path(__file__).resolve().parent
BATCH, PEAK, WARMUP, TOTAL_STEPS, FINAL = 12, 0.1, 24, 4, 0.25
CLIPPING = 0.1
LAUNCH_SECONDS = 240  # DeepSpeed's first start on a machine compiles an operator

# micro x accumulation x ranks; the last of each world leaves slots idle
SPLITS = {1: ((1, 12), (3, 4), (4, 3), (5, 3)), 2: ((2, 3), (6, 1), (4, 2))}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training; `variant` is sgd, adamw, clipped (sgd), or partial (sgd to the end of an epoch).

    ramp: name of a list of stages in exactness_stages, which replaces micro-batch and accumulation.
    """

    engine: str
    ranks: int
    micro: int
    accumulation: int
    variant: str
    stage: int | None = None
    fsdp: bool = False
    scalar: bool = False
    save: int | None = None
    resume: str | None = None
    ramp: str | None = None

    @property
    def name(self) -> str:
        stage = "-fsdp" if self.fsdp else "" if self.stage is None else f"-zero{self.stage}"
        split = self.ramp or f"{self.micro}x{self.accumulation}x{self.ranks}"
        tail = (
            f"-saves-{self.save}"
            if self.save
            else f"-resumes-{Path(self.resume).stem}"
            if self.resume
            else ""
        )
        return f"{self.engine}{stage}-{split}-{self.variant}{tail}"

    @property
    def optimizer(self) -> str:
        return "adamw" if self.variant == "adamw" else "sgd"


def cases_of(engine: str, ranks: int) -> list[Case]:
    """All trainings of one launch."""
    if engine == "deepspeed":
        return [case for stage in range(4) for case in _variants(engine, ranks, stage=stage)]
    cases = _variants(engine, ranks, stage=None)
    if (engine, ranks) == ("torchrun", 2):
        cases += [replace(case, fsdp=True) for case in cases]
    return cases


def _variants(engine, ranks, *, stage):
    splits = SPLITS[ranks]
    every = [
        Case(engine=engine, ranks=ranks, micro=micro, accumulation=accumulation, variant=variant, stage=stage)
        for micro, accumulation in splits
        for variant in ("sgd", "adamw")
    ]
    first, uneven = splits[0], splits[-1]
    some = [
        Case(
            engine=engine,
            ranks=ranks,
            micro=micro,
            accumulation=accumulation,
            variant=variant,
            stage=stage,
            scalar=True,
        )
        for (micro, accumulation), variant in ((first, "clipped"), (uneven, "clipped"), (first, "partial"))
    ]
    return [*every, *some]


def recipe_of(case: Case) -> dict:
    """The recipe of one case: what training means is the same for every split of a variant."""
    length = "1 epochs" if case.variant == "partial" else f"{TOTAL_STEPS} steps"
    data = {} if case.stage is None else {"data": {"strategy": "zero", "stage": case.stage}}
    if case.fsdp:
        data = {"data": {"strategy": "fsdp"}}
    optimizer = {"name": case.optimizer, "learning_rate": PEAK, "weight_decay": 0.01}
    if case.optimizer == "sgd":
        optimizer["momentum"] = 0.9
    if case.variant == "clipped":
        optimizer["gradient_clipping"] = CLIPPING
    native = (
        {"deepspeed": {"zero_optimization": {"stage3_param_persistence_threshold": 0}}}
        if case.stage == 3
        else {}
    )
    return {
        "name": case.name,
        "global_batch_size": BATCH,
        "sequence_length": 16,
        "hidden_size": 16,
        "model": {"num_layers": 1, "num_attention_heads": 1, "vocab_size": 32},
        "data": {"num_samples": 30},
        "optimizer": optimizer,
        "schedule": {
            "warmup": f"{WARMUP} samples",
            "decay": "linear",
            "length": length,
            "final_learning_rate_ratio": FINAL,
        },
        "micro_batch_size": case.micro,
        "gradient_accumulation_steps": case.accumulation,
        "parallel": data,
        "cluster": {"nodes": 1, "devices_per_node": case.ranks, "device": "cpu"},
        "launch": {
            "engine": case.engine,
            "script": "exactness_train.py",
            "workdir": str(HERE),
            "args": ["cases.json"],
            "python": sys.executable,
            "runtime": True,
            "native": native,
            "script_applies": ["fsdp"] if case.fsdp else [],
        },
        "seed": 11,
    }


def launch(cases: list[Case], folder: Path, *, recipe_of=recipe_of) -> None:
    """Trains all cases in one job, the rendered one of the first case; leaves a folder per case."""
    listed = []
    for case in cases:
        place = folder / case.name
        place.mkdir(parents=True)
        recipe = load_recipe(recipe_of(case))
        plan = make_plan(recipe)
        bundle = render(recipe, plan).placed(str(place))
        files = {**bundle.files, "plan.json": json.dumps(plan.to_dict())}
        for name, text in files.items():
            (place / name).write_text(text)
        listed.append(
            {
                "folder": str(place),
                "optimizer": case.optimizer,
                "scalar": case.scalar,
                "save": case.save,
                "resume": case.resume,
            }
        )
        if len(listed) == 1:
            command = bundle.commands[0]
    path = folder / "cases.json"
    path.write_text(json.dumps(listed))
    argv = [str(path) if word == "cases.json" else word for word in command.argv]
    # the environment's own ninja: DeepSpeed compiles its operator anew whenever another version of ninja comes along
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run_job(argv, env={**os.environ, "PATH": path, **command.env}, cwd=HERE, seconds=LAUNCH_SECONDS)


def run_job(argv: list[str], *, env: dict[str, str], cwd: Path, seconds: float) -> str:
    """Output of a job that must end well; its whole process group ends with it."""
    job = subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = job.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert job.returncode == 0, output[-6000:]
    return output


def resuming(saved: Case, *, micro: int, accumulation: int, ranks: int, state: Path) -> Case:
    """The same training, going on from a state at another split."""
    return replace(saved, micro=micro, accumulation=accumulation, ranks=ranks, save=None, resume=str(state))
