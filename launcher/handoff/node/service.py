"""One node's part of a job, from the first word to the last: meet, start, look after, report, leave nothing."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.handoff.node.again import is_restart, resume_words
from launcher.handoff.node.control import Control, MainControl, MemberControl, Verdict
from launcher.handoff.node.facts import own_hello
from launcher.handoff.node.hello import Hello, too_few_devices
from launcher.handoff.node.interfaces import interface_variables
from launcher.handoff.node.joining import join_meeting
from launcher.handoff.node.meeting import hold_meeting
from launcher.handoff.node.node_end import NodeEnd
from launcher.handoff.node.orders import NodeOrder, fill_files
from launcher.handoff.node.record import forget_earlier, note_running, note_stopped, record_end
from launcher.handoff.node.refusal import REFUSED, Asked, Refusal, Told
from launcher.handoff.node.settling import own_end, settle
from launcher.handoff.node.surroundings import node_environment
from launcher.handoff.node.voice import Leash, Outlet, say
from launcher.handoff.node.watching import watch_over
from launcher.handoff.running.attending import Attendant
from launcher.handoff.running.commands import JobCommand
from launcher.handoff.running.environment import with_time_to_end
from launcher.handoff.running.executables import find_executable
from launcher.handoff.running.job import run_job
from launcher.handoff.running.processes import MARK
from launcher.handoff.running.signals import signals_as_bytes

__all__ = ["serve"]

_NOT_STARTED = 126
"""Of a command that is there and cannot be started, as shells count."""


def serve(order: NodeOrder, *, environ: Mapping[str, str], beside: Path) -> int:
    """Exit code of this node, the same on all nodes of the job. Main thread only (signals).

    environ: of this process. beside: folder of its interpreter.
    """
    host = socket.gethostname()
    leash = Leash(Outlet(), stdin=order.leashed)
    with signals_as_bytes() as wake:
        forget_earlier(order.run, node=order.node, ranks=order.ranks)
        note_running(order.run, node=order.node)
        try:
            command, problems = _command(order, environ, beside)
            control, address = _meet(order, own_hello(order, host=host, problems=problems), wake)
        except (Refusal, Told, Asked) as error:
            return _not_started(order, host, error)
        try:
            command = _completed(order, command, environ, address)
            return _run(order, command, control, leash, wake=wake, host=host)
        finally:
            note_stopped(order.run, node=order.node)


def _command(
    order: NodeOrder, environ: Mapping[str, str], beside: Path
) -> tuple[JobCommand, tuple[Problem, ...]]:
    """This node's command, and what is missing here for it."""
    environment = node_environment(
        own=environ,
        caller=order.caller,
        secrets=order.secrets,
        rendered=order.env,
        pass_env=order.plan.launch.pass_env,
        node=order.node,
        first_on_path=(str(beside),),
    )
    program = order.argv[0]
    found = find_executable(program, environ=environment, beside=beside, directory=order.workdir)
    problems = []
    if not Path(order.workdir).is_dir():
        problems.append(
            Problem(
                code="workdir-not-found",
                path="launch.workdir",
                message=f"`{order.workdir}` is not a folder",
                hint="every node needs the script at the same place",
            )
        )
    if found is None:
        problems.append(
            Problem(
                code="executable-not-found",
                path="launch.engine",
                message=f"`{program}` is not there, neither beside {beside} nor on PATH",
                hint="install the engine on every node, or name the interpreter: launch.python",
            )
        )
    argv = (str(found or program), *order.argv[1:])
    return JobCommand(argv=argv, env=environment, directory=order.workdir), tuple(problems)


def _meet(order: NodeOrder, own: Hello, wake: int) -> tuple[Control, str | None]:
    """The way to the other nodes, and this node's own address on it; raises Refusal, Told or Asked."""
    layout = order.plan.layout

    def check(hello: Hello) -> Sequence[Problem]:
        few = too_few_devices(hello, devices_per_node=layout.devices_per_node, device=layout.device)
        return (*(replace(each, message=f"{hello.name}: {each.message}") for each in hello.problems), *few)

    if order.num_nodes == 1:
        if problems := check(own):
            raise Refusal(problems)
        return MainControl(lines={}, hosts={}, behind={}, say=say), None
    if order.node:
        line = join_meeting(order, own, wake=wake)
        main = order.hosts[0] or line.peer
        return MemberControl(node=order.node, line=line, main=main, say=say), line.local
    meeting = hold_meeting(order, own, check=check, wake=wake)
    names = {node: hello.host for node, hello in meeting.hellos.items()}
    say(
        f"all {order.num_nodes} nodes are here: {', '.join([own.host, *(names[node] for node in sorted(names))])}"
    )
    control = MainControl(
        lines=meeting.lines, hosts=names, behind=meeting.behind, claim=meeting.claim, say=say
    )
    return control, next(iter(meeting.lines.values())).local


def _completed(
    order: NodeOrder, command: JobCommand, environ: Mapping[str, str], address: str | None
) -> JobCommand:
    """The command with what only the meeting, or an earlier start, could tell."""
    fill_files(order)
    environment = dict(command.env)
    if address is not None:
        environment |= interface_variables(
            address=address, written=order.plan.launch.interface, environment=environment
        )
    environment = with_time_to_end(environment, grace_seconds=order.plan.launch.grace_seconds)
    argv = command.argv
    if is_restart(environ) and order.plan.launch.resume_args:
        more = resume_words(order.plan, workdir=order.workdir, run=order.run)
        if more is None:
            say("started again, and there is no checkpoint yet: from the beginning")
        else:
            argv = (*argv, *more)
            say(f"started again: {' '.join(more)}")
    return replace(command, argv=argv, env=environment)


def _run(
    order: NodeOrder, command: JobCommand, control: Control, leash: Leash, *, wake: int, host: str
) -> int:
    """Runs the command to its end and the job to its verdict; exit code of this node."""
    ranks = order.ranks
    started = time.time()
    attendants: list[Attendant] = [control, leash, watch_over(order, control, ranks=ranks, say=say)]
    grace_seconds = order.plan.launch.grace_seconds
    ending = None
    try:
        ending = run_job(
            commands=[command],
            run=command.env.get(MARK, str(order.run)),
            node=order.node,
            wake=wake,
            grace_seconds=grace_seconds,
            output=leash.outlet.write,
            say=say if control.is_main else _nobody,  # everybody was asked
            attendants=attendants,
        )
        end = own_end(order, ending, control, host=host, log=leash.outlet.tail, ranks=ranks)
        end = leash.cause(end)
    except HandoffError as error:  # it cannot be started, for all that it was there
        say(str(error))
        end = NodeEnd(node=order.node, host=host, exit=_NOT_STARTED, error=str(error), time=time.time())
    for process in ending.left_behind if ending is not None else ():
        say(f"note: `{process.name}` (process {process.pid}) outlived the job and was ended")
    verdict = settle(control, end, wake=wake, grace_seconds=grace_seconds, attendants=attendants[1:])
    _write_down(order, control, end, verdict, started)
    if control.is_main or control.main_is_lost:
        control.announce(verdict.words)
    control.close(verdict)
    return verdict.exit


def _nobody(_line: str) -> None:
    """One node speaks for all."""


def _write_down(order: NodeOrder, control: Control, end: NodeEnd, verdict: Verdict, started: float) -> None:
    """The end of this node; on the main node, of the job and of the nodes that cannot write theirs any more."""
    lost = [each for each in control.ends.values() if each.lost]
    known = verdict if control.is_main or control.main_is_lost else None
    whys = [
        *(record_end(order.run, each, launch=order.launch) for each in lost),
        record_end(order.run, end, launch=order.launch, started=started, verdict=known),
    ]
    for why in filter(None, whys):
        say(why)


def _not_started(order: NodeOrder, host: str, error: Refusal | Told | Asked) -> int:
    """Words, record and exit code of a node that started nothing."""
    if isinstance(error, Asked):
        code, words = (
            128 + error.number,
            f"asked to end by {signal.Signals(error.number).name} before anything was started",
        )
        say(words)
    elif isinstance(error, Told):
        code, words = error.exit, error.words
        say(f"nothing was started here: {words.splitlines()[0] if words else 'the main node says so'}")
    else:
        code, words = REFUSED, str(error)
        say(words)
    end = NodeEnd(node=order.node, host=host, exit=code, error=words, time=time.time())
    record_end(order.run, end, launch=order.launch)
    note_stopped(order.run, node=order.node)
    return code
