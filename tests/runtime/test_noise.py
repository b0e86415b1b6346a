"""The meter of gradient noise in one process: what it logs, leaves out, keeps, begins anew and says."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from launcher import runtime
from launcher.planning.noise.estimators import Squares
from launcher.planning.noise.moments import Moments
from launcher.planning.stages.ledger import step_at
from launcher.runtime.noise import NoiseMeter, group_sizes
from launcher.runtime.noise_ddp import TorchReader
from launcher.runtime.noise_deepspeed import _Partitioned, engine_reader
from launcher.runtime.noise_gradients import square_sum
from launcher.runtime.steps import Step

pytestmark = pytest.mark.torch


@pytest.fixture
def start(plan_of, environ_of):
    """A run of 12 sequences in three micro-batches, its model and optimizer; keywords are keys of the recipe."""

    def begin(**changes):
        import torch

        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        plan = plan_of(**{"loss": {"weighting": "samples"}, "micro_batch_size": 4, **changes})
        return runtime.start(model, environ=environ_of(plan)), model, optimizer

    return begin


def train(run, model, optimizer, *, steps=None):
    import torch

    dataset = torch.randn(30, 1, generator=torch.Generator().manual_seed(2))
    for step in run.steps(dataset):
        for micro in step:
            run.backward((model(micro.batch) - 1).square().squeeze(1), micro)
        run.apply(optimizer)
        if step.number == steps:
            break


def measured(run):
    path = run.folder / "noise.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_every_step_is_a_line(start):
    """Both squares with their sizes, and the means so far with what is still missing."""
    run, model, optimizer = start()
    train(run, model, optimizer)
    lines = measured(run)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [line["measurements"] for line in lines] == [1, 2, 3]
    assert {(line["small_size"], line["big_size"], line["weight_square"]) for line in lines} == {(4, 12, 1)}
    assert {line["mode"] for line in lines} == {"micro-batches"}
    assert lines[-1]["unresolved"] == "3 of 200 measurements"
    assert lines[-1]["tokens_per_sequence"] is None
    moments = Moments(decay=0.99)
    for line in lines:
        squares = Squares(line["small_square"], line["big_square"], line["small_size"], line["big_size"])
        moments = moments.after(squares)
        assert (line["noise_scale"], line["trace"]) == (moments.ratio, moments.trace)


def test_every_other_step(start):
    """gradient_noise.every counts from the first step."""
    run, model, optimizer = start(gradient_noise={"every": "2 steps"})
    train(run, model, optimizer)
    assert [line["step"] for line in measured(run)] == [1, 3]


def test_what_is_off_leaves_no_trace(start):
    """No file, nothing in the state."""
    run, model, optimizer = start(gradient_noise="off")
    train(run, model, optimizer)
    assert measured(run) == []
    assert "noise" not in run.state_dict()


def test_a_resumed_run_goes_on_with_its_means(start):
    """Two steps, a state, the third: the line that an uninterrupted run writes, at the end of the same file."""
    whole, model, optimizer = start()
    train(whole, model, optimizer)
    expected = measured(whole)
    run, model, optimizer = start()
    train(run, model, optimizer, steps=2)
    state = json.loads(json.dumps(run.state_dict()))
    rest, fresh, optimizer = start()
    fresh.load_state_dict(model.state_dict())
    rest.load_state_dict(state)
    train(rest, fresh, optimizer)
    assert measured(rest) == expected


def test_another_length_begins_anew(meter):
    """A sequence of another length is another unit; another batch is not."""
    stages = [
        {"until": "24 samples"},
        {"until": "72 samples", "global_batch_size": 24},
        {"sequence_length": 8, "global_batch_size": 24},
    ]
    found, plan = meter(stages=stages, schedule={"length": "144 samples"}, sequence_length=16)
    counts = []
    for number in range(1, 7):
        pass_one(found, plan, number)
        counts.append(found.moments.count)
    assert counts == [1, 2, 3, 4, 1, 2]


def test_another_decay_begins_anew(start):
    """Means of another decay are not mixed."""
    run, model, optimizer = start()
    train(run, model, optimizer, steps=2)
    state = run.state_dict()
    rest, fresh, optimizer = start(gradient_noise={"decay": 0.9})
    rest.load_state_dict(state)
    train(rest, fresh, optimizer)
    assert [line["measurements"] for line in measured(rest)][-1] == 1


def test_a_last_step_that_is_one_micro_batch_is_left_out(start):
    """Thirty samples in steps of 12 end with 6: micro-batches of 6 are then the whole of it."""
    run, model, optimizer = start(micro_batch_size=6, schedule={"length": "1 epochs"})
    train(run, model, optimizer)
    assert [line["step"] for line in measured(run)] == [1, 2]


class Half:
    """A reader of a rank that is not alone, with gradients as told."""

    joint, whole = False, None

    def accumulated(self):
        return 3.0

    def averaged(self, *, clips):
        return self.whole

    def loss_scale(self):
        return 8.0


def step_of(plan, number):
    planned = step_at(plan, number)
    return Step(
        planned,
        total_weight=float(planned.size),
        micro_batches=(),
        accumulating=nullcontext,
        resets_state=False,
    )


@pytest.fixture
def meter(plan_of):
    """A meter of one of one ranks that reads Half, and its plan."""

    def make(**changes):
        plan = plan_of(**{"loss": {"weighting": "samples"}, "micro_batch_size": 4, **changes})

        class Reducer:
            name, division, rank, world_size = "the module", "ddp", 0, 1
            model = type("Model", (), {"parameters": lambda self: iter(())})()

        found = NoiseMeter(plan, reducer=Reducer())
        found._reader = Half()
        return found, plan

    return make


def pass_one(meter, plan, number, *, norm=1.0, skipped=False, shares=None):
    first = type("Micro", (), {"number": 0, "is_last": False, "loss_weight": 4.0})()
    meter.begins(step_of(plan, number), own_weight=12.0)
    meter.before_backward(first)
    meter.after_backward(first)
    meter.before_step()
    own = meter.shares()
    return own, meter.stepped(shares or [float(each) for each in own], norm=norm, skipped=skipped)


def test_the_loss_scale_is_undone(meter):
    """A gradient that fp16 scaling made 8 times too large is 64 times too large in its square."""
    found, plan = meter()
    pass_one(found, plan, 1)
    assert found.moments.count == 1
    small = 3.0 * (12 / 4) ** 2 / 64  # alone: one rank, and p.grad is the sum over W
    assert found.moments.trace == pytest.approx((small - 1) / (1 / 4 - 1 / 12))


def test_the_loss_scale_is_undone_in_the_large_gradient(meter):
    """Where the reader tells its square, it is scaled too; the norm of a clipping is not."""
    found, plan = meter()
    found._reader.whole = 2.0 * 64
    pass_one(found, plan, 1, norm=None)
    small = 3.0 * (12 / 4) ** 2 / 64
    assert found.moments.trace == pytest.approx((small - 2.0) / (1 / 4 - 1 / 12))


@pytest.mark.parametrize(
    "how",
    [
        {"skipped": True},
        {"norm": None},
        {"norm": float("inf")},
        {"norm": float("nan")},
        {"shares": [1, 1, 0]},
    ],
)
def test_steps_that_say_nothing_are_left_out(meter, how):
    """Skipped by a loss scaler, without a norm, not finite, or not seen by every rank."""
    found, plan = meter()
    pass_one(found, plan, 1, **how)
    assert found.moments.count == 0
    pass_one(found, plan, 2)
    assert found.moments.count == 1


def test_what_is_told_now_and_then(meter):
    """At 200, 400 and 800 measurements, resolved or not."""
    found, plan = meter(schedule={"length": "900 steps"}, data={"num_samples": 30})
    said = {number: pass_one(found, plan, number)[1] for number in range(1, 801)}
    assert [number for number, line in said.items() if line] == [200, 400, 800]
    assert said[200].startswith("noise   not resolved: ")


def test_groups_of_a_step(plan_of):
    """Two ranks, micro-batch 4, a step of 13: 4 and 4 first, 8 and 5 in all."""
    batch = plan_of(ranks=2, global_batch_size=16, micro_batch_size=4).batch
    assert group_sizes(batch, way="micro-batches", size=13) == (4, 4)
    assert group_sizes(batch, way="ranks", size=13) == (8, 5)
    assert group_sizes(batch, way="ranks", size=3) == (3, 0)


def test_a_parameter_that_is_averaged_unseen():
    """What holds a gradient and takes no part in the last backward is averaged too: nothing is told then."""
    import torch

    first, second = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    reader = TorchReader(torch.nn.ModuleList([first, second]))
    inputs = torch.ones(1, 2)
    (first(inputs) + second(inputs)).sum().backward()
    reader.watch()
    (first(inputs) + second(inputs)).sum().backward()
    assert float(reader.own()) == pytest.approx(float(reader.accumulated()))
    reader.watch()
    first(inputs).sum().backward()
    assert reader.own() is None
    assert not reader._handles


def test_squares_of_any_format():
    """fp32 sums of bf16 and sparse gradients; nothing of nothing."""
    import torch

    values = torch.randn(1000, generator=torch.Generator().manual_seed(1)).bfloat16()
    exact = float(values.double().square().sum())
    assert float(square_sum([values, None])) == pytest.approx(exact, rel=1e-6)
    sparse = torch.sparse_coo_tensor([[1, 1]], [3.0, 1.0], (4,), check_invariants=True)
    assert float(square_sum([sparse])) == 16
    assert square_sum([None]) is None


def test_an_engine_that_keeps_its_gradients_elsewhere(meter, tmp_path):
    """Planned and not possible after all: one line says so, and the training goes on."""
    found, plan = meter()
    assert found.opens(tmp_path, resumed=False) is None
    found._reader = None
    line = found.opens(tmp_path, resumed=False)
    assert line == "noise   not measured: the module keeps its gradients where they cannot be read"
    found.begins(step_of(plan, 1), own_weight=12.0)
    assert found.shares() == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("missing", ["all_grad_tensors", "partition_size"])
def test_another_version_of_deepspeed_is_not_guessed_at(missing):
    """ZeRO-2 is read only where every buffer is under the name that was read in its source."""

    class Engine:
        optimizer = type("Optimizer", (), {"partition_gradients": True, "cpu_offload": False})()
        module = type("Module", (), {"parameters": lambda self: iter(())})()

        def zero_optimization_stage(self):
            return 2

    for name in _Partitioned.needs:
        setattr(Engine.optimizer, name, None)
    assert isinstance(engine_reader(Engine()), _Partitioned)
    delattr(Engine.optimizer, missing)
    assert engine_reader(Engine()) is None
