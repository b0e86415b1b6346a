"""What compiled transformers keep: the hand-written ledger against the graphs that torch really partitions."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_transformer_counts import network_of
from transformer_models import built, saved_storages

from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Formats, Setting

pytestmark = pytest.mark.torch

FORMATS = {
    "fp32": Formats(compute="fp32"),
    "bf16": Formats(compute="bf16", parameter_bytes=2),
    "autocast": Formats(compute="bf16", autocast=True),
}


def compiled_bytes(network: Network, setting: Setting) -> int:
    """Bytes kept by the model as Inductor's partitioner cuts it, run without Inductor's code."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = built(network, setting)
    formats = setting.formats
    if formats.compute == "bf16" and not formats.autocast:
        model = model.to(torch.bfloat16)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    ids = torch.randint(5, network.vocab_size, (setting.micro_batch_size, setting.sequence_length))

    def forward(tokens: Any) -> Any:
        return model(input_ids=tokens, labels=tokens, use_cache=False).loss

    step = torch.compile(forward, backend="aot_eager_decomp_partition", dynamic=False)
    cast = torch.autocast("cpu", torch.bfloat16) if formats.autocast else nullcontext()
    with saved_storages() as storages, cast:
        loss = step(ids)
    found = sum(size for where, size in storages.items() if where not in own)
    del loss
    return found


def layer_of(network: Network, setting: Setting) -> Part:
    return next(part for part in KINDS["decoder"](network, setting) if part.place == "body")


@pytest.mark.parametrize(
    ("name", "attention", "precision"),
    [("llama", "sdpa", "bf16"), ("llama", "eager", "fp32"), ("gpt2", "sdpa", "autocast")],
)
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_layer_keeps_what_the_partitioner_leaves(
    name: str, attention: Any, precision: str
) -> None:
    """The difference between three and two layers, within 1 %."""
    network = replace(
        network_of(name), hidden_size=128, num_attention_heads=4, num_key_value_heads=4 if name == "gpt2" else 2,
        head_dim=32, intermediate_size=384, vocab_size=2000, max_positions=128 if name == "gpt2" else 0,
    )  # fmt: skip
    setting = Setting(
        micro_batch_size=2, sequence_length=128, attention=attention, compile=True, formats=FORMATS[precision]
    )
    three, two = (compiled_bytes(replace(network, num_layers=layers), setting) for layers in (3, 2))
    assert layer_of(network, setting).saved == pytest.approx(three - two, rel=0.01)
