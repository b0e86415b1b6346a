"""Training steps of plain networks on this CPU: bytes that autograd keeps, and the allocator's peak."""

from __future__ import annotations

from contextlib import contextmanager

import plain_networks
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from launcher.measuring.emulation import CudaKernels
from launcher.planning.memory.setting import Formats, Setting

FORMATS = {
    "fp32": Formats(compute="fp32"),
    "bf16": Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2),
    "autocast": Formats(compute="bf16", autocast=True),
}
"""Number formats of plain torch: everything in one format, or `torch.autocast` over fp32 weights."""


class PlainStep:
    """One network, its optimizer and random batches, as a `Network` and a `Setting` describe them."""

    def __init__(self, network, setting, *, model=None):
        self.network, self.setting = network, setting
        self.autocast = setting.formats.autocast
        self.dtype = torch.bfloat16 if setting.formats.parameter_bytes == 2 else torch.float32
        self.model = (model or built(network)).to(self.dtype).train()
        optimizers = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
        self.optimizer = optimizers[setting.optimizer](self.model.parameters(), lr=1e-3, foreach=False)
        self.inputs = None
        if setting.attention == "eager" and model is None:
            for block in self._blocks():
                block.scores = True
        if setting.checkpointing == "full":
            for block in self._blocks():
                block.forward = self._checkpointed(block.forward)

    @staticmethod
    def runs_in_onednn(network, setting):
        """False where an LSTM would run in oneDNN, and this CPU lacks its two-byte kernels."""
        if network.kind != "lstm" or network.projection_size or setting.formats.compute == "fp32":
            return True
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()

    def loss(self):
        """Loss of a fresh batch; the batch belongs to the step, as a data loader brings it."""
        given, target = self._batch()
        with self._kernels():
            predicted = self.model(given)
            predicted = getattr(predicted, "logits", predicted)
            if target.dtype == torch.int64:
                return functional.cross_entropy(predicted, target)
            return functional.mse_loss(predicted, target)

    def parameters(self):
        """Numbers of all parameters."""
        return sum(one.numel() for one in self.model.parameters())

    def saved(self):
        """Bytes in unique storages that a forward pass packs, or keeps as inputs of checkpointed blocks."""
        known = {
            one.untyped_storage().data_ptr() for one in (*self.model.parameters(), *self.model.buffers())
        }
        found = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                found[storage.data_ptr()] = storage
            return tensor

        self.inputs = []
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self.loss()
        for tensor in self.inputs:
            pack(tensor)
        self.inputs = None
        del loss
        return sum(storage.nbytes() for storage in found.values())

    def peak(self):
        """Bytes at the peak of the second step: weights and states before it, and what the allocator adds."""
        self._step()
        states = [
            one for state in self.optimizer.state.values() for one in state.values() if torch.is_tensor(one)
        ]
        before = sum(one.numel() * one.element_size() for one in (*self.model.parameters(), *states))
        with torch.autograd.profiler.profile(profile_memory=True, use_kineto=True) as profiled:
            self._step()
        events = [event for event in profiled.kineto_results.events() if event.name() == "[memory]"]
        live = peak = 0
        for event in sorted(events, key=lambda one: one.start_ns()):
            live += event.nbytes()
            peak = max(peak, live)
        return before + peak

    def _kernels(self):
        """CPU's own, or CUDA's emulated."""
        if self.setting.device_kind == "cpu":
            return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast)
        return CudaKernels(autocast=torch.bfloat16 if self.autocast else None)

    def _step(self):
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _batch(self):
        network, rows, steps = self.network, self.setting.micro_batch_size, self.setting.sequence_length
        outputs = network.output_size or 1
        if network.kind in ("resnet", "vit"):
            given = torch.randn(rows, 3, network.image_size, network.image_size, dtype=self.dtype)
            return given, torch.randint(0, network.num_classes or 1000, (rows,))
        if network.kind == "mlp":
            given = torch.randn(rows, network.input_size or network.hidden_size, dtype=self.dtype)
        elif network.input_size:
            given = torch.randn(rows, steps, network.input_size, dtype=self.dtype)
        else:
            given = torch.randint(0, network.vocab_size, (rows, steps))
        if network.num_classes:
            return given, torch.randint(0, network.num_classes, (rows,))
        if network.kind in ("mlp", "bag"):
            return given, torch.randn(rows, outputs)
        if network.input_size:
            return given, torch.randn(rows * steps, outputs)
        return given, torch.randint(0, network.output_size or network.vocab_size, (rows * steps,))

    def _blocks(self):
        if self.network.kind in ("mlp", "resnet", "vit"):
            blocks = list(self.model)[: -1 if self.network.kind == "mlp" else None]
            return blocks if self.network.kind == "mlp" else blocks[1:-1]
        return [self.model.layers]

    def _checkpointed(self, forward):
        def run(x):
            if self.inputs is not None:
                self.inputs.append(x)
            return checkpoint(forward, x, use_reentrant=False)

        return run


def built(network):
    """The plain module of a network."""
    recurrent = network.kind in ("rnn", "lstm", "gru")
    return getattr(plain_networks, "recurrent" if recurrent else network.kind)(network)


def plain_setting(*, precision="fp32", **more):
    """A setting of plain torch on CPU."""
    return Setting(device_kind="cpu", formats=FORMATS[precision], **more)


@contextmanager
def one_thread():
    """Kernels on one thread: with more, some keep one buffer each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["FORMATS", "PlainStep", "built", "one_thread", "plain_setting"]
