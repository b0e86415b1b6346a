"""What a script that does not use the runtime is doing, as events from the hooks, and when that must end."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec

from batchwright_witness.beats import Pulse
from batchwright_witness.environment import Difference
from batchwright_witness.limits import Health
from batchwright_witness.losses import Losses
from batchwright_witness.parameters import all_finite
from batchwright_witness.stability.remarks import Remarks

__all__ = ["Vitals"]

P = ParamSpec("P")
Stop = Callable[[str, Difference], None]


def _harmless(method: Callable[Concatenate[Vitals, P], None]) -> Callable[Concatenate[Vitals, P], None]:
    """A bug of ours ends the watching, not the training: nobody may wait for steps that are not seen any more."""

    @functools.wraps(method)
    def guarded(self: Vitals, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if not self.alive:
            return
        try:
            method(self, *args, **kwargs)
        except Exception:  # noqa: BLE001
            self.alive = False
            self.pulse.blind()

    return guarded


class Vitals:
    """The state of this process; hooks call it. `stop` ends the process, or returns where it only notes the words."""

    def __init__(
        self,
        pulse: Pulse,
        *,
        rank: int,
        stop: Stop,
        checkpoint: Callable[[float | None], str | None],
        remarks: Remarks | None = None,
    ) -> None:
        """remarks: what is to be said of this rank's losses; None on all ranks but one."""
        self.pulse, self.rank = pulse, rank
        self.health, self.losses = Health(), Losses()
        self.alive = True
        """False in a forked child, and after a bug of ours."""
        self.inside = 0
        """How many DeepSpeed engines are at work: the optimizer steps inside them are theirs."""
        self.scaled = False
        """Losses are scaled before they go backward, by a factor that changes: they cannot be compared."""
        self._stop, self._checkpoint, self._remarks = stop, checkpoint, remarks
        self._steps: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._most = 0
        """Steps of the optimizer that did most."""
        self._backward = self._noted = False
        self._saved_at = 0

    def steps(self, owner: Any) -> int:
        """Steps that an optimizer or engine has done since the training began; -1 before its first one here."""
        return self._steps.get(owner, -1)

    @_harmless
    def begins_step(self, owner: Any, earlier: Callable[[], int | None]) -> None:
        """An optimizer is about to step; `earlier` steps were done by another process."""
        if owner not in self._steps:
            self._steps[owner] = done = earlier() or 0
            self._most = max(self._most, done)
        self.pulse.enters("optimizer")

    @_harmless
    def stepped(self, owner: Any) -> None:
        """An optimizer step has been done."""
        number = self._steps[owner] = self._steps.get(owner, 0) + 1
        self._most = max(self._most, number)
        self.losses.close(number, time.time())
        self.health.steps()
        self._look(wait=False)
        self.pulse.finite = "false" if self.health.bad else "true"
        self.pulse.stepped(steps=self._most)
        if self.health.bad:
            self._end_if_hopeless()

    @_harmless
    def skipped(self, owner: Any) -> None:
        """A loss scaler has left a step out."""
        self._steps.setdefault(owner, 0)
        self.losses.close(self._most + 1, time.time(), skipped=True)
        self.health.skips()
        self._look(wait=False)
        self.pulse.stepped(steps=self._most, skipped=self.health.skipped)
        self._end_if_hopeless()

    def backward_begins(self, loss: Any) -> bool:
        """Whether this is a backward of the script's, not one that runs inside another."""
        if self._backward or not self.alive:
            return False
        self._backward = True
        self._take(loss)
        return True

    @_harmless
    def backward_ended(self) -> None:
        """Gradients are there, and averaged where that happens in the backward."""
        self._backward = False
        self.pulse.backward_ended()

    @_harmless
    def saves(self) -> None:
        """A file of a checkpoint is about to be written: parameters that are lost must not replace good ones."""
        self.pulse.works_aside()
        if self.pulse.tried == self._saved_at:
            return
        self._saved_at = self.pulse.tried
        self._look(wait=True)
        finite = all_finite(_parameters(list(self._steps)))
        if finite or (finite is None and not self.health.bad):
            return
        self.health.first = self.health.first if self.health.bad else self._most
        whose = f"the loss of rank {self.rank}" if self.health.bad else f"a parameter on rank {self.rank}"
        self._end("loss-not-finite", self.health.unsaved(whose=whose, checkpoint=self._kept()))

    @_harmless
    def _take(self, loss: Any) -> None:
        self.losses.take(loss)
        self.pulse.backward_begins()

    def _look(self, *, wait: bool) -> None:
        for look in self.losses.known(wait=wait):
            self.health.looks(look.step, loss=look.loss, at=look.at, skipped=look.skipped)
            # of two optimizers, as a GAN has them, each has losses of its own
            if self._remarks is not None and not self.scaled and len(self._steps) == 1:
                self._remarks.step({"step": look.step, "loss": look.loss, "skipped": look.skipped})

    def _end_if_hopeless(self) -> None:
        whose = f"the loss of rank {self.rank}"
        if found := self.health.verdict(whose=whose, step=self._most, checkpoint=self._kept):
            self._end(*found)

    def _kept(self) -> str | None:
        return self._checkpoint(self.health.good_until)

    def _end(self, code: str, words: Difference) -> None:
        if not self._noted:
            self._noted = True  # where it is only noted, the training goes on, and is told of once
            self._stop(code, words)


def _parameters(owners: Iterable[Any]) -> Iterator[Any]:
    """Of optimizers, and of DeepSpeed engines."""
    for owner in owners:
        module = getattr(owner, "module", None)
        if module is not None:
            yield from module.parameters()
        else:
            yield from (parameter for group in owner.param_groups for parameter in group["params"])
