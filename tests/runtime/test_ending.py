"""What a rank leaves behind when the runtime ends it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

SCRIPT = """
from launcher.runtime.ending import leave
from launcher.runtime.world import read_world
print("a line without an end", end="")
leave(read_world(), error="planned 4 ranks, found 3")
"""


def test_it_ends_with_one_and_its_record(tmp_path):
    """Exit code 1, what was printed is out, and one file per rank, whole, readable by its owner only."""
    environ = {"LAUNCHER_PLAN": str(tmp_path / "plan.json"), "RANK": "3", "WORLD_SIZE": "4"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "a line without an end")
    (path,) = (tmp_path / "ranks").iterdir()
    record = json.loads(path.read_text())
    assert path.name == "3.json"
    assert (record["rank"], record["exit"], record["error"]) == (3, 1, "planned 4 ranks, found 3")
    assert set(record) == {"rank", "host", "exit", "error", "time"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_run_folder_that_cannot_be_written_does_not_hide_the_exit(tmp_path):
    """Without a place for the record the code is still 1, and there is no traceback over the words."""
    (tmp_path / "ranks").write_text("a file where the folder would be")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "LAUNCHER_PLAN": str(tmp_path / "plan.json")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (1, "")
