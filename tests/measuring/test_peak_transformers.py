"""Whole training steps of real Hugging Face models on CPU: the allocator's peak against the estimate.

The ledger's rows for CPU are used, since CPU kernels save other tensors than a GPU's. Every configuration trains two
steps; the second one counts, when the optimizer has its states.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from step_peaks import step_peaks
from transformer_models import _call as forward_call
from transformer_models import built

from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

GPT2 = Network(
    kind="decoder", family="gpt2", hidden_size=256, num_layers=3, num_attention_heads=4, head_dim=64,
    intermediate_size=1024, vocab_size=2000, max_positions=512, activation="gelu",
)  # fmt: skip
LLAMA = Network(
    kind="decoder", family="llama", hidden_size=256, num_layers=3, num_attention_heads=8, num_key_value_heads=8,
    head_dim=32, intermediate_size=688, vocab_size=2000, max_positions=1024, activation="silu", norm="rmsnorm",
    position="rotary", gated_mlp=True, tie_word_embeddings=False,
)  # fmt: skip
GROUPED = replace(LLAMA, num_key_value_heads=2)
BERT = replace(GPT2, kind="encoder", family="bert", vocab_size=3000)
MIXTRAL = replace(
    LLAMA, kind="moe", family="mixtral", num_layers=2, num_key_value_heads=4, intermediate_size=512,
    moe_intermediate_size=512, num_experts=8, num_experts_per_token=2,
)  # fmt: skip

PURE = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2)
CAST = Formats(compute="bf16", autocast=True)


def setting(batch, length, **more):
    more = {"formats": Formats(compute="fp32"), "optimizer_implementation": "for-loop", **more}
    return Setting(device_kind="cpu", micro_batch_size=batch, sequence_length=length, **more)


CASES = {
    "gpt2": (GPT2, setting(4, 256)),
    "gpt2 large vocabulary": (replace(GPT2, vocab_size=20_000), setting(4, 128)),
    "gpt2 checkpointed": (replace(GPT2, num_layers=6), setting(4, 256, checkpointing="full")),
    "gpt2 eager dropout": (replace(GPT2, dropout=0.1), setting(2, 256, attention="eager")),
    "gpt2 few tokens": (replace(GPT2, vocab_size=20_000), setting(1, 32)),
    "gpt2 bf16": (replace(GPT2, vocab_size=8000), setting(2, 256, formats=PURE)),
    "gpt2 autocast": (GPT2, setting(4, 256, formats=CAST)),
    "gpt2 accumulating": (GPT2, setting(4, 128, gradient_accumulation_steps=2)),
    "gpt2 few tokens accumulating": (GPT2, setting(1, 32, gradient_accumulation_steps=2)),
    "gpt2 sgd": (GPT2, setting(4, 256, optimizer="sgd", momentum=0.9)),
    "gpt2 foreach": (replace(GPT2, vocab_size=20_000), setting(1, 32, optimizer_implementation="foreach")),
    "llama": (LLAMA, setting(4, 256)),
    "llama large vocabulary": (replace(GROUPED, vocab_size=20_000), setting(4, 128)),
    "llama checkpointed": (replace(LLAMA, num_layers=6), setting(4, 256, checkpointing="full")),
    "llama eager": (GROUPED, setting(2, 512, attention="eager")),
    "llama bf16": (replace(GROUPED, vocab_size=8000), setting(4, 256, formats=PURE)),
    "llama autocast": (LLAMA, setting(4, 256, formats=CAST)),
    "llama few tokens": (replace(LLAMA, hidden_size=512, head_dim=64), setting(1, 32)),
    "llama fused step": (LLAMA, setting(1, 32, optimizer_implementation="fused")),
    "bert": (replace(BERT, vocab_size=20_000), setting(4, 128)),
    "bert eager dropout": (replace(BERT, dropout=0.1), setting(2, 256, attention="eager")),
    "bert checkpointed": (replace(BERT, num_layers=6), setting(4, 256, checkpointing="full")),
    "bert bf16": (BERT, setting(4, 256, formats=PURE)),
    "mixtral bf16": (MIXTRAL, setting(2, 256, formats=PURE)),
    "mixtral": (MIXTRAL, setting(2, 256)),
}


@pytest.mark.parametrize("name", CASES)
def test_peak_of_a_step_is_real_torchs(name):
    """The allocator's peak of a whole step is the estimate's, to 0.5 %; and so is that of the optimizer's step."""
    network, how = CASES[name]
    estimate = estimate_memory(network=network, setting=how)
    peaks = step_peaks(lambda mark: train(network, how, mark))
    assert estimate.allocated.expected == pytest.approx(max(peaks.values()), rel=0.005)
    assert estimate.stages[0].phases["optimizer-step"] == pytest.approx(peaks["step"], rel=0.005)


def train(network, how, mark):
    """Two steps; the second one is marked."""
    torch.manual_seed(0)
    model = built(network, how)
    formats = how.formats
    if formats.compute == "bf16" and not formats.autocast:
        model = model.to(torch.bfloat16)
    if how.checkpointing == "full":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = optimizer_of(model, how)
    call = forward_call(model, network, how)
    for step in range(2):
        marked = mark if step else lambda _: nullcontext()
        for _ in range(how.gradient_accumulation_steps):
            cast = torch.autocast("cpu", torch.bfloat16) if formats.autocast else nullcontext()
            with marked("forward"), cast:
                loss = call()
            with marked("backward"):
                loss.backward()
            del loss
        with marked("step"):
            optimizer.step()
        optimizer.zero_grad()


def optimizer_of(model, how):
    wanted = {
        "foreach": how.optimizer_implementation == "foreach",
        "fused": how.optimizer_implementation == "fused",
    }
    if how.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), 1e-3, momentum=how.momentum, **wanted)
    return torch.optim.AdamW(model.parameters(), 1e-3, **wanted)
