"""The step that comes next, against torch's own optimizers; and what a checkpoint cannot tell."""

from __future__ import annotations

import pytest

from launcher.measuring.trace_module import Refused

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def network(torch):
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()


def settings(**changes):
    from launcher.measuring.sharpness.updates import Settings

    base = {
        "name": "adamw", "betas": (0.9, 0.999), "epsilon": 1e-8, "momentum": 0.0, "nesterov": False,
        "weight_decay": 0.0,
    }  # fmt: skip
    return Settings(**{**base, **changes})


def flat(torch, tensors):
    return torch.cat([each.detach().reshape(-1) for each in tensors])


CASES = [
    ("SGD", {}, {"name": "sgd"}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}, {"name": "sgd", "momentum": 0.9, "nesterov": True}),
    ("Adam", {"betas": (0.8, 0.95), "weight_decay": 0.1}, {"name": "adam", "weight_decay": 0.1}),
    ("AdamW", {"eps": 1e-3, "weight_decay": 0.2}, {"weight_decay": 0.2}),
]


@pytest.mark.parametrize(("name", "options", "changes"), CASES, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_next_step_is_the_optimizers_own(torch, name, options, changes, grouped):
    """Times the learning rate, it is what torch's optimizer then really subtracts."""
    from launcher.measuring.sharpness.updates import next_update

    module, rate = network(torch), 0.01
    matrices = [each for each in module.parameters() if each.dim() >= 2]
    vectors = [each for each in module.parameters() if each.dim() < 2]
    groups = (
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}] if grouped else module.parameters()
    )
    optimizer = getattr(torch.optim, name)(groups, lr=rate, **options)
    x, y = torch.randn(8, 4).double(), torch.randn(8, 2).double()

    def gradient():
        optimizer.zero_grad()
        (module(x) - y).square().mean().backward()
        return flat(torch, [each.grad for each in module.parameters()])

    for _ in range(5):
        gradient()
        optimizer.step()
    found = next_update(
        module=module, gradient=gradient(), settings=settings(**changes), state=optimizer.state_dict()
    )
    before = flat(torch, module.parameters())
    optimizer.step()
    moved = (before - flat(torch, module.parameters())) / rate
    assert found.own, found.words
    assert found.learning_rate == rate
    assert torch.allclose(found.direction, moved, rtol=1e-6, atol=1e-9)


def test_adams_preconditioner(torch):
    """P ** -1/2 of the moments as they were saved: (1 - b1^t) (sqrt(v / (1 - b2^t)) + eps)."""
    from launcher.measuring.sharpness.updates import next_update

    module = network(torch)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-6)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(8, 4).double()).square().mean().backward()
        optimizer.step()
    g = torch.zeros(44).double()
    found = next_update(module=module, gradient=g, settings=settings(), state=optimizer.state_dict())
    v = flat(torch, [optimizer.state[each]["exp_avg_sq"] for each in module.parameters()])
    precondition = (1 - 0.9**3) * ((v / (1 - 0.99**3)).sqrt() + 1e-6)
    assert torch.allclose(found.scale, precondition.rsqrt())
    assert found.settings.betas == (0.9, 0.99)


def test_names_in_the_groups_come_first(torch):
    """Torch keeps them when the optimizer was given named parameters, in whatever order."""
    from launcher.measuring.sharpness.updates import next_update

    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)).double()
    named = list(module.named_parameters())[::-1]
    optimizer = torch.optim.SGD(named, lr=0.1, momentum=0.5)
    module(torch.ones(1, 3).double()).square().sum().backward()
    optimizer.step()
    zero = torch.zeros(24).double()
    found = next_update(
        module=module, gradient=zero, settings=settings(name="sgd"), state=optimizer.state_dict()
    )
    buffers = flat(torch, [optimizer.state[each]["momentum_buffer"] for each in module.parameters()])
    assert torch.equal(found.direction, 0.5 * buffers)


def test_what_is_not_known_is_the_gradient(torch):
    """No state, another optimizer, groups in an order of their own, moments that are not there: said in words."""
    from launcher.measuring.sharpness.updates import next_update

    module = network(torch)
    g = torch.ones(44).double()

    def words(state, **changes):
        found = next_update(module=module, gradient=g, settings=settings(**changes), state=state)
        assert (found.own, found.scale) == (False, None)
        assert torch.equal(found.direction, g)
        return found.words

    empty = torch.optim.AdamW(module.parameters(), lr=0.1).state_dict()
    other = torch.optim.AdamW(torch.nn.Linear(7, 7).parameters(), lr=0.1).state_dict()
    assert words(None) == "the gradient of the probe batch (the checkpoint holds no optimizer)"
    assert "the step of lion is not known here" in words(empty, name="lion")
    assert "its groups do not tell which parameter is which" in words(other)
    assert "it holds no second moments" in words(empty)


def test_a_checkpoint_in_the_usual_shapes(torch, tmp_path):
    """A state dict, one under `model`, one of a wrapped module; with what the runtime keeps beside it."""
    from launcher.measuring.sharpness.checkpoint import load_into, read_checkpoint

    module = network(torch)
    plain = module.state_dict()
    wrapped = {f"module._orig_mod.{name}": value for name, value in plain.items()}
    for name, content in (
        ("plain", plain),
        ("model", {"model": plain, "run": {"samples": 7}}),
        ("ddp", {"model": wrapped}),
    ):
        torch.save(content, tmp_path / f"{name}.pt")
        found = read_checkpoint(tmp_path / f"{name}.pt")
        assert list(found.model) == list(plain)
        load_into(network(torch), found, tmp_path)
    torch.save({"model": plain, "run": {"samples": 7}}, tmp_path / "run.pt")
    assert read_checkpoint(tmp_path / "run.pt").run == {"samples": 7}


class Code:
    """What a checkpoint must not bring along."""


def test_what_is_no_checkpoint(torch, tmp_path):
    """Other files, other content, and code, which is not run."""
    from launcher.measuring.sharpness.checkpoint import load_into, read_checkpoint

    def refusal(content, name="x.pt"):
        torch.save(content, tmp_path / name)
        with pytest.raises(Refused) as error:
            load_into(network(torch), read_checkpoint(tmp_path / name), tmp_path / name)
        assert error.value.code == "checkpoint-unreadable"
        return " ".join([error.value.message, *error.value.because])

    assert "holds list, expected a state dict" in refusal([1])
    assert "holds no model: its keys are `step`" in refusal({"step": 1})
    assert "UnpicklingError" in refusal({"model": Code()})
    assert "it lacks 0.bias, 2.weight, 2.bias it has beside it extra" in refusal(
        {"0.weight": torch.ones(6, 4), "extra": torch.ones(1)}
    )
    with pytest.raises(Refused, match=r"cannot be read by torch\.load"):
        read_checkpoint(tmp_path / "absent.pt")
