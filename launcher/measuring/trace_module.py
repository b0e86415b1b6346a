"""The person's own function: found, called with the sizes it takes, its module and batch made ready. Imports torch."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_iter, tree_map

from launcher.measuring.trace_fit import Size
from launcher.measuring.trace_surroundings import DTYPES
from launcher.spec.model import Model
from launcher.spec.recipe import Recipe

__all__ = ["Refused", "Taken", "find_function", "make_ready", "resized", "sample_size", "taken_by"]


_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Refused(Exception):  # noqa: N818 - an answer to a person
    """No trace; `code` is one of launcher.errors.codes."""

    def __init__(self, code: str, message: str, *, hint: str = "", because: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.because = code, message, hint, because


@dataclass(frozen=True, slots=True)
class Taken:
    """Keyword arguments that a function takes."""

    names: tuple[str, ...]
    """`*` for any."""

    def __contains__(self, name: str) -> bool:
        return name in self.names or "*" in self.names

    def of(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the offered arguments that it takes."""
        return {name: value for name, value in offered.items() if name in self}


def find_function(name: str, *, directory: Path) -> Callable[..., Any]:
    """`package.file:function`, imported from a folder.

    Raises Refused where there is no such file or function; errors of the import itself pass through.
    """
    module_name, _, attribute = name.partition(":")
    path = directory.joinpath(*module_name.split("."))
    if not attribute:
        raise Refused(
            "module-not-found",
            f"`model.module: {name}` names no function; expected `package.file:function`",
            hint=f"write model.module: {name}:build",
        )
    if not path.with_suffix(".py").is_file() and not path.joinpath("__init__.py").is_file():
        raise Refused(
            "module-not-found",
            f"`model.module: {name}`: there is no {'/'.join(module_name.split('.'))}.py beside the recipe",
            hint="the path is taken from the recipe's folder, its parts joined by dots",
        )
    sys.path.insert(0, str(directory))
    module = importlib.import_module(module_name)
    if not Path(str(module.__file__)).resolve().is_relative_to(directory.resolve()):
        raise Refused(
            "module-not-found",
            f"`model.module: {name}`: another module is called {module_name}, {module.__file__}",
            hint="give the file a name of its own",
        )
    found = getattr(module, attribute, None)
    if not callable(found):
        raise Refused(
            "module-not-found",
            f"`model.module: {name}`: {module_name} has no function `{attribute}`",
            hint="write the name of a function that returns a module and a sample batch",
        )
    return found  # type: ignore[no-any-return]


def taken_by(function: Callable[..., Any], offered: Mapping[str, Any], *, name: str) -> Taken:
    """Names that the function takes.

    Raises Refused where it asks for something that is not offered.
    """
    parameters = inspect.signature(function).parameters.values()
    missing = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in _REST and one.name not in offered
    ]
    if missing:
        raise Refused(
            "module-unusable",
            f"`model.module: {name}` asks for {_listed(missing)}, which the recipe does not say",
            hint=_give(missing[0]),
        )
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return Taken(("*",))
    return Taken(tuple(sorted(one.name for one in parameters if one.kind in _BY_NAME)))


def make_ready(
    made: Any, *, name: str, compute: str, autocast: bool, frozen: tuple[str, ...]
) -> tuple[Any, Any]:
    """Module and batch as they are trained: training mode, number format, frozen parameters.

    Raises Refused where they are not a module and a batch.
    """
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module)):
        raise Refused(
            "module-unusable",
            f"`model.module: {name}` returns {_words(made)}; expected (nn.Module, sample batch)",
            hint="return the module and one batch: a tensor, or a tuple or mapping of what the module is called with",
        )
    module, batch = made
    dtype = DTYPES[compute]
    if not autocast and dtype is not torch.float32:
        module = module.to(dtype)
        batch = tree_map(lambda one: one.to(dtype) if _floating(one) else one, batch)
    for path, parameter in module.named_parameters():
        if any(part in frozen for part in path.split(".")):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise Refused(
            "module-unusable",
            f"`model.module: {name}` returns a module without a parameter to train",
            hint="leave requires_grad of what is trained as it is",
        )
    return module.train(), batch


def resized(batch: Any, *, size: Size, sample: Size, axes: tuple[bool, bool]) -> Any:
    """The batch with its first and second dimension changed from the sample's to `size`, where `axes` says so."""

    def one(tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor) or tensor.dim() == 0:
            return tensor
        shape = list(tensor.shape)
        if axes[0] and shape[0] == sample.batch:
            shape[0] = size.batch
        if axes[1] and len(shape) > 1 and shape[1] == sample.length:
            shape[1] = size.length
        return tensor if shape == list(tensor.shape) else tensor.new_zeros(shape)

    return tree_map(one, batch)


def sample_size(batch: Any) -> Size | None:
    """First and second dimension that all tensors of a batch share (length 0: they share none)."""
    shapes = [tuple(one.shape) for one in tree_iter(batch) if isinstance(one, torch.Tensor) and one.dim()]
    if not shapes or len({shape[0] for shape in shapes}) > 1:
        return None
    lengths = {shape[1] for shape in shapes if len(shape) > 1}
    return Size(shapes[0][0], lengths.pop() if len(lengths) == 1 else 0)


def _give(name: str) -> str:
    if name in {one.name for one in fields(Model)}:
        return f"write model.{name}, or give the parameter a default"
    if name in {one.name for one in fields(Recipe)}:
        return f"write {name}, or give the parameter a default"
    return "give the parameter a default: no key of a recipe has that name"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(one).__name__ for one in value)})"
    return type(value).__name__
