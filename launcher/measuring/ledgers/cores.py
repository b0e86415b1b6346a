"""Finds the core of attention in a pass: what runs between queries, keys and values and their output. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn import functional

from launcher.measuring.recording import Recording

__all__ = ["watch_cores"]


@contextmanager
def watch_cores(recording: Recording) -> Iterator[None]:
    """While entered, what the core saves has a place of its own, but for its inputs and its output."""
    undo = [_watch_torch(recording), _watch_transformers(recording)]
    try:
        yield
    finally:
        for each in undo:
            each()


def _watch_torch(recording: Recording) -> Callable[[], None]:
    inner = functional.scaled_dot_product_attention

    def around(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> Any:
        return _inside(recording, lambda: inner(query, key, value, *rest, **named), (query, key, value))

    functional.scaled_dot_product_attention = around

    def undo() -> None:
        functional.scaled_dot_product_attention = inner

    return undo


def _watch_transformers(recording: Recording) -> Callable[[], None]:
    try:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    except ImportError:
        return lambda: None
    functions: Any = ALL_ATTENTION_FUNCTIONS
    original = functions.get_interface

    def get_interface(*args: Any) -> Callable[..., Any]:
        inner = original(*args)

        def around(module: Any, query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> Any:
            def call() -> Any:
                return inner(module, query, key, value, *rest, **named)

            return _inside(recording, call, (query, key, value))

        return around

    functions.get_interface = get_interface

    def undo() -> None:
        del functions.get_interface

    return undo


def _inside(recording: Recording, call: Callable[[], Any], inputs: tuple[Any, ...]) -> Any:
    outer = recording.place
    recording.place = _core_of(outer)
    result = call()
    output = result[0] if isinstance(result, tuple) else result
    for tensor in (*inputs, output):
        seen = recording.find(tensor)
        # queries, keys, values and output stay when the core is computed again
        if seen is not None and seen.saved_in == recording.place:
            seen.saved_in = outer
    recording.place = outer
    return result


def _core_of(place: str) -> str:
    if place.endswith(("core", "first", "last")):
        return place
    return place.removesuffix(".attention") + ".core" if place.endswith(".attention") else f"{place}_core"
