"""What the families of Hugging Face transformers have in common: how one is built from a bare configuration and fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.measuring.ledgers.family import Family, Sizes, Variant
from launcher.measuring.ledgers.sizes import HELD_OUT, SETS, SYMBOLS

__all__ = ["built", "describes", "family", "language_model"]


def built(model: Any, config: Any, variant: Variant) -> Any:
    """A model in training mode, with the variant's attention."""
    config._attn_implementation = variant.attention  # noqa: SLF001
    config.use_cache = False
    return model(config).train()


def language_model(model: Any, sizes: Sizes, variant: Variant) -> Callable[[], Any]:
    """One forward pass over tokens with a label each; with a mask the first sequence is two tokens shorter."""
    import torch

    ids = torch.randint(0, sizes["V"], (sizes["b"], sizes["s"]))
    labels = ids.clone()
    given: dict[str, Any] = {"input_ids": ids, "labels": labels}
    if variant.mask:
        mask = torch.ones_like(ids)
        mask[0, -2:] = 0
        given["attention_mask"] = mask

    def forward() -> Any:
        output = model(**given)
        return output.loss, output.logits

    return forward


def describes(
    norm: str, activation: str, position: str, *, gated: bool, bias: bool, tied: bool
) -> dict[str, Any]:
    """What a recipe would say of the family."""
    return {
        "norm": norm,
        "gated_mlp": gated,
        "activation": activation,
        "position": position,
        "bias": bias,
        "tie_word_embeddings": tied,
    }


def family(name: str, **given: Any) -> Family:
    """A family of transformers, with the usual where nothing is said."""
    folder = given.pop("folder", name)
    common: dict[str, Any] = {
        "implementation": "transformers",
        "name": name,
        "source": f"transformers@5.23.0 models/{folder}/modeling_{folder}.py",
        "symbols": SYMBOLS,
        "sets": SETS,
        "held_out": HELD_OUT,
        "call": language_model,
        "versions": ("torch", "transformers"),
    }
    return Family(**(common | given))
