"""One real training step on this CPU, measured by torch itself."""

import torch
from torch.profiler import ProfilerActivity, profile

from launcher.measuring.trace_step import call, loss_of


def saved_for_backward(module, batch, *, around):
    """Bytes in unique storages that autograd packs in one forward pass, without parameters, buffers and batch."""
    leaves = torch.utils._pytree.tree_leaves(batch)
    known = {one.untyped_storage()._cdata for one in [*module.parameters(), *module.buffers(), *leaves]}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            found[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), around():
        loss = loss_of(call(module, batch))[0]
    saved = sum(storage.nbytes() for storage in found.values())
    del loss
    return saved


def allocator_peak(module, batch, optimizer, *, around):
    """Bytes at the peak of the second step, of what is there before it and what the allocator is asked for."""

    def step():
        optimizer.zero_grad(set_to_none=True)
        with around():
            loss = loss_of(call(module, batch))[0]
        loss.backward()
        del loss
        optimizer.step()

    step()
    optimizer.zero_grad(set_to_none=True)
    states = [one for state in optimizer.state.values() for one in state.values() if torch.is_tensor(one)]
    leaves = torch.utils._pytree.tree_leaves(batch)
    there = {
        one.untyped_storage()._cdata: one.untyped_storage().nbytes()
        for one in [*module.parameters(), *module.buffers(), *states, *leaves]
    }
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [one for one in recorded.profiler.kineto_results.events() if one.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return sum(there.values()) + peak
