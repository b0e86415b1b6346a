"""What `batchwright init` asks when there is nothing to read: one line of words for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["QUESTIONS", "Question"]

_IMAGES = ("vit", "resnet", "mlp")


class Question(NamedTuple):
    """One key of the recipe."""

    path: str
    words: str
    """What the answer means, in one line."""
    default: str
    """Taken for an empty answer; empty: an answer is needed."""
    asked: Callable[[Mapping[str, str]], bool] = lambda _: True
    """Whether the answers so far leave anything to ask."""


def _has_sequences(answers: Mapping[str, str]) -> bool:
    return answers.get("model.kind", "decoder") not in _IMAGES


def _has_width(answers: Mapping[str, str]) -> bool:
    return answers.get("model.kind", "decoder") != "resnet"


QUESTIONS = (
    Question(
        "model.kind",
        "decoder (GPT, Llama), encoder (BERT), encoder-decoder (T5), moe, rnn, lstm, gru, bag, mlp, vit or resnet",
        "decoder",
    ),
    Question("global_batch_size", "sequences (samples) per optimizer step, over the whole job", ""),
    Question("sequence_length", "tokens in one sequence, or time steps", "", _has_sequences),
    Question("hidden_size", "width of the model: features of one token", "", _has_width),
    Question("cluster.device", "what trains: a name of the catalog, or cpu", "cpu"),
    Question("cluster.nodes", "machines", "1"),
    Question("cluster.devices_per_node", "devices, and processes, of each machine", "1"),
    Question("launch.engine", "torchrun, accelerate or deepspeed: what starts the processes", "torchrun"),
    Question("launch.script", "the training script, from the folder of the recipe", "train.py"),
)
"""In the order they are asked."""
