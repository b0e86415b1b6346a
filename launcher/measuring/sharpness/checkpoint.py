"""A checkpoint as a script saves it with torch.save: the model's tensors, the optimizer's, the run's. Imports torch."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from launcher.measuring.trace_module import Refused

__all__ = ["Checkpoint", "load_into", "read_batch", "read_checkpoint"]

_MODEL = ("model", "state_dict", "model_state_dict", "module")
_OPTIMIZER = ("optimizer", "optimizer_state_dict", "optim")
_WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""


class Checkpoint(NamedTuple):
    """What a file holds."""

    model: Mapping[str, Any]
    optimizer: Mapping[str, Any] | None
    run: Mapping[str, Any]
    """`run.state_dict()` of the runtime: samples, steps; empty where it is not there."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises Refused[checkpoint-unreadable]. Tensors and plain values only: no code of the file is run."""
    content = _load(path)
    if not isinstance(content, Mapping):
        raise _refused(path, f"holds {type(content).__name__}, expected a state dict")
    model = content if _is_state(content) else next((content[key] for key in _MODEL if key in content), None)
    if not isinstance(model, Mapping) or not _is_state(model):
        keys = ", ".join(f"`{key}`" for key in list(content)[:6])
        raise _refused(
            path, f"holds no model: its keys are {keys or 'none'}, expected a state dict or `model`"
        )
    optimizer = next((content[key] for key in _OPTIMIZER if isinstance(content.get(key), Mapping)), None)
    run = content.get("run")
    return Checkpoint(
        {_bare(name): value for name, value in model.items()},
        optimizer if optimizer and "param_groups" in optimizer else None,
        run if isinstance(run, Mapping) and model is not content else {},
    )


def read_batch(path: Path) -> Any:
    """What the module is called with. Raises Refused[checkpoint-unreadable]."""
    return _load(path)


def load_into(module: Any, checkpoint: Checkpoint, path: Path) -> None:
    """Raises Refused[checkpoint-unreadable] where names or shapes are others."""
    own = module.state_dict()
    absent = [name for name in own if name not in checkpoint.model]
    strange = [name for name in checkpoint.model if name not in own]
    other = [
        f"{name} ({_shape(checkpoint.model[name])}, the module's is {_shape(own[name])})"
        for name in own
        if name in checkpoint.model and checkpoint.model[name].shape != own[name].shape
    ]
    wrong = [("lacks", absent), ("has beside it", strange), ("has in another shape", other)]
    because = tuple(f"it {what} {', '.join(names[:3])}{_more(names)}" for what, names in wrong if names)
    if because:
        raise _refused(path, "is of another module", because=because)
    module.load_state_dict(checkpoint.model)


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise _refused(
            path, "cannot be read by torch.load", because=(f"{type(error).__name__}: {first}",)
        ) from None


def _is_state(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


def _bare(name: str) -> str:
    for wrapper in _WRAPPERS * 2:
        name = name.removeprefix(wrapper)
    return name


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _refused(path: Path, words: str, *, because: tuple[str, ...] = ()) -> Refused:
    hint = 'save one file with torch.save({"model": model.state_dict(), "optimizer": ...}), as one rank holds it whole'
    return Refused("checkpoint-unreadable", f"`{path}` {words}", hint=hint, because=because)
