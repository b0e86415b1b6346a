"""Who averages gradients: recognised without importing it, synchronised once per step."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from staged_plans import Leg, staged

from launcher.runtime import reducers
from launcher.runtime.reducers import Alone, Replicated, reducer_of
from launcher.runtime.reducers_accelerate import accelerator_differences
from launcher.runtime.reducers_deepspeed import DeepSpeed

pytestmark = pytest.mark.torch


@pytest.fixture
def lone_group():
    """A process group of one."""
    import torch

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_modules_are_recognised(lone_group):
    """A bare module, a DDP module, and one that is compiled."""
    import torch

    module = torch.nn.Linear(1, 1)
    assert isinstance(reducer_of(module), Alone)
    wrapped = torch.nn.parallel.DistributedDataParallel(module)
    assert isinstance(reducer_of(wrapped), Replicated)
    assert isinstance(reducer_of(SimpleNamespace(_orig_mod=wrapped)), Replicated)


def test_the_group_outlives_the_model(lone_group, plan_of, environ_of):
    """Whoever frees the model is not the one who joins gloo's threads, as that would never end."""
    import torch

    from launcher import runtime

    group = torch.distributed.group.WORLD
    wrapped = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    runtime.start(wrapped, environ=environ_of(plan_of()))
    torch.distributed.destroy_process_group()
    assert any(kept is group for kept in reducers._KEPT)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)


def test_gradients_travel_once_per_step(lone_group, plan_of, environ_of):
    """Of four micro-batches the last one reduces; reducing each would train the same, four times as slowly."""
    import torch

    from launcher import runtime

    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    travelled = []

    def hook(_, bucket):
        travelled.append(bucket.index())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    model.register_comm_hook(None, hook)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plan = plan_of(micro_batch_size=3, loss={"weighting": "samples"}, schedule={"length": "2 steps"})
    run = runtime.start(model, environ=environ_of(plan))
    for step in run.steps(torch.rand(30, 1)):
        for micro in step:
            run.backward(model(micro.batch).squeeze(1), micro)
        run.apply(optimizer)
    assert len(travelled) == 2


def test_fp16_needs_a_loss_scale(plan_of):
    """Nobody scales the loss of a bare module; the plan is refused in words."""
    import torch

    plan = plan_of(precision="fp16", cluster={"device": "t4"})
    (words,) = Alone(torch.nn.Linear(1, 1)).differences(plan)
    assert (
        words
        == "planned fp16 with loss scaling, found the module, which has none: use another engine or bf16"
    )


def test_an_accelerator_that_is_alone(plan_of):
    """Planned two processes, and the Accelerator says that there is one."""
    lone = SimpleNamespace(num_processes=1, distributed_type="DistributedType.NO")
    (words,) = accelerator_differences(lone, plan_of(ranks=2))
    assert words == "planned num_processes 2, found Accelerator.num_processes 1 (distributed_type NO)"


def engine_of(**changes):
    """What a DeepSpeed engine answers, as planned below except for the changes."""
    answers = {
        "train_micro_batch_size_per_gpu": 3,
        "gradient_accumulation_steps": 4,
        "gradient_clipping": 0.0,
        "zero_optimization_stage": 2,
    }
    facts = {"device": "cpu", "dp_world_size": 1, "lr_scheduler": None, "gradient_average": True}
    methods = {name: (lambda value=value: value) for name, value in (answers | changes).items()}
    return SimpleNamespace(**(facts | methods | {k: v for k, v in changes.items() if k in facts}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"zero_optimization_stage": 1}, ["planned zero_stage 2, found 1 in DeepSpeed's engine"]),
        ({"gradient_clipping": 1.0}, ["planned gradient_clipping 0.0, found 1.0 in DeepSpeed's engine"]),
        (
            {"train_micro_batch_size_per_gpu": 6},
            ["planned micro_batch_size 3, found 6 in DeepSpeed's engine"],
        ),
        (
            {"lr_scheduler": object()},
            ["planned learning rate of the runtime, found scheduler object in DeepSpeed's engine"],
        ),
    ],
)
def test_a_deepspeed_engine_with_other_settings(plan_of, changes, words):
    """Settings of the engine's own are read back from it and not from a file."""
    plan = plan_of(
        micro_batch_size=3,
        parallel={"data": {"strategy": "zero", "stage": 2}},
        launch={"engine": "deepspeed"},
    )
    assert list(DeepSpeed(engine_of(**changes)).differences(plan)) == words


@pytest.mark.parametrize(
    ("micro", "accumulation", "words"),
    [
        (2, 2, []),
        (5, 3, []),
        (2, 3, ["planned gradient_accumulation_steps 2, found 3 in DeepSpeed's engine"]),
    ],
)
def test_an_engine_is_made_for_one_of_the_stages(plan_of, micro, accumulation, words):
    """A run may be resumed in any stage; an engine that fits none is compared with the first."""
    plan = plan_of(parallel={"data": {"strategy": "zero", "stage": 2}}, launch={"engine": "deepspeed"})
    plan = staged(plan, [Leg(2, 4, 2, 2), Leg(3, 8, 4, 2), Leg(2, 12, 5, 3)])
    engine = engine_of(train_micro_batch_size_per_gpu=micro, gradient_accumulation_steps=accumulation)
    assert list(DeepSpeed(engine).differences(plan)) == words


def test_an_accelerator_around_an_engine_is_told_too(plan_of):
    """Accelerate wraps DeepSpeed's engine: both count accumulation steps, and the engine's optimizer does."""
    calls = []
    engine = SimpleNamespace(
        device="cpu",
        micro_steps=8,
        tput_timer=SimpleNamespace(batch_size=4),
        optimizer=SimpleNamespace(gradient_accumulation_steps=2),
        set_train_micro_batch_size=lambda size: calls.append(("micro", size)),
        set_train_batch_size=lambda size: calls.append(("batch", size)),
    )
    accelerator = SimpleNamespace(gradient_accumulation_steps=2)
    DeepSpeed(engine, accelerator=accelerator).configure(staged(plan_of(), [Leg(2, 12, 5, 3)]).batch)
    assert calls == [("micro", 5), ("batch", 15)]
    assert (engine.micro_steps, engine.tput_timer.batch_size) == (9, 15)
    assert engine.optimizer.gradient_accumulation_steps == accelerator.gradient_accumulation_steps == 3


def test_a_sum_over_ranks_is_told_from_a_mean():
    """gradient_allreduce_op: sum needs another factor."""
    assert DeepSpeed(engine_of()).division == "deepspeed-unscaled"
    assert DeepSpeed(engine_of(gradient_average=False)).division == "sum"
