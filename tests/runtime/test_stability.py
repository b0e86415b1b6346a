"""What a run of the runtime says while it trains, and what its log holds for those who look later."""

from __future__ import annotations

import io
import json

import pytest

from launcher import runtime
from launcher.runtime.progress import Progress
from launcher.runtime.stability import clips, stability_of


def entry(step, **changes):
    base = {
        "step": step, "samples": step * 12, "loss": 2.0, "learning_rate": 1e-3, "gradient_norm": 0.5,
        "seconds": 0.5, "samples_per_second": 24.0, "tokens_per_second": None, "skipped": False,
    }  # fmt: skip
    return {**base, **changes}


def test_a_remark_stands_between_the_lines(tmp_path):
    """On stdout after the step it belongs to, and in remarks.jsonl."""
    out = io.StringIO()
    progress = Progress(tmp_path, total_steps=100, stream=out)
    for step in range(1, 61):
        progress.step(entry(step, loss=4.0 if step == 50 else 2.0 + step % 5 / 100))
    said = [line for line in out.getvalue().splitlines() if line.startswith("remark")]
    assert [line.split("[")[-1] for line in said] == ["loss-spike]", "loss-spike-over]"]
    kept = [json.loads(line) for line in (tmp_path / "remarks.jsonl").read_text().splitlines()]
    assert [(each["step"], each["code"]) for each in kept] == [(50, "loss-spike"), (53, "loss-spike-over")]


def test_an_evaluation_keeps_the_gap(tmp_path):
    """The script reports validation; training and the gap are written beside it."""
    progress = Progress(tmp_path, total_steps=100, stream=io.StringIO())
    for step in range(1, 21):
        progress.step(entry(step))
    progress.record({"validation_loss": 2.25, "validation_accuracy": 0.5})
    kept = json.loads((tmp_path / "evaluation.jsonl").read_text())
    assert kept == {
        "step": 20, "samples": 240, "validation_loss": 2.25, "validation_accuracy": 0.5,
        "training_loss": 2.0, "gap": 0.25,
    }  # fmt: skip


def test_clipping_is_the_plans(plan_of):
    """The limit of the recipe; nothing is said of clipping where there is none."""
    plan = plan_of(optimizer={"gradient_clipping": 1.0})
    assert [clips(plan, norm) for norm in (None, 0.5, 1.0, 1.01)] == [None, False, False, True]
    assert clips(plan_of(), 5.0) is None
    found = list(stability_of(plan).stepped(1, loss=1.0, norm=None, skipped=False))
    assert [remark.code for remark in found] == ["norm-unknown"]
    assert list(stability_of(plan_of()).stepped(1, loss=1.0, norm=None, skipped=False)) == []


@pytest.mark.torch
def test_clipped_steps_are_in_the_log(plan_of, environ_of):
    """Beside the norm that they had before."""
    import torch

    plan = plan_of(loss={"weighting": "samples"}, optimizer={"gradient_clipping": 0.5})
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = runtime.start(model, environ=environ_of(plan))
    for step in run.steps(torch.arange(30.0).view(30, 1)):
        for micro in step:
            factor = 100.0 if step.number == 2 else 1e-4
            run.backward(factor * model(micro.batch).square().squeeze(1), micro)
        run.apply(optimizer)
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert [line["clipped"] for line in log] == [False, True, False]
    assert log[1]["gradient_norm"] > 0.5
