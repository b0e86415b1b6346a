"""A whole run in one process: what the training loop sees, and what it is stopped for."""

from __future__ import annotations

import json

import pytest

from launcher import runtime
from launcher.errors import WorldError

pytestmark = pytest.mark.torch


@pytest.fixture
def start(plan_of, environ_of):
    """A run, its model and its optimizer; keywords are keys of the recipe."""

    def begin(*, rate=0.1, **changes):
        import torch

        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        plan = plan_of(loss={"weighting": "samples"}, **changes)
        return runtime.start(model, environ=environ_of(plan)), model, optimizer

    return begin


@pytest.fixture
def dataset():
    import torch

    return torch.arange(30.0).view(30, 1) / 30


def losses(model, micro):
    return (model(micro.batch) - 1).square().squeeze(1)


def train(run, model, optimizer, dataset, *, steps=None):
    for step in run.steps(dataset):
        for micro in step:
            run.backward(losses(model, micro), micro)
        run.apply(optimizer)
        if step.number == steps:
            break


def log_of(run):
    return [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]


def refusal(call, *arguments):
    with pytest.raises(WorldError) as error:
        call(*arguments)
    return error.value


def test_a_run_logs_planned_beside_measured(start, dataset, capsys):
    """Three steps of twelve: samples, rates of the plan's curve, weights and a falling loss."""
    run, model, optimizer = start()
    train(run, model, optimizer, dataset)
    log = log_of(run)
    assert [entry["samples"] for entry in log] == [entry["planned_samples"] for entry in log] == [12, 24, 36]
    assert [entry["learning_rate"] for entry in log] == [0.05, 0.1, 0.1]
    assert [entry["planned_learning_rate"] for entry in log] == [0.05, 0.1, 0.1]
    assert [entry["weight"] for entry in log] == [12, 12, 12]
    assert log[2]["loss"] < log[0]["loss"]
    assert set(log[0]) == {
        "step", "samples", "planned_samples", "weight", "loss", "learning_rate", "planned_learning_rate",
        "gradient_norm", "clipped", "skipped", "seconds", "samples_per_second", "tokens_per_second",
    }  # fmt: skip
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("world   1 of 1 ranks agree: 1 host, torch ")
    assert out[1].startswith("step 1/3  loss ")
    assert out[-1].startswith("done    3 steps, loss ")


def test_the_gradient_is_the_global_mean(start, dataset):
    """One step of accumulation with idle slots moves the weights as one batch does."""
    import torch

    run, model, optimizer = start(
        micro_batch_size=5, gradient_accumulation_steps=3, schedule={"length": "1 steps"}
    )
    before = [p.detach().clone() for p in model.parameters()]
    seen = []
    for step in run.steps(dataset):
        for micro in step:
            seen += micro.indices
            run.backward(losses(model, micro), micro)
        run.apply(optimizer)
    copy = torch.nn.Linear(1, 1)
    copy.load_state_dict(dict(zip(("weight", "bias"), before, strict=True)))
    (copy(dataset[seen]) - 1).square().mean().backward()
    for old, new, reference in zip(before, model.parameters(), copy.parameters(), strict=True):
        assert torch.allclose(new, old - 0.05 * reference.grad, rtol=1e-6)


def test_the_rate_at_any_number_of_samples(start):
    """The plan's function, for whoever wants to look ahead."""
    run, _, _ = start()
    assert [run.learning_rate_at(samples) for samples in (0, 6, 24, 1000)] == [0.0, 0.025, 0.1, 0.1]


def test_a_plan_without_a_rate_leaves_the_optimizers_own(start, dataset):
    """Nothing planned, nothing applied: the log says what was there."""
    run, model, optimizer = start(rate=0.3, optimizer={"learning_rate": None}, schedule={"warmup": None})
    train(run, model, optimizer, dataset)
    assert {entry["learning_rate"] for entry in log_of(run)} == {0.3}
    assert {entry["planned_learning_rate"] for entry in log_of(run)} == {None}
    assert run.learning_rate_at(12) is None


def test_a_rate_that_the_script_owns_is_left_alone(start, dataset):
    """With another owner the runtime only looks on."""
    run, model, optimizer = start(rate=0.3, schedule={"owner": "script"})
    train(run, model, optimizer, dataset)
    assert {entry["learning_rate"] for entry in log_of(run)} == {0.3}


def test_gradients_are_clipped_once(start, dataset):
    """The norm before clipping is logged; what is applied has the norm of the plan."""
    run, model, optimizer = start(optimizer={"gradient_clipping": 0.01}, schedule={"length": "1 steps"})
    before = [p.detach().clone() for p in model.parameters()]
    train(run, model, optimizer, dataset)
    after = [p.detach() for p in model.parameters()]
    moved = sum(float((p - q).square().sum()) for p, q in zip(after, before, strict=True)) ** 0.5
    assert log_of(run)[0]["gradient_norm"] > 0.01
    assert moved == pytest.approx(0.05 * 0.01, rel=1e-3)


def test_a_run_of_one_epoch_ends_with_what_is_left(start, dataset):
    """Thirty samples: 12, 12 and 6, the last one weighted as 6; drop_last leaves it out."""
    run, model, optimizer = start(schedule={"length": "1 epochs"})
    train(run, model, optimizer, dataset)
    assert [entry["weight"] for entry in log_of(run)] == [12, 12, 6]
    run, model, optimizer = start(schedule={"length": "1 epochs"}, data={"drop_last": True})
    train(run, model, optimizer, dataset)
    assert [entry["weight"] for entry in log_of(run)] == [12, 12]


def test_a_run_resumes_where_its_state_left(start, dataset):
    """Two steps, a state, another split: the third step sees the samples it would have seen."""
    import torch

    whole, model, optimizer = start()
    train(whole, model, optimizer, dataset)
    expected = [p.detach().clone() for p in model.parameters()]
    run, model, optimizer = start()
    train(run, model, optimizer, dataset, steps=2)
    state = json.loads(json.dumps(run.state_dict()))
    assert (state["samples"], state["steps"]) == (24, 2)
    rest, _, _ = start(micro_batch_size=3)
    rest.load_state_dict(state)
    train(rest, model, optimizer, dataset)
    assert [entry["step"] for entry in log_of(rest)] == [1, 2, 3]  # appended to the log of the first two
    for found, wanted in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-6)


def test_a_state_of_another_training_is_refused(start, message):
    """Another batch is another meaning: both hashes are named."""
    run, _, _ = start()
    state = {**run.state_dict(), "semantics_hash": "0" * 64}
    error = refusal(run.load_state_dict, state)
    message("resume-differs", error, HASH=run.plan.semantics_hash[:12])


def test_a_state_with_another_rate_is_refused(start):
    """The same meaning with another curve is a plan that was tampered with."""
    run, _, _ = start()
    error = refusal(run.load_state_dict, {**run.state_dict(), "samples": 12, "learning_rate": 0.06})
    assert "at 12 samples has learning_rate 0.06, planned is 0.05" in str(error)


def test_a_dataset_that_grew_is_refused_on_resume(start, dataset):
    """Another length is another order."""
    import torch

    run, model, optimizer = start(data={"num_samples": None})
    train(run, model, optimizer, dataset, steps=1)
    rest, _, _ = start(data={"num_samples": None})
    rest.load_state_dict(run.state_dict())
    error = refusal(next, rest.steps(torch.cat([dataset, dataset])))
    assert "num_samples 30, planned is 60" in str(error)


def test_a_scalar_loss_must_have_seen_the_weight(start, dataset, message):
    """With idle slots a sum that never read micro.weight counts repetitions; without any it is fine."""
    run, model, _ = start(micro_batch_size=5, gradient_accumulation_steps=3)
    first, second, third = next(run.steps(dataset)).micro_batches
    run.backward(losses(model, first).sum(), first)
    run.backward(losses(model, second).sum(), second)
    message("idle-weight-unused", refusal(run.backward, losses(model, third).sum(), third))
    run.backward((losses(model, third) * third.weight).sum(), third)


def test_the_loop_is_held_to_its_order(start, dataset, message):
    """Each way to leave out a call is one code, with the loop as the hint."""
    run, model, optimizer = start(micro_batch_size=6)
    message("loop-misused", refusal(run.apply, optimizer))
    steps = run.steps(dataset)
    step = next(steps)
    micros = iter(step)
    micro = next(micros)
    assert "shape (6, 1), expected one per sequence, (6,)" in str(
        refusal(run.backward, model(micro.batch), micro)
    )
    assert "without run.backward" in str(refusal(next, micros))
    run.backward(losses(model, micro), micro)
    assert "once" in str(refusal(run.backward, losses(model, micro), micro))
    assert "after all micro-batches" in str(refusal(run.apply, optimizer))
    assert "step 1 went without run.apply" in str(refusal(next, steps))


def test_ranks_that_share_a_sequence_are_not_ours_yet(plan_of, environ_of):
    """Tensor parallelism gives one share to several ranks, which run.steps cannot."""
    import torch

    plan = plan_of(
        ranks=2,
        model={"num_attention_heads": 2},
        parallel={"tensor": 2},
        launch={"script_applies": ["tensor"]},
    )
    with pytest.raises(WorldError, match="2 ranks hold 1 different shares of the batch"):
        runtime.start(torch.nn.Linear(1, 1), environ=environ_of(plan))


def test_a_bare_module_among_several_ranks(plan_of, environ_of, message):
    """Two processes with nothing between them are two trainings."""
    import torch

    environ = {**environ_of(plan_of(ranks=2)), "WORLD_SIZE": "2", "RANK": "1"}
    with pytest.raises(WorldError) as error:
        runtime.start(torch.nn.Linear(1, 1), environ=environ)
    message("gradients-not-reduced", error.value)
