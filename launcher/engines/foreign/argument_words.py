"""Arguments of a training script as keys and values, as the Trainer's own parser takes them.

Source: transformers@5.23.0 hf_argparser.py:HfArgumentParser (flags may stand alone or be followed by a truth value).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from launcher.engines.foreign.trainer import looks_like_trainer

__all__ = ["trainer_arguments"]

_TRUTHS = {
    "true": True,
    "yes": True,
    "t": True,
    "y": True,
    "false": False,
    "no": False,
    "f": False,
    "n": False,
}
_WORDS = frozenset(
    {
        "eval_strategy",
        "evaluation_strategy",
        "save_strategy",
        "lr_scheduler_type",
        "optim",
        "fsdp",
        "deepspeed",
    }
)
"""Arguments whose value is a word, be it `no`."""


def trainer_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Name to value; empty where the words are not those of a Trainer script."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("--") or word == "--":
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals:
            values = []
            while at < len(words) and not (words[at].startswith("--") and len(words[at]) > 2):
                values.append(words[at])
                at += 1
            value = " ".join(values)
            found[name] = _typed(name, value) if values else True
        else:
            found[name] = _typed(name, value)
    return found if looks_like_trainer(found) else {}


def _typed(name: str, value: str) -> Any:
    if name in _WORDS:
        return value
    if value.lower() in _TRUTHS:
        return _TRUTHS[value.lower()]
    if value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
