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

PLANS = sample_plans()
SCRIPTS = Path(__file__).parent / "scripts"
GIVEN = [word.replace("{{", "{").replace("}}", "}") for word in HOSTILE]


def run(bundle, *, workdir, seconds=300):
    """Starts the one command with nothing in its environment but what was rendered, PATH and HOME."""
    (command,) = bundle.commands
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    env = {"PATH": path, "HOME": os.environ["HOME"], **command.env}
    process = subprocess.Popen(
        command.argv,
        env=env,
        cwd=workdir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output.decode(errors="replace")


@pytest.mark.parametrize(
    ("engine", "case"),
    [
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
    plan = changed(PLANS[case], launch=launch)
    bundle = find_plugin("launcher.engines", engine).render(plan, ["localhost"]).placed(str(folder))
    for name, text in {**bundle.files, "plan.json": json.dumps(plan.to_dict(), indent=1)}.items():
        (folder / name).write_text(text)

    code, output = run(bundle, workdir=SCRIPTS)

    assert code == 0, output
    seen = [json.loads(path.read_text()) for path in sorted(folder.glob("seen.*.json"))]
    assert [rank["rank"] for rank in seen] == list(range(plan.layout.world_size))
    for rank in seen:
        assert rank["world_size"] == rank["seen_by_engine"] == plan.layout.world_size
        assert rank["argv"] == ["show_world.py", *GIVEN]
        assert rank["plan"] == f"{folder}/plan.json"
        assert rank["lines"] == "a\n$(id) 'b'"
        assert rank["threads"] == "1"
        assert (rank["path"], rank["folder"]) == (str(SCRIPTS), str(SCRIPTS))
