"""Saved bytes where attention and the rest of a layer drop out at other rates, as BART's and OPT's defaults do."""

from dataclasses import replace

import pytest
import torch
import transformers
from test_saved_transformers import predicted_bytes
from test_transformer_counts import network_of
from transformer_models import _kept, built

from launcher.planning.memory.setting import Formats, Setting

pytestmark = pytest.mark.torch

FORMATS = {
    "fp32": Formats(compute="fp32"),
    "bf16": Formats(compute="bf16", parameter_bytes=2),
    "autocast": Formats(compute="bf16", autocast=True),
}
MODELS = {
    "bart": transformers.AutoModelForSeq2SeqLM,
    "bert": transformers.AutoModelForMaskedLM,
    "gpt2": transformers.AutoModelForCausalLM,
    "opt": transformers.AutoModelForCausalLM,
}
ATTENTION = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("rates", [(0.1, 0.0), (0.0, 0.1)], ids=["residual only", "attention only"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bart", "bert", "gpt2", "opt"])
def test_attention_may_drop_out_at_another_rate(name, attention, rates, precision):
    """Within 1 % of what autograd really keeps, whichever of the two is on."""
    rate, within = rates
    network = replace(network_of(name), dropout=rate, attention_dropout=within)
    setting = Setting(
        device_kind="cpu",
        micro_batch_size=2,
        sequence_length=48,
        target_length=32 if name == "bart" else None,
        attention=attention,
        formats=FORMATS[precision],
    )
    config = built(network, setting).config
    for written in ATTENTION:
        if hasattr(config, written):
            setattr(config, written, within)
    model = MODELS[name].from_config(config).train()
    if precision == "bf16":
        model = model.to(torch.bfloat16)
    assert predicted_bytes(network, setting) == pytest.approx(_kept(model, network, setting), rel=0.01)
