"""Bytes that one forward pass of a real module keeps for its backward pass, by place in the network.

Every storage counts once, however many tensors look at it; parameters and buffers do not count, inputs do.
Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from launcher.measuring.recording import Recording

__all__ = ["follow_places", "saved_bytes"]


def saved_bytes(
    module: Any, call: Callable[[], Any], *, places: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Bytes saved by `call()`, a forward pass of `module`, in whole storages; keys are places, "" for the rest.

    `places` names submodules by their dotted path; a submodule without a name belongs to the one around it.
    """
    recording = Recording()
    recording.know(dict(module.named_parameters()), as_="parameter")
    recording.know(dict(module.named_buffers()), as_="buffer")
    with ExitStack() as stack:
        stack.callback(follow_places(module, recording, places or {}))
        stack.enter_context(recording)
        stack.enter_context(recording.saving())
        kept = call()
    found: dict[str, int] = {}
    for seen in recording.seen:
        if seen.saved_in is not None and seen.made_by not in ("parameter", "buffer"):
            found[seen.saved_in] = found.get(seen.saved_in, 0) + seen.size
    del kept
    return found


def follow_places(module: Any, recording: Recording, places: Mapping[str, str]) -> Callable[[], None]:
    """Moves the recording's place as submodules are entered and left; the answer undoes it."""
    stack: list[str] = []
    handles: list[Any] = []

    def entering(place: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            stack.append(recording.place)
            recording.place = place

        return hook

    def leaving(*_: Any) -> None:
        recording.place = stack.pop()

    for path, submodule in module.named_modules():
        if path in places:
            handles.append(submodule.register_forward_pre_hook(entering(places[path])))
            handles.append(submodule.register_forward_hook(leaving))

    def undo() -> None:
        for handle in handles:
            handle.remove()

    return undo
