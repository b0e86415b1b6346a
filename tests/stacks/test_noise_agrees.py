"""Two ways of measuring the gradient noise of one training of 200 steps on two real ranks agree."""

import json
from pathlib import Path

import pytest
from rank_jobs import torchrun

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.planning.noise.report import noise_report
from launcher.reporting.noise_text import noise_lines, read_noise

pytestmark = pytest.mark.real

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "noise_training.py"
STEPS = 200


def plan_of(way):
    return make_plan(
        load_recipe(
            {
                "name": "licence",
                "global_batch_size": 32,
                "sequence_length": 64,
                "hidden_size": 64,
                "micro_batch_size": 4,
                "optimizer": {"name": "adamw", "learning_rate": 1e-3},
                "schedule": {"warmup": "20 steps", "length": f"{STEPS} steps"},
                "gradient_noise": way,
                "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
                "launch": {"script": "noise_training.py", "runtime": True},
            }
        )
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Way -> plan and folder of a whole training that was measured in it."""
    found = {}
    for way in ("ranks", "micro-batches"):
        folder, plan = tmp_path_factory.mktemp(way), plan_of(way)
        (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
        environ = {"LAUNCHER_PLAN": str(folder / "plan.json"), "BATCHWRIGHT_RUN": str(folder)}
        code, text = torchrun(SCRIPT, environ=environ, seconds=280)
        assert code == 0, text[-4000:]
        assert "noise   scale " in text
        found[way] = plan, folder
    return found


def test_each_interval_holds_the_others_estimate(measured):
    """The printed 95 % intervals overlap, and each holds the other's noise scale; both are resolved."""
    ranks, micro = (read_noise(folder)[-1] for _, folder in measured.values())
    assert ranks["measurements"] == micro["measurements"] == STEPS
    assert ranks["unresolved"] is None is micro["unresolved"]
    assert ranks["low"] < micro["noise_scale"] < ranks["high"]
    assert micro["low"] < ranks["noise_scale"] < micro["high"]


def test_both_measured_one_training(measured):
    """Small gradients of 16 sequences and of 4; losses and the large gradient are the same to the last bit."""
    ranks, micro = (read_noise(folder) for _, folder in measured.values())
    assert {each["small_size"] for each in ranks} == {16}
    assert {each["small_size"] for each in micro} == {4}
    assert [each["big_square"] for each in ranks] == [each["big_square"] for each in micro]
    logs = [(folder / "log.jsonl").read_text().splitlines() for _, folder in measured.values()]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1]


def test_the_run_is_made_into_advice(measured):
    """The band of a real run: legal batches, in order, with the label that says how little it claims."""
    for plan, folder in measured.values():
        report = noise_report(entries=read_noise(folder), plan=plan)
        sizes = [cost["global_batch_size"] for cost in report["band"].values()]
        assert sizes == sorted(sizes)
        assert all(size % 8 == 0 for size in sizes)
        assert report["label"] in noise_lines(report)
