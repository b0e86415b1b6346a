"""The record a rank leaves when it ends itself."""

from __future__ import annotations

import json
import stat

from launcher.runtime.ending import record_exit
from launcher.runtime.world import read_world


def test_the_record_names_rank_code_and_reason(tmp_path):
    """One file per rank, whole, readable by its owner only."""
    environ = {"LAUNCHER_PLAN": str(tmp_path / "plan.json"), "RANK": "3", "WORLD_SIZE": "4"}
    path = record_exit(read_world(environ), error="planned 4 ranks, found 3")
    record = json.loads(path.read_text())
    assert path == tmp_path / "ranks" / "3.json"
    assert (record["rank"], record["exit"], record["error"]) == (3, 1, "planned 4 ranks, found 3")
    assert set(record) == {"rank", "host", "exit", "error", "time"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["3.json"]
