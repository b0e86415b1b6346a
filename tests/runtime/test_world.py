"""What a process reads about its job, and what it says when nobody told it anything."""

from __future__ import annotations

import json
import sys

import pytest

from launcher.errors import WorldError
from launcher.runtime import read_plan, run_folder
from launcher.runtime.world import read_world


def test_the_plan_comes_back_whole(plan_of, environ_of):
    """What plan.json holds is the plan that was written."""
    plan = plan_of(ranks=2)
    assert read_plan(environ_of(plan)) == plan


def test_without_a_plan_the_message_is_the_command(monkeypatch, tmp_path, message):
    """A script that was started by hand is told how to be started, with the recipe beside it."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    (tmp_path / "small.yaml").write_text("launch:\n  script: train.py\n")
    (tmp_path / "other.yaml").write_text("launch:\n  script: evaluate.py\n")
    with pytest.raises(WorldError) as error:
        read_plan({})
    message("plan-not-found", error.value, FOLDER=tmp_path)


@pytest.mark.parametrize("argv", [[], ["-c"], ["train.py"]])
def test_without_one_recipe_the_command_names_none(monkeypatch, tmp_path, argv):
    """Several recipes or none: the hint stays general."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(WorldError, match="batchwright run RECIPE, or"):
        read_plan({})


def test_a_plan_that_is_gone(tmp_path):
    """A path that cannot be read is named with the reason."""
    with pytest.raises(WorldError, match=r"gone\.json`, which cannot be read: No such file") as error:
        read_plan({"LAUNCHER_PLAN": str(tmp_path / "gone.json")})
    assert error.value.problems[0].code == "plan-not-found"


def test_another_version_of_the_plan(tmp_path, message):
    """A plan of another version is not guessed at."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"plan_version": 2}))
    with pytest.raises(WorldError) as error:
        read_plan({"LAUNCHER_PLAN": str(path)})
    message("plan-unreadable", error.value, FOLDER=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan_version": 1}', "\udc80"])
def test_damaged_plans(tmp_path, text):
    """Half a file, another shape, missing keys: one code, no traceback of ours."""
    path = tmp_path / "plan.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WorldError) as error:
        read_plan({"LAUNCHER_PLAN": str(path)})
    assert error.value.problems[0].code == "plan-unreadable"


def test_ranks_as_the_launchers_write_them(tmp_path):
    """Torchrun says GROUP_RANK and DeepSpeed CROSS_RANK: two nodes on one host are two nodes."""
    base = {"LAUNCHER_PLAN": str(tmp_path / "plan.json")}
    lone = read_world(base)
    assert (lone.rank, lone.local_rank, lone.world_size) == (0, 0, None)
    ranks = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
    first, second = (read_world({**base, **ranks, name: "1"}) for name in ("GROUP_RANK", "CROSS_RANK"))
    assert first == second
    assert (first.rank, first.local_rank, first.world_size) == (3, 1, 4)
    assert first.node == f"{first.host} (node 1)"


def test_the_run_folder(tmp_path):
    """BATCHWRIGHT_RUN where it is set, else the plan's folder."""
    environ = {"LAUNCHER_PLAN": str(tmp_path / "a" / "plan.json")}
    assert run_folder(environ) == tmp_path / "a"
    assert run_folder({**environ, "BATCHWRIGHT_RUN": str(tmp_path)}) == tmp_path
