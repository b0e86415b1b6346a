"""What this process was told about its job. The only file of the runtime that reads the environment."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchwright_witness.probing import ProbeOrder, probe_order
from launcher.errors import Problem, WorldError
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan

__all__ = ["World", "read_plan", "read_world", "run_folder"]

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Ranks as the engine's launcher wrote them into the environment; `None` where it wrote nothing."""

    rank: int
    local_rank: int
    world_size: int | None
    """WORLD_SIZE; processes of the whole job."""
    host: str
    node: str
    """Host name, and the node's rank where the launcher says it (two nodes may share a host)."""
    folder: Path
    """The run folder: BATCHWRIGHT_RUN, or the plan's own."""
    plan_hash: str | None
    """BATCHWRIGHT_PLAN_HASH: the plan that whoever started the job meant."""
    visible_devices: str
    """CUDA_VISIBLE_DEVICES or its twins, as written."""
    probe: ProbeOrder | None = None
    """What `batchwright probe` asks for; None in every other job."""


def read_world(environ: Mapping[str, str] | None = None) -> World:
    """This process's place in the job. Raises WorldError[plan-not-found] without LAUNCHER_PLAN."""
    env = _environment(environ)
    size = env.get("WORLD_SIZE")
    # torchrun and accelerate write GROUP_RANK, DeepSpeed writes CROSS_RANK
    # Source: torch@2.13.0 torch/distributed/elastic/agent/server/local_elastic_agent.py:_start_workers;
    # deepspeed@0.19.8 deepspeed/launcher/launch.py:main
    node_rank = env.get("GROUP_RANK", env.get("CROSS_RANK", ""))
    host = socket.gethostname()
    return World(
        rank=int(env.get("RANK", "0")),
        local_rank=int(env.get("LOCAL_RANK", "0")),
        world_size=int(size) if size else None,
        host=host,
        node=f"{host} (node {node_rank})" if node_rank else host,
        folder=run_folder(env),
        plan_hash=env.get("BATCHWRIGHT_PLAN_HASH") or None,
        visible_devices=env.get("CUDA_VISIBLE_DEVICES", env.get("HIP_VISIBLE_DEVICES", "")),
        probe=probe_order(env),
    )


def run_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Folder of this run: log, checkpoints and rendered files. BATCHWRIGHT_RUN, or where the plan lies."""
    env = _environment(environ)
    return Path(env["BATCHWRIGHT_RUN"]) if env.get("BATCHWRIGHT_RUN") else _plan_path(env).parent


def read_plan(environ: Mapping[str, str] | None = None) -> RunPlan:
    """The plan named by LAUNCHER_PLAN. Raises WorldError[plan-not-found], [plan-unreadable]."""
    path = _plan_path(_environment(environ))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["plan_version"] != PLAN_VERSION:
            raise _unreadable(path, f"it is version {data['plan_version']}, this is version {PLAN_VERSION}")
        return from_plain(RunPlan, data)
    except OSError as error:
        raise _not_found(f"LAUNCHER_PLAN names `{path}`, which cannot be read: {error.strerror}") from None
    except WorldError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None


def _environment(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ  # noqa: TID251


def _plan_path(env: Mapping[str, str]) -> Path:
    path = env.get("LAUNCHER_PLAN")
    if not path:
        raise _not_found("this script was started without a plan: LAUNCHER_PLAN is not set")
    return Path(path)


def _unreadable(path: Path, why: str) -> WorldError:
    hint = "render it again with the version that is installed here"
    return WorldError(
        [Problem(code="plan-unreadable", message=f"`{path}` is not a plan", because=(why,), hint=hint)]
    )


def _not_found(message: str) -> WorldError:
    recipe = _recipe_beside(sys.argv[0] if sys.argv else "")
    hint = f"batchwright run {recipe}, or the command that `batchwright render {recipe} -o DIR` prints"
    return WorldError([Problem(code="plan-not-found", message=message, hint=hint)])


def _recipe_beside(script: str) -> str:
    """The one recipe beside the script that starts it, or the word RECIPE."""
    path = Path(script)
    if path.suffix != ".py":
        return "RECIPE"
    starts = re.compile(rf"^ +script: +{re.escape(path.name)}\s*$", re.MULTILINE)
    found = [
        recipe for recipe in path.parent.glob("*.yaml") if starts.search(recipe.read_text(errors="replace"))
    ]
    return str(found[0]) if len(found) == 1 else "RECIPE"
