"""From the end of this node's command to the end of the job: the nodes report, the main node says what it was."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Collection, Sequence

from launcher.handoff.node.control import Control, MainControl, MemberControl, Verdict
from launcher.handoff.node.node_end import NodeEnd
from launcher.handoff.node.orders import NodeOrder
from launcher.handoff.outcome import exit_code, first_failure, rank_ends
from launcher.handoff.running.attending import Attendant
from launcher.handoff.running.job import Ending
from launcher.handoff.running.signals import ENDING

__all__ = ["own_end", "settle"]

_SLACK = 20.0  # seconds beyond the grace: SIGKILL, last output, records, and a silent host
_VERDICT = 20.0  # further seconds for the main node, which waits as long for the others


def own_end(
    order: NodeOrder, ending: Ending, control: Control, *, host: str, log: str, ranks: Collection[int]
) -> NodeEnd:
    """How this node's part ended. log: the end of what its command printed. ranks: those of this node."""
    failure = None
    if ending.interrupted_by is None:
        failure = first_failure(
            ends=[end for end in rank_ends(order.run) if end.rank in ranks],
            log=log,
            world_size=order.plan.layout.world_size,
            host=host,
            ranks=ranks,
        )
    code = exit_code(returncode=ending.returncode, failure=failure, interrupted_by=ending.interrupted_by)
    failed_at = failure.time if failure is not None and failure.time else control.ending_at or time.time()
    return NodeEnd(
        node=order.node,
        host=host,
        exit=code,
        rank=failure.rank if failure is not None and code else None,
        error=failure.error if failure is not None and code else "",
        time=failed_at,
        asked=ending.interrupted_by is not None,
        told=control.told_at is not None and failed_at >= control.told_at,
    )


def settle(
    control: Control, own: NodeEnd, *, wake: int, grace_seconds: float, attendants: Sequence[Attendant] = ()
) -> Verdict:
    """What became of the job. A node that did well waits for the others as long as they run; none waits for the dead.

    attendants: looked after meanwhile. A request to end, now, ends the waiting soon.
    """
    ending = bool(own.exit)
    if isinstance(control, MemberControl):
        control.send(own.to_message())
    deadline = None
    while _waits(control):
        now = time.monotonic()
        ending = ending or control.told_at is not None
        if ending and deadline is None:
            deadline = now + grace_seconds + _SLACK + (0.0 if control.is_main else _VERDICT)
        if deadline is not None and now > deadline:
            break
        asked = _pause([wake, *control.files()], wake)
        if asked is not None:
            own, ending = _asked(control, own, asked), True
        for each in (control, *attendants):
            if each.attend(ending=ending):
                ending = True
    return _verdict(control, own, grace_seconds)


def _waits(control: Control) -> bool:
    if isinstance(control, MainControl):
        return bool(control.missing)
    return isinstance(control, MemberControl) and control.verdict is None


def _verdict(control: Control, own: NodeEnd, grace_seconds: float) -> Verdict:
    if isinstance(control, MainControl):
        for node in sorted(control.missing):
            control.lose(node, f"it has not ended {grace_seconds + _SLACK:g} s after it was told to")
        return control.verdict(own)
    assert isinstance(control, MemberControl)
    if control.verdict is not None:
        return control.verdict
    return Verdict(
        exit=own.exit or 1, words=own.words if own.exit else "the main node has not said how the job ended"
    )


def _asked(control: Control, own: NodeEnd, number: int) -> NodeEnd:
    """Somebody asks to end while only the others still run."""
    if own.exit:
        return own
    asked = NodeEnd(
        node=own.node, host=own.host, exit=128 + number, time=time.time(), asked=True, told=own.told
    )
    if isinstance(control, MemberControl):
        control.send(asked.to_message())
    return asked


def _pause(files: Sequence[int], wake: int) -> int | None:
    """Until there is news, at most a second; the signal by which somebody asks to end."""
    waiting = select.poll()
    for number in files:
        waiting.register(number, select.POLLIN)
    if wake not in {number for number, _ in waiting.poll(1000)}:
        return None
    return next((number for number in os.read(wake, 64) if number in ENDING), None)
