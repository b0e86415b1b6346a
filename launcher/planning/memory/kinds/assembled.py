"""Parts made of traced operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.planning.memory.kinds.chain import Trace, Value
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights

__all__ = ["block_of", "freeze", "head_of", "part_of", "weights_of"]

SOURCE = "autograd formulas of torch 2.13.0, operation by operation"


def part_of(trace: Trace, *, name: str, **more: object) -> Part:
    """A part with the bytes of a trace."""
    return replace(
        Part(
            name=name,
            weights=weights_of(trace.parameters),
            saved=trace.saved,
            backward=trace.backward,
            backward_gradients=trace.backward_gradients,
            forward=trace.forward,
            forward_beyond=trace.forward,
            casts=trace.casts,
            source=SOURCE,
        ),
        **more,  # type: ignore[arg-type]
    )


def block_of(trace: Trace, given: Value, *, name: str, repeat: int = 1) -> Part:
    """A part that can be checkpointed: from `given` alone it is computed again."""
    again = trace.saved - (0 if given.kept else given.size)
    return part_of(trace, name=name, repeat=repeat, boundary=given.size, recomputed=max(0, again))


def head_of(*, whole: Trace, loss: Trace, name: str = "head") -> Part:
    """The last part: `whole` is head and loss, `loss` the loss alone."""
    return part_of(
        whole, name=name, place="last", loss=loss.backward, logits=loss.saved, checkpointable=False
    )


def weights_of(parameters: Sequence[int]) -> tuple[Weights, ...]:
    """Whole tensors, held on every rank alike."""
    return (Weights(count=sum(parameters), largest=max(parameters)),) if parameters else ()


def freeze(parts: Sequence[Part], network: Network) -> tuple[Part, ...]:
    """Parts with those of `network.frozen` untrained; up to the first trained one nothing is kept for backward."""
    found, trained = [], False
    for part in parts:
        if any(name in {part.name, part.name.split(".")[0]} for name in network.frozen):
            weights = tuple(replace(weight, trained=0) for weight in part.weights)
            idle = (
                {} if trained else {"saved": 0, "core": 0, "backward": 0, "backward_gradients": 0, "casts": 0}
            )
            found.append(replace(part, weights=weights, **idle))  # type: ignore[arg-type]
        else:
            trained = trained or bool(part.weights)
            found.append(part)
    return tuple(found)
