"""Scripts of several kinds under the witness: a repository with its own launcher.py, two optimizers, shadows, exits."""

import shutil
import sys
from pathlib import Path

import pytest
from launching import SCRIPTS, recipe, run, start_engine
from plan_by_hand import plan_by_hand, write_plan

import batchwright_witness

ONE = {"ranks": 1, "micro": 4, "accumulation": 1}


def under_witness(folder, *words, env=None, **plan):
    """One process without an engine; the folder's plan is made by hand."""
    path = write_plan(plan_by_hand(**{**ONE, **plan}), folder)
    return run(
        [sys.executable, "-m", "batchwright_witness", "--plan", str(path), *words], folder, env=env or {}
    )


def written(folder, name, text):
    """A file of the repository under training."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.real
def test_a_repository_with_its_own_launcher(tmp_path):
    """Script and spawned DataLoader workers get the repository's launcher.py, and nothing of ours is loaded."""
    ended = under_witness(tmp_path, str(SCRIPTS / "own_launcher" / "train.py"), peak=0.125)
    assert ended.code == 0, ended.output
    assert "ours: []" in ended.output
    assert "samples from workers with the own launcher: 48" in ended.output
    assert ended.witness["samples_per_step"] == 4
    assert ended.witness["learning_rate"] == "as planned"


@pytest.mark.real
@pytest.mark.parametrize(("rate", "code"), [("0.001", 0), ("0.003", 1)])
def test_two_optimizers(rate, code, tmp_path):
    """One of two optimizers has to be the plan's; neither: both ranks stop."""
    more = {"micro_batch_size": 4, "gradient_accumulation_steps": 1, "schedule": {"length": "100 steps"}}
    ended = start_engine(recipe("torchrun", SCRIPTS / "gan.py", [rate], **more), tmp_path / "run")
    assert [rank["exit"] for rank in ended.ranks] == [code] * 2, ended.output
    if code == 0:
        assert ended.witness["learning_rate"] == "as planned"
        assert [each["samples_per_step"] for each in ended.witness["optimizers"]] == [8, 8]
        assert (
            "optimizer 1 of 2: planned learning rate 0.001 at optimizer step 1, found 0.004" in ended.output
        )
    else:
        assert "found 0.003, in any of its optimizers [learning-rate-differs]" in ended.output


@pytest.mark.real
def test_what_cannot_be_seen_is_said(tmp_path):
    """A model without DataLoader and wrapper shows its steps and its rate; its samples are said to be unseen."""
    script = written(
        tmp_path,
        "train.py",
        "import torch\nmodel = torch.nn.Linear(4, 1)\noptimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)\n"
        "for step in range(4):\n    model(torch.ones(4, 4)).sum().backward()\n    optimizer.step()\n",
    )
    ended = under_witness(tmp_path, script, peak=1e-3)
    assert ended.code == 0, ended.output
    assert "could not see samples per optimizer step: no DataLoader and no DDP" in ended.output
    assert ended.witness["learning_rate"] == "as planned"
    assert [line["samples"] for line in ended.log[:-1]] == [None] * 4


@pytest.mark.real
def test_skipped_steps_and_compiled_models(tmp_path):
    """Samples of a step that the gradient scaler left out belong to no other; torch.compile traces the hooks away."""
    ended = under_witness(tmp_path, str(SCRIPTS / "scaled.py"), peak=1e-3, warmup_steps=16, accumulation=2)
    assert ended.code == 0, ended.output
    assert "skipped 3 of 8" in ended.output
    assert ended.witness["optimizer_steps"] == 5
    assert ended.witness["learning_rate"] == "as planned"
    assert ended.witness["samples_per_step"] == 8
    assert ended.witness["unseen"] == ended.witness["departures"] == []


@pytest.mark.real
def test_a_resumed_optimizer_goes_on_in_its_curve(tmp_path):
    """The optimizer's own step count says where the curve goes on, and warning only leaves the training alone."""
    script = str(SCRIPTS / "resumed.py")
    ended = under_witness(tmp_path, script, "1e-3", peak=1e-3, warmup_steps=8)
    assert ended.code == 0, ended.output
    assert [line["step"] for line in ended.log[:-1]] == [5, 6, 7, 8]
    assert ended.witness["learning_rate"] == "as planned"
    ended = under_witness(
        tmp_path, script, "2e-3", peak=1e-3, warmup_steps=8, env={"BATCHWRIGHT_WITNESS": "warn"}
    )
    assert ended.code == 0
    assert (
        "planned learning rate 0.000625 at optimizer step 5, found 0.00125 [learning-rate-differs]"
        in ended.output
    )
    assert "batchwright witness: planned learning rate" in ended.output
    assert ended.log[-2]["step"] == 8


@pytest.mark.parametrize("name", ["launcher.py", "launcher/__init__.py"])
def test_a_shadow_of_the_runtime(name, tmp_path):
    """A script that uses our runtime beside a file of that name is refused before its first line."""
    written(tmp_path, name, "")
    script = written(tmp_path, "train.py", "print('first line')\n")
    ended = under_witness(tmp_path, script, runtime=True)
    assert ended.code == 1
    assert "[shadowed-launcher]" in ended.output
    assert str(tmp_path / name) in ended.output
    assert "first line" not in ended.output
    assert under_witness(tmp_path, script, runtime=False).code == 0


EXITS = {
    "the end": ("pass", 0, None),
    "sys.exit": ("import sys; sys.exit(17)", 17, "sys.exit(17)"),
    "sys.exit with words": ("import sys; sys.exit('no data')", 1, "no data"),
    "an exception": ("1 / 0", 1, "ZeroDivisionError: division by zero"),
    "a forked child": (
        "import os, sys\nif os.fork() == 0: sys.exit(5)\nos.wait(); assert not os.path.exists('ranks/0.json'); sys.exit(6)",
        6,
        "sys.exit(6)",
    ),
}


@pytest.mark.parametrize("how", EXITS)
def test_exits_are_recorded(how, tmp_path):
    """The rank's own exit code and words are kept, and the process ends as Python alone would end it."""
    text, code, error = EXITS[how]
    script = written(tmp_path, "train.py", text)
    plain = run([sys.executable, script], tmp_path, env={})
    ended = under_witness(tmp_path, script, runtime=True)
    assert (ended.code, ended.output) == (plain.code, plain.output)
    assert ended.code == code
    (rank,) = ended.ranks
    assert (rank["rank"], rank["exit"], rank["error"]) == (0, code, error)


def test_the_script_meets_what_python_gives_it(tmp_path):
    """Arguments, path, `__main__` and its attributes are those of `python SCRIPT` and `python -m PKG.MOD`."""
    text = (
        "import sys, os\nprint(__name__, __file__, __package__, __spec__ and __spec__.name, sys.argv, sys.path[0],"
        " sys.modules['__main__'].__dict__ is globals(), [m for m in sys.modules if m.startswith('launcher')])\n"
    )
    script = written(tmp_path, "deep/train.py", text)
    written(tmp_path, "package/__init__.py", "")
    written(tmp_path, "package/train.py", text)
    for words in ((script, "--plan", "x"), ("deep/train.py", "-m")):
        plain = run([sys.executable, *words], tmp_path, env={})
        assert plain.code == 0
        assert under_witness(tmp_path, *words, runtime=True).output == plain.output
    plain = run([sys.executable, "-m", "package.train", "a b"], tmp_path, env={})
    ended = under_witness(tmp_path, "--module", "package.train", "a b", runtime=True)
    assert ended.output == plain.output


def test_a_regular_installation(tmp_path):
    """Installed beside each other or editable: `launcher` is the one beside the witness, whatever the folder holds."""
    home = Path(batchwright_witness.__file__).parent.parent
    for package in ("launcher", "batchwright_witness"):
        shutil.copytree(
            home / package, tmp_path / "site" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    script = written(tmp_path, "code/train.py", "import launcher\nprint(launcher.__file__)\n")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    ended = under_witness(tmp_path, script, runtime=True, env=env)
    assert ended.output.strip() == str(tmp_path / "site" / "launcher" / "__init__.py")
