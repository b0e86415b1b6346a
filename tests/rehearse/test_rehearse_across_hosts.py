"""A rehearsal goes the way a run goes: over ssh and over Slurm, with two hosts of one rank each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest


def rehearse(recipe, *options, environ, folder):
    """`batchwright rehearse` in a process of its own."""
    command = [Path(sys.executable).with_name("batchwright"), "rehearse", recipe, "--json", *options]
    ran = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=240
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.real
@pytest.mark.parametrize("executor", ["ssh", "slurm"])
def test_two_hosts_rehearse_the_quickstart(lab, place, executor):
    """Every part passes; each host has its own peak, and nothing of the rehearsal stays, on no host."""
    recipe = place.quickstart()
    text = recipe.read_text()
    text = text.replace("  nodes: 1\n  devices_per_node: 2\n", "  nodes: 2\n  devices_per_node: 1\n")
    text = text.replace("launch:\n", f"launch:\n  executor: {executor}\n  python: {sys.executable}\n")
    if executor == "ssh":
        text = re.sub(r"(\n  device: cpu\n)", r"\1  hostfile: ../hostfile\n", text)
        lab.hostfile(place.folder)
    recipe.write_text(text)
    environ = lab.ssh_environ() if executor == "ssh" else lab.slurm_environ()
    found = rehearse(recipe, environ=environ, folder=place.folder)
    assert {(part["name"], part["verdict"]) for part in found["parts"]} == {
        (name, "passed")
        for name in (
            *("longest batch", "optimizer steps", "evaluation", "save", "reload", "step 3 again"),
            *("memory of a rank", "memory of a node"),
        )
    }
    assert found["where"].startswith("rehearsed quickstart at its real size: 2 ranks on 2 nodes")
    assert found["host_bytes"] == found["peak_bytes"]  # one process on each
    assert not (place.folder / "runs").exists()
    lab.wait_empty()
