"""`batchwright advise RUN` on the folder of a real run of two ranks, too short and then long enough."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    *(
        "global_batch_size=16",
        "micro_batch_size=4",
        "sequence_length=16",
        "hidden_size=32",
        "model.num_layers=1",
    ),
    *("model.num_attention_heads=2", "schedule.length=210 steps", "evaluation.every=210 steps"),
    *("checkpoint.every=210 steps", f"launch.python={sys.executable}"),
)


def batchwright(*words):
    """A command in a process of its own, which goes with all its children."""
    code = "from launcher.cli.main import main; raise SystemExit(main())"
    job = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = job.communicate(timeout=240)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    return job.returncode, printed


def advised(folder):
    out, err = io.StringIO(), io.StringIO()
    code = main(["advise", str(folder), "--json"], environ={}, stdout=out, stderr=err)
    assert code == 0, err.getvalue()
    return json.loads(out.getvalue())


@pytest.mark.real
def test_a_real_run_is_advised_on(tmp_path):
    """Fewer than 200 measurements say nothing; 210 give batches of 2 ranks x 4 sequences, or why they do not."""
    folder = tmp_path / "run"
    words = [word for setting in SMALL for word in ("--set", setting)]
    recipe = "recipes/quickstart/cpu-1x2.yaml"
    code, printed = batchwright("run", recipe, "--no-selftest", "--no-preflight", "--run-dir", folder, *words)
    assert code == 0, printed
    report = advised(folder)
    assert (report["measurements"], report["step"], report["mode"]) == (210, 210, "micro-batches")
    assert report["low"] < report["noise_scale"]
    plan_before = (folder / "plan.json").read_bytes()
    if report["unresolved"]:
        assert "95 % interval" in report["unresolved"]
        assert report["candidates"] == []
    else:
        sizes = [each["global_batch_size"] for each in report["candidates"]]
        assert 16 in sizes
        assert all(size % 8 == 0 for size in sizes)
    lines = (folder / "noise.jsonl").read_text().splitlines(keepends=True)
    (folder / "noise.jsonl").write_text("".join(lines[:150]))
    report = advised(folder)
    assert report["measurements"] == 150
    assert "200" in report["unresolved"]
    assert report["candidates"] == []
    assert (folder / "plan.json").read_bytes() == plan_before
