"""A Hugging Face config.json as a source of a recipe: its dimensions written out, so that the recipe is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from launcher.errors import Problem, RecipeError
from launcher.loading.hugging_face import dimensions_of, known_types, named_as
from launcher.spec.begun import UNWRITTEN, Carried, NotCarried, Reading
from launcher.spec.model import Model

__all__ = ["read_config"]

_OPEN = frozenset({"adapter", "frozen", "implementation", "batch_coupled", "capacity_factor"})
"""Keys of `model` that are no property of the architecture."""


def read_config(config: Mapping[str, Any], *, source: str) -> Reading:
    """Every dimension; what the file does not say is as its architecture has it. Raises RecipeError."""
    try:
        dims = dimensions_of(config)
    except KeyError as error:
        known = ", ".join(known_types())
        problem = Problem(
            code="bad-config",
            where=source,
            message=f"a model of model_type {error}, which is not read",
            hint=f"write the dimensions into the recipe; read are {known}",
        )
        raise RecipeError([problem]) from None
    unset = Model()
    carried = []
    named = {item.name for item in fields(Model)}
    for key, value in dims.items():
        if key == "hidden_size":
            carried.append(Carried(key, value, source, _said(key, config)))
        elif key in named:
            written = UNWRITTEN if value == getattr(unset, key) or value is None else value
            carried.append(Carried(f"model.{key}", written, source, _said(key, config)))
    settled = named - _OPEN - dims.keys()
    carried.extend(Carried(f"model.{key}", UNWRITTEN, source, "model_type") for key in sorted(settled))
    return Reading(
        source=source,
        kind="a Hugging Face config.json",
        carried=tuple(carried),
        not_carried=_not_carried(config, source),
    )


def _said(key: str, config: Mapping[str, Any]) -> str:
    return named_as(key, config) or f"model_type {config.get('model_type')}"


def _not_carried(config: Mapping[str, Any], source: str) -> tuple[NotCarried, ...]:
    """What changes the training and has no key in a recipe."""
    found = []
    scaling = config.get("rope_scaling")
    if isinstance(scaling, Mapping) and scaling:
        why = "a recipe does not know how positions are stretched; memory and time do not depend on it"
        found.append(NotCarried(source, "rope_scaling", dict(scaling), why, "leave it to the script"))
    if (kind := config.get("quantization_config")) is not None:
        why = "how weights were stored, not what is trained"
        found.append(NotCarried(source, "quantization_config", kind, why, "write model.adapter.quantization"))
    dtype = config.get("torch_dtype") or config.get("dtype")
    if dtype is not None:
        why = "what the weights were saved in, not what is trained in"
        found.append(NotCarried(source, "torch_dtype", dtype, why, "write precision"))
    return tuple(found)
