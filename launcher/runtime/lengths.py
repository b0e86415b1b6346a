"""The datasets of a run: one, or one for every sequence length that its stages have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.stages.ledger import stages_of
from launcher.planning.stages.whole_sequences import longest_length
from launcher.planning.stream import carries_state
from launcher.spec.plan import RunPlan

__all__ = ["datasets_of", "read_samples"]


def datasets_of(plan: RunPlan, dataset: Any) -> Mapping[int | None, Any]:
    """The dataset of every sequence length (tokens) in the plan.

    dataset: map-style; or a function of the length, whose result holds the same tokens in the same order cut at it.
    Raises WorldError[not-yet-supported] for what cannot be read by number, [dataset-of-one-length].
    """
    lengths = tuple(dict.fromkeys(stage.batch.sequence_length for stage in stages_of(plan)))
    is_function = callable(dataset) and not hasattr(dataset, "__getitem__")
    if len(lengths) > 1 and not is_function:
        raise _one_length(dataset, lengths)
    found = {length: dataset(length) if is_function else dataset for length in lengths}
    for each in found.values():
        _readable(each)
    return found


def read_samples(plan: RunPlan, datasets: Mapping[int | None, Any]) -> int:
    """Samples of one epoch, sequences of the longest length: the plan's, else those of the dataset.

    Raises WorldError[dataset-too-small] where a dataset does not reach as far.
    """
    longest, planned = longest_length(datasets), plan.data["num_samples"]
    of_longest = next(iter(datasets.values())) if longest is None else datasets[longest]
    samples = int(planned or len(of_longest))
    # with carried state every slot reads a stretch of its own
    least = plan.batch.global_batch_size if carries_state(plan.model) else 1
    for length, dataset in datasets.items():
        needed = max(least, samples if longest is None or length is None else samples * (longest // length))
        if len(dataset) < needed:
            raise _too_small(length if longest else None, there=len(dataset), needed=needed)
    return samples


def _readable(dataset: Any) -> None:
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        return
    message = f"the dataset `{type(dataset).__name__}` has no length or no items by number"
    hint = "give run.steps a map-style dataset"
    raise WorldError([Problem(code="not-yet-supported", path="data.kind", message=message, hint=hint)])


def _one_length(dataset: Any, lengths: tuple[int | None, ...]) -> WorldError:
    words = ", then ".join(str(length) for length in lengths)
    return WorldError(
        [
            Problem(
                code="dataset-of-one-length",
                path="stages",
                message=f"planned sequences of {words} tokens, found one dataset `{type(dataset).__name__}`",
                hint="run.steps(lambda length: the data cut into sequences of that many tokens)",
            )
        ]
    )


def _too_small(length: int | None, *, there: int, needed: int) -> WorldError:
    of_length = "" if length is None else f" of {length} tokens"
    message = f"the dataset holds {there} samples{of_length}, planned are {needed}"
    hint = "cut the same tokens for every length" if length else f"data.num_samples: {there}"
    return WorldError(
        [Problem(code="dataset-too-small", path="data.num_samples", message=message, hint=hint)]
    )
