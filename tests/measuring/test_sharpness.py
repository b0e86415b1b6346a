"""Curvatures that are known otherwise, and the limits that they are held against."""

from __future__ import annotations

import math

import pytest

from launcher.measuring.sharpness.thresholds import (
    adam_threshold,
    gradient_descent_threshold,
    heavy_ball_threshold,
    nesterov_threshold,
)

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def quadratic(torch, matrix, at=None):
    """0.5 w'Aw as a loss of one parameter, away from its minimum."""
    w = torch.nn.Parameter(torch.ones(len(matrix), dtype=matrix.dtype) if at is None else at)
    return lambda: 0.5 * w @ matrix @ w, [w]


def symmetric(torch, eigenvalues, *, seed=0, dtype=None):
    dtype = dtype or torch.float64
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(*[len(eigenvalues)] * 2, generator=generator, dtype=dtype))
    return turn @ torch.diag(torch.tensor(eigenvalues, dtype=dtype)) @ turn.T


def measured(loss, parameters, **options):
    from launcher.measuring.sharpness import top_eigenvalue

    return top_eigenvalue(loss, parameters, **options)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_the_hessian_of_a_quadratic_is_its_matrix(torch, count):
    """Diagonal matrices up to 40 x 40: the largest entry, to 1e-4, and in how many products."""
    values = [3.0 * 0.8**place for place in range(count)]
    found = measured(*quadratic(torch, torch.diag(torch.tensor(values))), iterations=40, tolerance=1e-3)
    assert found.value == pytest.approx(3.0, rel=1e-4)
    assert found.converged
    assert found.residual <= 0.001 * found.value
    assert found.products <= 20


@pytest.mark.parametrize("seed", range(5))
def test_close_eigenvalues_and_large_negative_ones(torch, seed):
    """200 dimensions, a second eigenvalue of 0.95 of the first, and one of -4 times: the largest, not the furthest."""
    eigenvalues = [10.0, 9.5, -40.0, *[3 * place / 197 for place in range(197)]]
    found = measured(
        *quadratic(torch, symmetric(torch, eigenvalues, seed=seed)), iterations=60, tolerance=1e-3
    )
    assert found.converged
    assert found.value == pytest.approx(10.0, rel=1e-4)


def test_the_residual_tells_how_far_off_it_may_be(torch):
    """Stopped early, the value is below the largest eigenvalue, and one lies within the residual of it; and it says so."""
    eigenvalues = [5 - place / 100 for place in range(300)]
    found = measured(*quadratic(torch, symmetric(torch, eigenvalues)), iterations=4, tolerance=1e-6)
    assert not found.converged
    assert found.value < 5.0
    assert min(abs(found.value - each) for each in eigenvalues) <= found.residual


def test_a_loss_that_curves_down_everywhere(torch):
    """The largest eigenvalue of a concave loss is negative, and is found."""
    found = measured(*quadratic(torch, symmetric(torch, [-1.0, -2.0, -7.0, -9.0])))
    assert found.value == pytest.approx(-1.0, rel=1e-4)


def test_a_plane_has_no_curvature(torch):
    """Zero, without a product that torch could not form."""
    w = torch.nn.Parameter(torch.ones(3))
    found = measured(lambda: 2 * w.sum(), [w])
    assert (found.value, found.residual, found.converged) == (0.0, 0.0, True)


def network(torch):
    """A network of 41 parameters, its loss on a batch, and the same loss as a function of one flat vector."""
    layers = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3), torch.nn.Softplus()
    )
    layers = layers.double()
    x, y = torch.randn(64, 3, dtype=torch.float64), torch.randn(64, 3, dtype=torch.float64)
    names, parameters = zip(*layers.named_parameters(), strict=True)

    def of_vector(vector):
        parts = torch.split(vector, [each.numel() for each in parameters])
        values = {name: part.view_as(each) for name, part, each in zip(names, parts, parameters, strict=True)}
        return (torch.func.functional_call(layers, values, x) - y).square().mean()

    vector = torch.cat([each.detach().reshape(-1) for each in parameters])
    return lambda: (layers(x) - y).square().mean(), list(parameters), of_vector, vector


def test_a_network_against_its_whole_hessian(torch):
    """torch.autograd.functional.hessian, all 38 x 38 of it, and its eigenvalues."""
    loss, parameters, of_vector, vector = network(torch)
    whole = torch.autograd.functional.hessian(of_vector, vector)
    largest = float(torch.linalg.eigvalsh(whole)[-1])
    found = measured(loss, parameters, iterations=38, tolerance=1e-4)
    assert found.converged
    assert found.value == pytest.approx(largest, rel=1e-6)
    assert float((whole @ found.vector - largest * found.vector).norm()) < 1e-3 * largest


def test_a_preconditioned_network(torch):
    """Scaled on both sides: the eigenvalue of P ** -1/2 H P ** -1/2."""
    loss, parameters, of_vector, vector = network(torch)
    scale = torch.rand(len(vector), dtype=torch.float64) + 0.1
    whole = scale[:, None] * torch.autograd.functional.hessian(of_vector, vector) * scale
    found = measured(loss, parameters, scale=scale, iterations=38, tolerance=1e-4)
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        (gradient_descent_threshold(learning_rate=0.01), 200),
        (heavy_ball_threshold(learning_rate=0.1, momentum=0.9), 38),  # 3.8 / eta
        (adam_threshold(learning_rate=3e-4, beta1=0.9), 126_667),  # 38 / eta, arXiv:2207.14484
        (adam_threshold(learning_rate=1.0, beta1=0.95), 78),  # by the same formula, not published
        (adam_threshold(learning_rate=1.0, beta1=0.0), 2),  # without momentum it is descent
        (nesterov_threshold(learning_rate=0.1, momentum=0.0), 20),
    ],
)
def test_the_limits_as_numbers(limit, number):
    """2 / eta, (2 + 2 beta) / eta, (2 + 2 beta1) / ((1 - beta1) eta)."""
    assert limit == pytest.approx(number, rel=1e-5)


def diverges(torch, optimizer, w, curvatures, *, steps=6000):
    """Whether a real optimizer runs away on 0.5 sum(c w ** 2)."""
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * curvatures * w.square()).sum().backward()
        optimizer.step()
    return not float(w.detach().abs().max()) < 100


@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize(
    ("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)]
)
def test_torchs_sgd_diverges_exactly_above_the_limit(torch, factor, momentum, nesterov):
    """One percent below 2 / eta and its like a quadratic is learned, one percent above it runs away."""
    rate = 0.01
    limit = nesterov_threshold if nesterov else heavy_ball_threshold
    sharpest = factor * limit(learning_rate=rate, momentum=momentum)
    assert momentum or limit(learning_rate=rate, momentum=0.0) == gradient_descent_threshold(
        learning_rate=rate
    )
    curvatures = torch.tensor([sharpest, 1.0], dtype=torch.float64)
    w = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    found = measured(lambda: 0.5 * (curvatures * w.square()).sum(), [w])
    assert (found.value > limit(learning_rate=rate, momentum=momentum)) == (factor > 1)
    optimizer = torch.optim.SGD([w], lr=rate, momentum=momentum, nesterov=nesterov)
    assert diverges(torch, optimizer, w, curvatures) == (factor > 1)


@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize("beta1", [0.9, 0.95])
def test_adam_with_its_moments_held(torch, factor, beta1):
    """Second moments as they are, w -= eta m / P: it runs away above 38 / eta of the preconditioned Hessian, not below."""
    rate, second = 1e-3, torch.tensor([4.0, 0.25, 1.0], dtype=torch.float64)
    precondition = second.sqrt() + 1e-8
    limit = adam_threshold(learning_rate=rate, beta1=beta1)
    curvatures = torch.tensor([factor, 0.5, 0.1], dtype=torch.float64) * limit * precondition
    w = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    found = measured(lambda: 0.5 * (curvatures * w.square()).sum(), [w], scale=precondition.rsqrt())
    assert found.value == pytest.approx(factor * limit, rel=1e-6)
    position, m = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for _ in range(20_000):
        m = beta1 * m + (1 - beta1) * curvatures * position
        position = position - rate * m / precondition
    assert (not float(position.abs().max()) < 100) == (factor > 1)


@pytest.mark.parametrize("rate", [1e-4, 0.03, 0.5, 40.0])
def test_critical_sharpness_of_a_quadratic(torch, rate):
    """Along the gradient v it is v'Hv / v'v, wherever the search begins; within ten forward passes of a good start."""
    from launcher.measuring.sharpness import critical_sharpness

    matrix = symmetric(torch, [10.0, 3.0, 1.0, 0.2])
    loss, parameters = quadratic(torch, matrix)
    before = parameters[0].detach().clone()
    v = matrix @ before
    found = critical_sharpness(loss, parameters, v, learning_rate=rate)
    assert found.sharpness == pytest.approx(float(v @ matrix @ v / (v @ v)), rel=1e-6)
    assert found.learning_rate == pytest.approx(2 / found.sharpness)
    assert torch.equal(parameters[0], before)
    assert rate != 0.5 or found.passes < 10


def test_along_another_update_it_is_its_curvature_over_its_slope(torch):
    """It is u'Hu / g'u for any u that leads down; in fp32 to a percent."""
    from launcher.measuring.sharpness import critical_sharpness

    matrix = symmetric(torch, [10.0, 3.0, 1.0, 0.2], dtype=torch.float32)
    loss, parameters = quadratic(torch, matrix)
    g = matrix @ parameters[0].detach()
    u = g + 0.3 * torch.randn(4)
    found = critical_sharpness(loss, parameters, u, learning_rate=0.1)
    assert found.sharpness == pytest.approx(float(u @ matrix @ u / (g @ u)), rel=0.01)


def test_an_update_that_crosses_nothing(torch):
    """Uphill, downhill for ever, and no update at all are said to be that."""
    from launcher.measuring.sharpness import critical_sharpness

    matrix = symmetric(torch, [2.0, 1.0])
    loss, parameters = quadratic(torch, matrix)
    g = matrix @ parameters[0].detach()
    up = critical_sharpness(loss, parameters, -g, learning_rate=0.1)
    assert (up.sharpness, up.why) == (None, "the loss rises along the update from the first step on")
    w = torch.nn.Parameter(torch.ones(2))
    down = critical_sharpness(w.sum, [w], torch.ones(2), learning_rate=0.1)
    assert down.sharpness is None
    assert down.why.startswith("the loss falls along the update up to a rate of ")
    assert critical_sharpness(loss, parameters, 0 * g, learning_rate=0.1).why == "the update is 0"


def test_a_loss_that_ends_in_nan_is_a_step_too_far(torch):
    """Beyond the edge of where it is defined there is no number, and that is not downhill."""
    from launcher.measuring.sharpness import critical_sharpness

    w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    found = critical_sharpness(
        lambda: -(4 - w).sqrt().sum(), [w], -torch.ones(1).double(), learning_rate=100.0
    )
    assert found.learning_rate is None or math.isfinite(found.learning_rate)
    found = critical_sharpness(
        lambda: w.sum() - 0.1 * (w + 1).log().sum(), [w], torch.ones(1).double(), learning_rate=1.0
    )
    assert 1.9 < found.learning_rate < 2.0


def test_the_rise_within_a_ball(torch):
    """For a quadratic: rho |g| + rho ** 2 / 2 along the gradient; the parameters are as they were."""
    from launcher.measuring.sharpness import rise_within

    matrix = symmetric(torch, [4.0, 1.0])
    loss, parameters = quadratic(torch, matrix)
    before = parameters[0].detach().clone()
    g = matrix @ before
    rise = 0.05 * g.norm() + 0.05**2 / 2 * (g @ matrix @ g) / (g @ g)
    assert rise_within(loss, parameters, g) == pytest.approx(float(rise), rel=1e-9)
    assert torch.equal(parameters[0], before)
    assert rise_within(loss, parameters, 0 * g) == 0.0


def test_a_settled_module_gives_one_number(torch):
    """Dropout is off, batch norm normalises by the batch, and both are as they were afterwards."""
    from launcher.measuring.sharpness import settled, top_eigenvalue

    norm = torch.nn.BatchNorm1d(4)
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), norm, torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    x = 5 + torch.randn(16, 4)
    mean, modes = norm.running_mean.clone(), [each.training for each in module.modules()]
    with settled(module):
        assert norm.training
        first, second = module(x), module(x)
        assert torch.equal(first, second)
        found = top_eigenvalue(lambda: module(x).square().mean(), list(module.parameters()))
    assert found.value > 0
    assert torch.equal(norm.running_mean, mean)
    assert [each.training for each in module.modules()] == modes


def test_attention_has_a_second_derivative_when_settled(torch):
    """The fused kernels of torch have none, and say so; the plain one is used instead."""
    from torch.nn.functional import scaled_dot_product_attention

    from launcher.measuring.sharpness import settled, top_eigenvalue

    w = torch.nn.Parameter(torch.randn(1, 2, 8, 16))
    module = torch.nn.Module()

    def loss():
        return scaled_dot_product_attention(w, w, w, is_causal=True).square().mean()

    with pytest.raises(RuntimeError, match=r"derivative for .*attention.* is not implemented"):
        top_eigenvalue(loss, [w])
    with settled(module):
        assert top_eigenvalue(loss, [w]).value > 0


def test_a_backward_that_is_not_derived_is_found_out(torch):
    """Torch takes it for a constant and says nothing; gradients beside the parameters tell."""
    from torch.autograd.function import once_differentiable

    from launcher.measuring.sharpness import disagreement, top_eigenvalue

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, gradient):
            return 2 * gradient * ctx.saved_tensors[0]

    w = torch.nn.Parameter(torch.ones(3))
    weights = torch.tensor([1.0, 2.0, 3.0])

    def hidden():
        return (Square.apply(w) * weights).sum() + (w**2).sum()

    def plain():
        return (w * w * weights).sum() + (w**2).sum()

    assert top_eigenvalue(hidden, [w]).value == pytest.approx(2)  # the plain part alone
    assert "differences of gradients" in disagreement(hidden, [w], top_eigenvalue(hidden, [w]))
    found = top_eigenvalue(plain, [w], tolerance=1e-4)
    assert found.value == pytest.approx(8, rel=1e-3)
    assert disagreement(plain, [w], found) == ""
    assert torch.equal(w.detach(), torch.ones(3))


def test_a_network_agrees_with_its_gradients(torch):
    """In fp32, preconditioned by entries from 0.1 to 1,000 too; a plane as well."""
    from launcher.measuring.sharpness import disagreement, top_eigenvalue

    module = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.GELU(), torch.nn.Linear(32, 4))
    x, y = torch.randn(64, 8), torch.randint(0, 4, (64,))
    parameters = list(module.parameters())

    def loss():
        return torch.nn.functional.cross_entropy(module(x), y)

    count = sum(each.numel() for each in parameters)
    for scale in (None, 10 ** (4 * torch.rand(count) - 1)):
        found = top_eigenvalue(loss, parameters, scale=scale)
        assert disagreement(loss, parameters, found, scale=scale) == ""
    w = torch.nn.Parameter(torch.ones(3))
    assert disagreement(w.sum, [w], top_eigenvalue(w.sum, [w])) == ""


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_descent_hovers_at_its_limit(torch, rate):
    """Gradient descent sharpens a network up to 2 / eta and stays there while the loss falls: arXiv:2103.00065."""
    from launcher.measuring.sharpness import top_eigenvalue

    x = torch.randn(50, 4).double()
    y = torch.sin(3 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    module = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).double()
    parameters = list(module.parameters())

    def loss():
        return (module(x) - y).square().mean()

    limit, seen, losses = gradient_descent_threshold(learning_rate=rate), [], []
    for step in range(2401):
        value = loss()
        if step % 600 == 0:
            seen.append(top_eigenvalue(loss, parameters).value)
            losses.append(float(value.detach()))
        gradient = torch.autograd.grad(value, parameters)
        with torch.no_grad():
            for each, slope in zip(parameters, gradient, strict=True):
                each.sub_(slope, alpha=rate)
    assert seen[0] < 0.75 * limit
    assert seen[-2:] == pytest.approx([limit, limit], rel=0.1)
    assert losses[-1] < losses[-2] < losses[0] / 50
