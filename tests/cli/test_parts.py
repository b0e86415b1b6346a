"""A run in parts on the command line: what is asked for, what is refused, and in what words."""

import io
from pathlib import Path

import pytest

from launcher.cli.main import main

MESSAGES = Path(__file__).parent / "messages"
RECIPE = """\
name: parts
global_batch_size: 16
sequence_length: 32
hidden_size: 64
schedule: {length: 320 samples}
stages:
  - {until: 80 samples, global_batch_size: 8}
  - {global_batch_size: 16, cluster: {devices_per_node: 1}, parallel: {data: {strategy: ddp}}}
cluster: {devices_per_node: 2, device: cpu}
launch: {script: train.py, runtime: true}
"""
RESUME = 'resume: {args: ["--resume", "{latest_checkpoint}"]}\n'
SAVES = "checkpoint: {directory: kept}\n"


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Exit code, output and errors of a command on the recipe in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("")

    def say(command, *words, recipe=RECIPE + RESUME + SAVES):
        (tmp_path / "parts.yaml").write_text(recipe)
        out, err = io.StringIO(), io.StringIO()
        code = main([command, "parts.yaml", *words], environ={"PATH": ""}, stdout=out, stderr=err)
        return code, out.getvalue(), err.getvalue()

    return say


def test_a_part_is_shown(said):
    """`plan --stage 2` is the plan of the job that trains that stage, and says from where it goes on."""
    code, out, _ = said("plan", "--stage", "2")
    assert code == 0
    assert "1 x CPU (1 node x 1)" in out
    assert "this job is part 2 of 2: stage 2, steps 11-25, from the checkpoint of step 10" in out
    assert "next    batchwright run parts.yaml --stage 2 --resume RUN" in out


def test_the_whole_says_where_it_restarts(said):
    """`plan` without --stage shows all stages, and which of them another job begins with."""
    code, out, _ = said("plan")
    assert code == 0
    assert "stage 2 of 2 has other cluster than the one before" in " ".join(out.split())
    assert "next    batchwright run parts.yaml\n" in out


@pytest.mark.parametrize("command", ["plan", "render", "run"])
def test_a_stage_that_is_not_there(said, command):
    """Wrong usage, with the stages that there are."""
    code, _, err = said(command, "--stage", "3")
    assert (code, err) == (2, f"batchwright {command}: --stage 3: this recipe has stages 1 to 2\n")


def test_a_part_is_rendered(said):
    """The command of a part is for its own machines; whoever starts it by hand is told of the checkpoint."""
    code, out, err = said("render", "--stage", "2", "-o", "job")
    assert code == 0
    assert "--nproc_per_node 1" in out
    assert "the script goes on from the checkpoint of step 10" in err
    assert "[stage-needs-a-restart]" in said("render")[2]


def test_every_part_is_shown_before_any_is_started(said):
    """A dry run has the commands of both jobs, and a folder of its own for each."""
    code, out, _ = said("run", "--dry-run", "--run-dir", "kept")
    assert code == 0
    assert out.index("part    1 of 2: stage 1, steps 1 to 10") < out.index(
        "part    2 of 2: stage 2, steps 11 to 25"
    )
    assert "--nproc_per_node 2" in out
    assert "train.py --resume '{latest_checkpoint}'" in out
    assert "kept-part2" in out


@pytest.mark.parametrize(
    ("name", "words", "recipe"),
    [
        ("restart-without-resume", [], RECIPE),
        ("executor-cannot", ["--detach"], RECIPE + RESUME + SAVES),
        ("checkpoint-not-found", ["--stage", "2", "--resume", "earlier"], RECIPE + RESUME + SAVES),
    ],
)
def test_nothing_is_started(said, name, words, recipe, tmp_path):
    """What keeps the parts from following each other is said before the first of them starts."""
    if name == "checkpoint-not-found":
        said("plan", recipe=recipe)
        left_nothing(tmp_path / "earlier")
    code, _, err = said("run", *words, recipe=recipe)
    assert code == 78
    assert err == (MESSAGES / f"{name}.txt").read_text()


def test_which_part_goes_on_has_to_be_said(said):
    """--resume without --stage: a checkpoint does not say which part it begins."""
    code, _, err = said("run", "--resume", "earlier")
    assert code == 2
    assert "say with --stage N which part goes on" in err


def left_nothing(folder):
    """The folder of a run that was started and saved nothing."""
    import json

    from launcher import load_recipe
    from launcher.api import plan as make_plan
    from launcher.planning.stages.restarting import part_of

    plan = make_plan(part_of(load_recipe(folder.parent / "parts.yaml"), stage=1))
    folder.mkdir()
    status = {"state": "done", "started": "2026-11-22T10:00:00Z", "ended": "2026-11-22T10:00:00Z"}
    for name, content in (("plan.json", plan.to_dict()), ("status.json", status), ("bundle.json", {})):
        (folder / name).write_text(json.dumps(content))
