"""The largest eigenvalue of a loss's Hessian, from products of the Hessian with vectors. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

__all__ = ["Curvature", "flat", "top_eigenvalue"]

DEPENDENT = 1e-10
"""Of the largest eigenvalue of a Gram matrix: directions below it add nothing but rounding."""


class Curvature(NamedTuple):
    """What was found of the largest eigenvalue."""

    value: float
    """Rayleigh quotient of the last vector: the largest eigenvalue is not below it, but for rounding."""
    residual: float
    """|H v - value v| for that unit vector: an eigenvalue lies within this distance of the value."""
    products: int
    """Hessian-vector products that it took."""
    converged: bool
    """Whether the residual has come below the tolerance."""
    vector: Any
    """The unit vector, flat."""


def top_eigenvalue(
    loss: Callable[[], Any],
    parameters: Sequence[Any],
    *,
    scale: Any = None,
    iterations: int = 20,
    tolerance: float = 0.01,
    seed: int = 0,
) -> Curvature:
    """The largest (not the largest in size) eigenvalue of the Hessian, in loss per squared parameter.

    Power iteration, one product each, with the best vector in the span of the present one, its residual and the last
    move taken each time: as cheap in products, and far sooner there where eigenvalues are close or large negative
    ones exist. Holds seven vectors of the parameters' size and the graph of one double backward.

    loss: computes the loss anew, always the same number (see settled). parameters: what it depends on, with gradients.
    scale: flat, positive; the eigenvalue is then that of diag(scale) H diag(scale), which for scale = P ** -1/2 is
        the preconditioned one. iterations: products at most, less the first and the last one, which is the check.
    tolerance: of the residual, over the value.

    Raises RuntimeError, as torch words it, where an operation has no second derivative.
    Source: Knyazev 2001, doi:10.1137/S1064827500366124 (LOBPCG, block size 1).
    Checked: diagonal and dense quadratics to 1e-4, a small network against torch.autograd.functional.hessian.
    """
    multiply = _product(loss, parameters, scale)
    first = parameters[0]
    count = sum(each.numel() for each in parameters)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, generator=generator, dtype=first.dtype).to(first.device)
    x /= x.norm()
    hx, products = multiply(x), 1
    move: tuple[Any, Any] | None = None
    value, residual = _judged(x, hx)
    for _ in range(min(iterations, count - 1)):
        if residual <= tolerance * abs(value):
            break
        r = hx - value * x
        r /= r.norm()
        basis = [(x, hx), (r, multiply(r))] + ([move] if move is not None else [])
        products += 1
        x, hx, move = _best(basis)
        value, residual = _judged(x, hx)
    if products > 1:  # hx was put together from earlier products: this one says how far that has led
        hx, products = multiply(x), products + 1
        value, residual = _judged(x, hx)
    return Curvature(value, residual, products, residual <= tolerance * abs(value), x)


def flat(tensors: Sequence[Any]) -> Any:
    """One vector of all entries, in order."""
    return torch.cat([each.reshape(-1) for each in tensors])


def _product(loss: Callable[[], Any], parameters: Sequence[Any], scale: Any) -> Callable[[Any], Any]:
    """From v to H v; the first backward is done once."""
    gradients = torch.autograd.grad(
        loss(), list(parameters), create_graph=True, allow_unused=True, materialize_grads=True
    )
    gradient = flat(gradients)
    if gradient.grad_fn is None:  # a loss that is linear in them has no curvature
        return torch.zeros_like  # type: ignore[no-any-return]

    def multiply(vector: Any) -> Any:
        turned = vector if scale is None else scale * vector
        second = torch.autograd.grad(
            gradient, list(parameters), turned, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        found = flat([each.detach() for each in second])
        return found if scale is None else scale * found

    return multiply


def _judged(x: Any, hx: Any) -> tuple[float, float]:
    value = float(x.double() @ hx.double())
    return value, float((hx.double() - value * x.double()).norm())


def _best(basis: Sequence[tuple[Any, Any]]) -> tuple[Any, Any, tuple[Any, Any] | None]:
    """The unit vector of largest Rayleigh quotient in the span of two or three, its product, and how it has moved."""
    vectors, products = (torch.stack([pair[at] for pair in basis]).double() for at in (0, 1))
    gram, inner = vectors @ vectors.T, vectors @ products.T
    sizes, turned = torch.linalg.eigh((gram + gram.T) / 2)
    kept = sizes > DEPENDENT * sizes[-1]
    whiten = turned[:, kept] / sizes[kept].sqrt()
    _, found = torch.linalg.eigh(whiten.T @ ((inner + inner.T) / 2) @ whiten)
    weights = whiten @ found[:, -1]
    x, hx = weights @ vectors, weights @ products
    length, moved = x.norm(), weights.clone()
    moved[0] = 0
    p = moved @ vectors
    dtype, size = basis[0][0].dtype, p.norm()
    move = ((p / size).to(dtype), (moved @ products / size).to(dtype)) if size > 0 else None
    return (x / length).to(dtype), (hx / length).to(dtype), move
