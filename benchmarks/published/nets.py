"""Networks that several tables only name: BERT, ResNet and Transformer-XL as NVIDIA and others train them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from published import rows
from published.case import Case, whole

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

__all__ = ["bert", "formats_named", "resnet", "transformer_xl"]


def formats_named(text: str) -> Formats:
    """fp32 (and TF32), or mixed precision with fp32 weights."""
    if "fp16" in text or "mixed" in text or "AMP" in text:
        return rows.AMP16
    return rows.AMPBF if "bf16" in text else rows.FP32


def bert(row: Mapping[str, str], *, batch: int, **given: Any) -> Case:
    """BERT pretraining on masked positions only, or a question-answering head: no logits of every token.

    Source: NVIDIA/DeepLearningExamples PyTorch/LanguageModeling/BERT/modeling.py:BertForPreTraining
    (dense_seq_output) and BertForQuestionAnswering.
    """
    network = rows.network(row, kind="encoder", implementation="transformers", family="bert", dropout=0.1)
    setting = Setting(
        micro_batch_size=batch,
        sequence_length=whole(row["seq_len"]),
        gradient_accumulation_steps=max(1, whole(row.get("grad_accum"), 1)),
        attention="eager",
        optimizer="lamb" if "LAMB" in row.get("optimizer", "") else "adamw",
        optimizer_implementation="fused",
        logits="fused",
        formats=formats_named(row["precision"]),
        layout=Layout(data=max(1, whole(row.get("n_gpus"), 1))),
    )
    return Case(network=network, setting=setting, outcome=rows.outcome(row), **{**rows.cap(row), **given})


def resnet(row: Mapping[str, str], *, batch: int, depth: int = 50, image: int = 224, **given: Any) -> Case:
    """ResNet on ImageNet, SGD with momentum."""
    network = Network(kind="resnet", implementation="torch", depth=depth, image_size=image, num_classes=1000)
    setting = Setting(
        micro_batch_size=batch,
        optimizer="sgd",
        momentum=0.9,
        formats=formats_named(row["precision"]),
        layout=Layout(data=max(1, whole(row.get("n_gpus"), 1))),
    )
    return Case(network=network, setting=setting, outcome=rows.outcome(row), **{**rows.cap(row), **given})


def transformer_xl(row: Mapping[str, str], *, batch: int, **given: Any) -> Case:
    """Transformer-XL as a decoder: its memory of earlier keys is left out, its adaptive softmax taken as chunked.

    Source: NVIDIA/DeepLearningExamples PyTorch/LanguageModeling/Transformer-XL/pytorch/mem_transformer.py.
    """
    network = rows.network(row, implementation="transformers", family="gpt2", activation="relu", dropout=0.1)
    setting = Setting(
        micro_batch_size=batch,
        sequence_length=whole(row["seq_len"]),
        attention="eager",
        optimizer="lamb",
        optimizer_implementation="fused",
        logits="chunked",
        formats=formats_named(row["precision"]),
        layout=Layout(data=max(1, whole(row.get("n_gpus"), 1))),
    )
    return Case(network=network, setting=setting, outcome=rows.outcome(row), **{**rows.cap(row), **given})
