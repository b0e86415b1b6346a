"""Losses looked at without making a device wait."""

import math
import sys
from types import SimpleNamespace

import pytest

from batchwright_witness.losses import PENDING, Losses


class Device:
    """Stands for torch on a GPU: what is asked for arrives when `done` says so."""

    def __init__(self):
        self.done, self.waited = 0, []
        self.captures = False
        self.cuda = SimpleNamespace(
            Event=lambda: Event(self), is_current_stream_capturing=lambda: self.captures
        )
        self.float32 = "float32"

    def no_grad(self):
        import contextlib

        return contextlib.nullcontext()

    def stack(self, values):
        return SimpleNamespace(sum=lambda: sum(value.value for value in values))

    def empty(self, *_shape, dtype, pin_memory):
        assert pin_memory
        return Host()


class Host:
    """Pinned memory that a copy goes to."""

    def copy_(self, value, *, non_blocking):
        assert non_blocking
        self.value = value

    def item(self):
        return self.value


class Event:
    """Has passed once the device has come as far."""

    count = 0

    def __init__(self, device):
        self.device = device

    def record(self):
        Event.count += 1
        self.number = Event.count

    def query(self):
        return self.device.done >= self.number

    def synchronize(self):
        self.device.waited.append(self.number)


class Loss:
    """A loss on the device, whose value nobody may ask for."""

    is_cuda, is_cpu = True, False

    def __init__(self, value):
        self.value = value

    def numel(self):
        return 1

    def is_floating_point(self):
        return True

    def detach(self):
        return self

    reshape = float = lambda self, *_: self


@pytest.fixture
def device(monkeypatch):
    found = Device()
    monkeypatch.setitem(sys.modules, "torch", found)
    Event.count = 0
    return found


def test_a_device_is_not_waited_for(device):
    """An answer is told when it has arrived, in order, and the steps meanwhile go on."""
    losses = Losses()
    for step, value in enumerate([1.0, float("nan"), 1.0], start=1):
        losses.take(Loss(value))
        losses.take(Loss(1.0))
        losses.close(step, at=float(step))
        assert losses.known() == []
    device.done = 2
    first, second = losses.known()
    assert first == (1, 2.0, 1.0, False)
    assert (second.step, math.isnan(second.loss)) == (2, True)
    assert losses.known() == []
    device.done = 3
    assert losses.known() == [(3, 2.0, 3.0, False)]
    assert device.waited == []


def test_before_a_save_it_is(device):
    """Parameters are about to be read anyway: everything that was asked is waited for."""
    losses = Losses()
    losses.take(Loss(float("nan")))
    losses.close(1, at=1.0)
    (look,) = losses.known(wait=True)
    assert (look.step, math.isnan(look.loss)) == (1, True)
    assert device.waited == [1]


def test_a_host_far_ahead_asks_no_more(device):
    """Questions do not pile up; steps that nobody asked about are not told."""
    losses = Losses()
    for step in range(1, 100):
        losses.take(Loss(1.0))
        losses.close(step, at=0.0)
    device.done = 99
    assert [look.step for look in losses.known()] == list(range(1, PENDING + 1))


def test_a_step_left_out_is_told_as_such(device):
    """Its loss is asked for too, and belongs to no other step."""
    losses = Losses()
    losses.take(Loss(4.0))
    losses.close(1, at=0.0, skipped=True)
    losses.close(1, at=1.0)
    assert losses.known(wait=True) == [(1, 4.0, 0.0, True)]


def test_a_graph_that_is_captured_is_left_alone(device):
    """Nothing is asked while a CUDA graph is recorded, not even whether an earlier answer has come."""
    losses = Losses()
    losses.take(Loss(1.0))
    losses.close(1, at=0.0)
    device.done = 1
    device.captures = True
    losses.take(Loss(float("nan")))
    losses.close(2, at=0.0)
    assert losses.known(wait=True) == []
    device.captures = False
    assert [look.step for look in losses.known()] == [1]


@pytest.mark.torch
def test_on_a_cpu_the_number_is_there():
    """One loss that is no number makes the step's not finite; what is no loss is passed over."""
    import torch

    losses = Losses()
    for step, values in enumerate([(1.0, 2.0), (1.0, float("inf")), (3.0,)], start=1):
        for value in values:
            losses.take(torch.tensor(value, requires_grad=True))
        losses.close(step, at=float(step))
    losses.take(torch.tensor([1.0, float("nan")]))
    losses.take(torch.tensor(1))
    losses.take([torch.tensor(float("nan"))])
    losses.close(4, at=4.0)
    assert losses.known() == [(1, 3.0, 1.0, False), (2, float("inf"), 2.0, False), (3, 3.0, 3.0, False)]
