"""Models trained by the runtime in two splits: alike exactly where the plan says that nothing depends on the split."""

import pytest

pytestmark = pytest.mark.torch

NORMS = {
    "batchnorm": lambda torch: torch.nn.BatchNorm1d(4),
    "layernorm": lambda torch: torch.nn.LayerNorm(4),
    "groupnorm": lambda torch: torch.nn.GroupNorm(2, 4),
    "none": lambda torch: torch.nn.Identity(),
}


@pytest.fixture
def trained(plan_of, environ_of):
    """Parameters after three steps of 12 samples, and the plan they were trained by."""

    def train(*, norm, kind, micro):
        import torch

        from launcher import runtime

        plan = plan_of(
            hidden_size=4,
            model={"kind": "mlp", "norm": norm, "num_layers": 1},
            loss={"kind": kind, "weighting": "samples"},
            micro_batch_size=micro,
        )
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(1, 4), NORMS[norm](torch), torch.nn.Tanh(), torch.nn.Linear(4, 4)
        )
        data = torch.randn(30, 1, generator=torch.Generator().manual_seed(1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run = runtime.start(model, environ=environ_of(plan))
        for step in run.steps(data):
            for part in step:
                run.backward(loss_of(kind, model(part.batch)), part)
            run.apply(optimizer)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), plan

    return train


def loss_of(kind, found):
    """One loss per sample: of the sample alone, or of how it stands out among the others."""
    import torch

    if kind == "mse":
        return (found - 1).square().sum(1)
    return torch.nn.functional.cross_entropy(found @ found.T, torch.arange(len(found)), reduction="none")


@pytest.mark.parametrize("kind", ["mse", "contrastive"])
@pytest.mark.parametrize("norm", NORMS)
def test_the_plan_knows_who_sees_the_split(trained, norm, kind):
    """In micro-batches of 12 and of 4 the same parameters come out, unless the plan names what looks at them."""
    import torch

    (whole, plan), (cut, _) = (trained(norm=norm, kind=kind, micro=micro) for micro in (12, 4))
    named = [problem.because for problem in plan.problems if problem.code == "split-dependent"]
    assert bool(named) == (norm == "batchnorm" or kind == "contrastive")
    assert torch.allclose(whole, cut, rtol=1e-5, atol=1e-6) == (not named)
