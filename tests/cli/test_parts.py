"""A run in parts on the command line: what is asked for, what is refused, and in what words."""

import io
import os
import sys
from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.cli.main import build_parser, main
from launcher.cli.part_runs import run_parts
from launcher.cli.surroundings import Surroundings
from launcher.errors import HandoffError

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

    from launcher.api import plan as make_plan
    from launcher.planning.stages.restarting import part_of

    plan = make_plan(part_of(load_recipe(folder.parent / "parts.yaml"), stage=1))
    folder.mkdir()
    status = {"state": "done", "started": "2026-11-22T10:00:00Z", "ended": "2026-11-22T10:00:00Z"}
    for name, content in (("plan.json", plan.to_dict()), ("status.json", status), ("bundle.json", {})):
        (folder / name).write_text(json.dumps(content))


class Starts:
    """Stands for the jobs: each leaves a checkpoint, or does not, and ends with a code."""

    def __init__(self, *codes, saving=True):
        self.codes, self.saving, self.seen = list(codes), saving, []

    def __call__(self, recipe, order, directory, again):
        self.seen.append((directory.name, order.plan.part.number, recipe.launch.args, again))
        if self.saving:
            (directory / "kept").mkdir(parents=True)
            (directory / "kept" / f"{order.plan.part.last_step}.pt").write_text("state")
        return self.codes.pop(0)


def in_parts(folder, starts, recipe):
    """Exit code and errors of a run in parts, whose jobs are `starts`."""
    (folder / "parts.yaml").write_text(recipe)
    err = io.StringIO()
    around = Surroundings(
        environ={"PATH": ""}, stdout=io.StringIO(), stderr=err, argv=(), beside=Path(sys.executable).parent
    )
    words = ["run", "parts.yaml", "--set", "seed=3", "--run-dir", str(folder / "RUN")]
    code = run_parts(
        build_parser().parse_args(words),
        load_recipe(folder / "parts.yaml", overrides=["seed=3"]),
        around,
        start=starts,
        check=lambda order: None,
    )
    return code, err.getvalue()


def test_each_part_goes_on_from_the_one_before(said, tmp_path):
    """The second job gets the first one's checkpoint in the words of resume.args, and a folder beside it."""
    starts = Starts(0, 0)
    code, _ = in_parts(tmp_path, starts, RECIPE + RESUME + SAVES)
    assert code == 0
    kept = str(tmp_path / "RUN" / "kept" / "10.pt")
    assert starts.seen == [("RUN", 1, (), False), ("RUN-part2", 2, ("--resume", kept), True)]


def test_a_part_that_fails_is_the_last_one(said, tmp_path):
    """Its exit code is that of the command, and going on takes what it has left itself, or the part before it."""
    starts = Starts(7)
    code, err = in_parts(tmp_path, starts, RECIPE + RESUME + SAVES)
    assert (code, len(starts.seen)) == (7, 1)
    assert "parts   0 of 2 done, part 1 was not\n" in err
    assert "next    batchwright run parts.yaml --set seed=3 --stage 1 --resume RUN\n" in err
    code, err = in_parts(tmp_path, Starts(130, saving=False), RECIPE + RESUME + SAVES.replace("kept", "none"))
    assert code == 130
    assert err.endswith("--stage 1\n")


def test_a_part_that_saves_nothing_is_not_gone_on_from(said, tmp_path):
    """A job that ends well without a checkpoint ends the run, in words."""
    starts = Starts(0, saving=False)
    code, err = in_parts(tmp_path, starts, RECIPE + RESUME + SAVES)
    assert (code, len(starts.seen)) == (1, 1)
    assert "part 1 of 2 has left no checkpoint in `kept` of its run folder or of the script's" in err


def test_a_checkpoint_of_another_run_is_not_taken(said, tmp_path):
    """What lay in the script's own folder before the part began is not its checkpoint."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old.pt").write_text("state")
    os.utime(tmp_path / "kept" / "old.pt", (1, 1))
    code, _ = in_parts(tmp_path, Starts(0, saving=False), RECIPE + RESUME + SAVES)
    assert code == 1


def test_other_machines_may_mean_another_precision(said, tmp_path):
    """What is not written follows the machines: bf16 on a GPU and fp32 on a CPU are two trainings."""
    recipe = RECIPE.replace("{devices_per_node: 1}", "{device: h100-sxm-80gb, devices_per_node: 1}")
    with pytest.raises(HandoffError) as refused:
        in_parts(tmp_path, Starts(), recipe + RESUME + SAVES)
    (problem,) = refused.value.problems
    assert problem.code == "stage-changes-the-training"
    assert problem.because == ("precision fp32 in stage 1, bf16 in stage 2",)
