"""Rendered bundles, executed by their printed words and environment alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.testing import HOSTILE, changed, sample_plans

pytestmark = pytest.mark.real

SCRIPTS = Path(__file__).parent / "scripts"
PLANS = sample_plans()
GIVEN = [word.replace("{{", "{").replace("}}", "}") for word in HOSTILE]


def run(bundle, *, workdir, seconds=300):
    """Starts every command with nothing in its environment but what was rendered, PATH and HOME."""
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    started = [
        subprocess.Popen(
            command.argv,
            env={"PATH": path, "HOME": os.environ["HOME"], **command.env},
            cwd=workdir,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for command in bundle.commands
    ]
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in started]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return [process.returncode for process in started], b"".join(outputs).decode(errors="replace")


def two_nodes(plan):
    """Two nodes of one process each, on this machine: the ranks and their batch stay the same."""
    return changed(plan, layout={"num_nodes": 2, "devices_per_node": 1}, launch={"main_address": "auto"})


@pytest.mark.parametrize(
    ("engine", "case"),
    [
        ("torchrun", "cpu-2x1"),
        ("accelerate", "cpu-2x1"),
        ("deepspeed", "cpu-2x1"),
        ("torchrun", "cpu-1x2"),
        ("accelerate", "cpu-1x2"),
        ("accelerate", "cpu-1x1"),
        ("deepspeed", "cpu-1x2"),
        ("deepspeed", "cpu-1x2-zero2"),
    ],
)
def test_the_ranks_that_see_each_other_are_the_planned_ones(engine, case, tmp_path):
    """torch.distributed's world size is the plan's, and every hostile argument arrives byte for byte on every rank."""
    env = {"SHOW_ENGINE": engine, "SHOW_LINES": "a\n$(id) 'b'"}
    if engine == "deepspeed":
        env["SHOW_CONFIG"] = "{deepspeed_config}"
    folder = tmp_path / "a run 'x'"
    folder.mkdir()
    launch = {
        "script": "show_world.py",
        "args": HOSTILE,
        "env": env,
        "workdir": str(SCRIPTS),
        "engine": engine,
    }
    plan = changed(two_nodes(PLANS["cpu-1x2"]) if case == "cpu-2x1" else PLANS[case], launch=launch)
    hosts = ["localhost"] * plan.layout.num_nodes
    bundle = find_plugin("launcher.engines", engine).render(plan, hosts)
    bundle = bundle.placed(str(folder), python=sys.executable)
    for name, text in {**bundle.files, "plan.json": json.dumps(plan.to_dict(), indent=1)}.items():
        (folder / name).write_text(text)

    codes, output = run(bundle, workdir=SCRIPTS)

    assert set(codes) == {0}, output
    seen = [json.loads(path.read_text()) for path in sorted(folder.glob("seen.*.json"))]
    assert [rank["rank"] for rank in seen] == list(range(plan.layout.world_size))
    for rank in seen:
        assert rank["world_size"] == rank["seen_by_engine"] == plan.layout.world_size
        assert rank["argv"] == ["show_world.py", *GIVEN]
        assert rank["plan"] == f"{folder}/plan.json"
        assert rank["lines"] == "a\n$(id) 'b'"
        assert rank["threads"] == "1"
        assert (rank["path"], rank["folder"]) == (str(SCRIPTS), str(SCRIPTS))
