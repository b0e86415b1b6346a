"""A self-test at the process boundary, with a fake engine: what is tried, what is made of it, and when `run` asks."""

import json

import pytest

ENGINE = """\
#!{python} -S
import json, os, pathlib, sys
record = pathlib.Path(os.environ["FAKE_RECORD"])
plan = json.loads(pathlib.Path(os.environ["BATCHWRIGHT_RUN"], "plan.json").read_text())
number = len(record.read_text().splitlines()) if record.exists() else 0
is_trial = "BATCHWRIGHT_PROBE_STEPS" in os.environ
with record.open("a") as stream:
    stream.write(json.dumps([is_trial, plan["batch"]["micro_batch_size"], plan["optimizer"]["gradient_clipping"]]) + "\\n")
if is_trial and plan["stages"]:
    sys.exit("a trial of one batch has stages")
if not is_trial:
    sys.exit(0)
norm = {norms}[number]
ranks = pathlib.Path(os.environ["BATCHWRIGHT_RUN"], "ranks")
ranks.mkdir()
for rank in range(2):
    step = {{"gradient_norm": norm, "gradient_squares": 0.0}}
    seen = {{"steps": [step], "dropout": {dropout}}}
    probe = {{"steps": 1, "peak_bytes": 1, "versions": {{}}, "files": [], "inspected": seen}}
    end = {{"rank": rank, "host": "here", "exit": 0, "error": None, "time": 1.0, "probe": probe}}
    if norm is None:
        end.update(exit=1, error="MemoryError")
    (ranks / f"{{rank}}.json").write_text(json.dumps(end))
sys.exit(norm is None)
"""


@pytest.fixture
def selftest(jobs):
    """Runs `batchwright selftest` where the engine's trials have these gradient norms, one after the other."""

    def run(*options, norms, dropout=0.0, command="selftest"):
        jobs.put("torchrun", ENGINE.format(python=jobs.bin / "python", norms=list(norms), dropout=dropout))
        words = jobs.words
        jobs.words = lambda *more, **rest: [
            command if word == "run" else word for word in words(*more, **rest)
        ]
        try:
            return jobs.run(*options)
        finally:
            jobs.words = words

    return run


def tried(jobs):
    """Micro-batch of every trial; None for the run itself."""
    return [micro if is_trial else None for is_trial, micro, _ in jobs.starts()]


def test_the_whole_share_of_a_rank_is_the_other_split(jobs, selftest):
    """12 sequences on 2 ranks: micro 3 x 2 against 6 x 1, and no more where they agree; nothing is clipped."""
    clipping = ("--set", "micro_batch_size=3", "--set", "optimizer.gradient_clipping=1.0")
    ran = selftest("--json", *clipping, norms=(2.0, 2.0001))
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["verdict"]) == (0, "passed"), ran.stderr
    assert tried(jobs) == [3, 6]
    assert found["ratio"] == pytest.approx(2.0 / 2.0001)
    assert all(bound > 1e20 for *_, bound in jobs.starts())
    assert jobs.runs() == []


def test_stages_are_left_out(jobs, selftest):
    """The first steps of a run with stages hold another batch than the one whose splits are compared."""
    stages = "stages=[{until: 8 samples, global_batch_size: 2}, {}]"
    ran = selftest("--set", stages, "--set", "launch.runtime=true", norms=(2.0, 2.0))
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs) == [6, 3]


def test_one_micro_batch_is_cut_smaller(jobs, selftest):
    """Where the plan has no accumulation, the largest smaller divisor is the other split."""
    ran = selftest("--set", "micro_batch_size=6", norms=(2.0, 2.0))
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs) == [6, 3]


def test_a_split_that_does_not_fit_gives_way_to_the_next(jobs, selftest):
    """Out of memory is no answer; the next smaller micro-batch is tried."""
    ran = selftest("--set", "micro_batch_size=2", norms=(2.0, None, 2.0))
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs) == [2, 6, 3]


def test_a_gradient_that_differs_from_itself_is_unclear(jobs, selftest):
    """The first split is tried once more before anybody is accused; the exit code says that there is no answer."""
    ran = selftest("--set", "micro_batch_size=3", norms=(2.0, 3.0, 2.5))
    assert ran.returncode == 1
    assert tried(jobs) == [3, 6, 3]
    assert "unclear: the same split twice has gradient norms 2 and 2.5" in ran.stdout


def test_a_ratio_that_dropout_explains_is_unclear(jobs, selftest):
    """Layers that the script has made count, whatever the recipe says; what is further off has failed."""
    ran = selftest("--set", "micro_batch_size=3", norms=(2.0, 2.1), dropout=0.1)
    assert "unclear: the model has dropout (0.1)" in ran.stdout
    assert tried(jobs) == [3, 6]
    jobs.record.unlink()
    ran = selftest("--set", "micro_batch_size=3", norms=(4.0, 2.0, 4.0), dropout=0.1)
    assert "failed: the gradient grows with accumulation (2 times here)" in ran.stdout
    assert ran.returncode == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("global_batch_size=2", "a rank holds one sequence per optimizer step, which cannot be cut"),
        (
            "model.batch_coupled=[batch_norm]",
            "the model sees how the batch is cut (batch_coupled: batch_norm)",
        ),
    ],
)
def test_nothing_to_compare(jobs, selftest, change, words):
    """Said, not tried."""
    ran = selftest("--set", change, norms=())
    assert ran.returncode == 0, ran.stderr
    assert f"not tested: {words}" in ran.stdout
    assert jobs.starts() == []


def known(jobs, versions):
    """The record of an earlier run."""
    file = jobs.folder / ".batchwright" / "versions.json"
    if versions is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"recipe.yaml": versions}))
    return file


def test_run_compares_after_a_change_and_not_again(jobs, selftest):
    """A passed test goes on to the run and is remembered; the next run has nothing to compare."""
    file = known(jobs, {"torch": "1.0"})
    ran = selftest("--set", "micro_batch_size=3", norms=(2.0, 2.0), command="run")
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs) == [3, 6, None]
    assert "selftest torch 1.0 is now 2." in ran.stderr or "is new" in ran.stderr
    assert json.loads(file.read_text())["recipe.yaml"]["torch"] != "1.0"
    assert selftest("--set", "micro_batch_size=3", norms=(), command="run").returncode == 0
    assert tried(jobs) == [3, 6, None, None]


def test_run_goes_on_where_there_is_no_answer(jobs, selftest):
    """Unclear is no reason to refuse a run; a failed test is, with nothing started and nothing remembered."""
    file = known(jobs, {"torch": "1.0"})
    ran = selftest("--set", "micro_batch_size=3", norms=(2.0, 3.0, 9.0), command="run")
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs)[-1] is None
    jobs.record.unlink()
    known(jobs, {"torch": "1.0"})
    ran = selftest("--set", "micro_batch_size=3", norms=(2.0, 3.0, 2.0), command="run")
    assert ran.returncode == 78
    assert tried(jobs) == [3, 6, 3]
    assert "[selftest-failed]" in ran.stderr
    assert json.loads(file.read_text()) == {"recipe.yaml": {"torch": "1.0"}}


@pytest.mark.parametrize("versions", [None, {"torch": "1.0"}])
def test_run_does_not_compare_without_need(jobs, selftest, versions):
    """No record is no change; --no-selftest leaves the test out. What runs well is remembered."""
    file = known(jobs, versions)
    ran = selftest(*(["--no-selftest"] if versions else []), norms=(), command="run")
    assert ran.returncode == 0, ran.stderr
    assert tried(jobs) == [None]
    assert "torch" in json.loads(file.read_text())["recipe.yaml"]


def test_a_dry_run_tries_nothing(jobs, selftest):
    """What is only shown is not rehearsed and not compared."""
    known(jobs, {"torch": "1.0"})
    ran = selftest("--dry-run", "--rehearse", norms=(), command="run")
    assert ran.returncode == 0, ran.stderr
    assert jobs.starts() == []
