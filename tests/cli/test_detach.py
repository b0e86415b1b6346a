"""`run --detach`: a job that goes on without us, where somebody else keeps it."""

import json

import pytest

from launcher import api
from launcher.cli.ordering import handed_over, make_order
from launcher.errors import HandoffError
from launcher.handoff.afterwards.run_record import read_run
from launcher.handoff.order import placed_bundle
from launcher.handoff.papers import run_papers

RECIPE = {
    "global_batch_size": 8,
    "sequence_length": 16,
    "hidden_size": 64,
    "cluster": {"nodes": 2, "devices_per_node": 1, "device": "cpu"},
}
INSIDE = {"SLURM_JOB_ID": "3", "SLURM_JOB_NODELIST": "a,b", "SLURM_JOB_CPUS_PER_NODE": "1(x2)"}


def order(around, *, executor, environ, **more):
    recipe = api.load_recipe({**RECIPE, **more, "launch": {"executor": executor, "script": "train.py"}})
    return make_order(recipe, around(environ))


@pytest.fixture
def around(tmp_path):
    """Surroundings with these variables."""
    import io

    from launcher.cli.surroundings import Surroundings

    def made(environ):
        return Surroundings(
            environ=environ,
            stdout=io.StringIO(),
            stderr=io.StringIO(),
            argv=("batchwright",),
            beside=tmp_path,
        )

    return made


def test_sbatch_is_not_waited_for(around):
    """The same job, without `--wait`; the run is submitted and not done when the command returns."""
    waited = order(around, executor="slurm", environ={})
    left = handed_over(waited)
    assert not left.bundle.attached
    words = left.bundle.commands[0].argv
    assert waited.bundle.commands[0].argv == (words[0], "--wait", *words[1:])
    assert left.bundle.files == waited.bundle.files


def test_what_nobody_keeps_is_refused(around):
    """A local job, and a step inside a Slurm job, end with what started them."""
    local = order(
        around, executor="local", environ={}, cluster={"nodes": 1, "devices_per_node": 1, "device": "cpu"}
    )
    with pytest.raises(HandoffError, match="a job that is started over local lives as long as"):
        handed_over(local)
    with pytest.raises(HandoffError, match="a job that is started inside a Slurm job lives as long as"):
        handed_over(order(around, executor="slurm", environ=INSIDE))


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (17, "failed"), (143, "interrupted")])
def test_its_end_is_what_the_main_node_wrote(around, tmp_path, code, state):
    """A submitted run has ended once node 0 says so; nobody else writes it down."""
    left = handed_over(order(around, executor="slurm", environ={}))
    placed = placed_bundle(left.bundle, str(tmp_path))
    for name, text in run_papers(left, placed).items():
        (tmp_path / name).write_text(text)
    status = {
        "state": "submitted",
        "exit": None,
        "started": "2026-11-22T07:00:00Z",
        "ended": None,
        "message": "",
    }
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert read_run(tmp_path).state == "submitted"
    (tmp_path / "nodes").mkdir()
    job = {"exit": code, "message": "words", "node": None, "rank": None}
    (tmp_path / "nodes" / "0.json").write_text(json.dumps({"node": 0, "exit": code, "job": job}))
    record = read_run(tmp_path)
    assert (record.state, record.status["exit"], record.status["message"]) == (state, code, "words")
    assert record.ended_at is not None
