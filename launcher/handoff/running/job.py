"""The commands of a job: started, listened to, and ended with everything that they started (Linux)."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from launcher.handoff.running.asking import Asking, sweep
from launcher.handoff.running.attending import Attendant
from launcher.handoff.running.commands import JobCommand, start_command
from launcher.handoff.running.following import GrowingFile
from launcher.handoff.running.processes import Process, ask_to_end, processes_of_run, send
from launcher.handoff.running.shared_memory import free_shared_memory
from launcher.handoff.running.signals import asked_already

__all__ = ["Ending", "run_job"]

_LOOK_AGAIN = 0.05  # seconds between looks at processes that were asked to end
_GIVE_UP = 10.0  # seconds after SIGKILL; a process in uninterruptible sleep cannot be ended by anybody
_DRAIN = 1.0  # seconds for the last output, should a stranger hold the pipe
_FOLLOW = 0.5  # seconds between looks at a file that grows
_ATTEND = 1.0  # seconds between calls of what is looked after meanwhile
_ANSWER = 15.0  # seconds for other machines to be asked and to answer, besides the grace
_AT_ONCE = 10.0  # seconds for a second request to reach them
_FOR_ATTENDANTS = object()  # marks descriptors that are theirs
_LOST = {255}  # ssh's own code: the connection, not the job, has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended."""

    returncode: int
    """Of the first command that failed, as subprocess counts: -N for signal N."""
    interrupted_by: int | None
    """Number of the signal by which somebody asked us to end the job."""
    left_behind: tuple[Process, ...]
    """Processes that outlived their commands without being asked to; ended too."""
    answered: bool = True
    """Whether every host answered that was asked to end what it runs."""


@dataclass(slots=True)
class _Watch:
    """What changes while a job runs."""

    find: Callable[..., tuple[Process, ...]]
    grace_seconds: float
    say: Callable[[str], None]
    children: Sequence[subprocess.Popen[bytes]]
    asking: Asking
    attendants: Sequence[Attendant]
    told: bool = False
    interrupted_by: int | None = None
    deadline: float | None = None
    asked: set[int] = field(default_factory=set)
    left_behind: tuple[Process, ...] = ()
    killed: bool = False


def run_job(
    *,
    commands: Sequence[JobCommand],
    run: str | None,
    wake: int,
    grace_seconds: float,
    output: Callable[[int, bytes], None],
    say: Callable[[str], None],
    started: Callable[[Sequence[int]], None] = lambda _pids: None,
    stop: Sequence[JobCommand] = (),
    log: Path | None = None,
    node: int | None = None,
    attendants: Sequence[Attendant] = (),
) -> Ending:
    """Starts every command in a session of its own and returns when nothing of the job is left.

    run: value of BATCHWRIGHT_RUN in the commands' environment, by which descendants are found; None where the
    commands only wait for processes on other machines, whose own launcher looks after them.
    wake: descriptor of signals_as_bytes(); a request to end that has come already starts nothing.
    grace_seconds: between asking (SIGTERM) and ending (SIGKILL).
    output: gets 1 or 2 (standard output or error) and bytes as they come. say: gets one line for the person.
    started: gets the process numbers. stop: commands that ask the job to end, in place of SIGTERM to what runs here;
    run once more at the end where the commands cannot have waited for all of it. log: a file that grows; what is
    added to it while the commands run is output too. node: number of the node whose processes these are, where it is
    one of several. attendants: called meanwhile; each may end the job. Raises HandoffError when a command cannot be
    started.
    """
    if asked := asked_already(wake):
        return Ending(returncode=-asked, interrupted_by=asked, left_behind=())
    asking, followed = Asking(stop), GrowingFile(log) if log is not None else None
    waited_for_all = False
    try:
        find = partial(processes_of_run, run=run, node=node)
        start = partial(start_command, survives=node is None)
        with _children(commands, start, find) as children:
            started([child.pid for child in children])
            watch = _Watch(
                find=find,
                grace_seconds=grace_seconds,
                say=say,
                children=children,
                asking=asking,
                attendants=attendants,
            )
            _follow(watch, wake, output, followed)
            codes = [child.wait() if _has_ended(child) else -signal.SIGKILL for child in children]
        waited_for_all = not watch.killed and all(code not in _LOST and code >= 0 for code in codes)
    finally:
        asking.give_up()
        free_shared_memory(commands)
        answered = not stop or waited_for_all or _sweep(stop, grace_seconds, wake)
        if not answered:
            say("warning: not every host answered when it was asked to end the job")
    # those that were ended because another one failed are not the cause
    code = next((code for code in sorted(codes, key=_is_terminated) if code), 0)
    by, left = watch.interrupted_by, watch.left_behind
    return Ending(returncode=code, interrupted_by=by, left_behind=left, answered=answered)


def _sweep(stop: Sequence[JobCommand], grace_seconds: float, wake: int) -> bool:
    """Whether every host answered; a person who asks once more does not wait for those that do not."""
    return sweep(stop, seconds=grace_seconds + _ANSWER, hurried=lambda: asked_already(wake) is not None)


def _follow(
    watch: _Watch, wake: int, output: Callable[[int, bytes], None], followed: GrowingFile | None
) -> None:
    """Hands on what the commands print until nothing of the job is left."""
    idle = _FOLLOW if followed is not None else _ATTEND if watch.attendants else None
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        for child in watch.children:
            for number, pipe in ((1, child.stdout), (2, child.stderr)):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, number)
        while not _is_over(watch):
            _wait_for_attendants(selector, watch)
            _read(selector, output, watch, idle if watch.deadline is None else _LOOK_AGAIN)
            _hand_on(followed, output)
        _wait_for_attendants(selector, watch, nobody=True)
        drained_by = time.monotonic() + _DRAIN
        while len(selector.get_map()) > 1 and time.monotonic() < drained_by:
            _read(selector, output, watch, _LOOK_AGAIN)
        _hand_on(followed, output)


def _hand_on(followed: GrowingFile | None, output: Callable[[int, bytes], None]) -> None:
    while followed is not None and (data := followed.news()):
        output(1, data)


def _wait_for_attendants(selector: selectors.BaseSelector, watch: _Watch, *, nobody: bool = False) -> None:
    """Has the selector wait for what the attendants wait for now."""
    wanted = set() if nobody else {number for each in watch.attendants for number in each.files()}
    known = {key.fd for key in selector.get_map().values() if key.data is _FOR_ATTENDANTS}
    for number in known - wanted:
        selector.unregister(number)
    for number in wanted - known:
        selector.register(number, selectors.EVENT_READ, _FOR_ATTENDANTS)


def _attend(watch: _Watch) -> None:
    """Calls the attendants; the first that says so has the job asked to end."""
    ending = watch.told or watch.interrupted_by is not None or _one_has_failed(watch.children)
    for each in watch.attendants:
        if each.attend(ending=ending) and not watch.told:
            watch.told = True
            watch.asking.ask()
            if watch.deadline is None:
                watch.deadline = time.monotonic() + watch.grace_seconds + (_ANSWER if watch.asking else 0)


@contextmanager
def _children(
    commands: Sequence[JobCommand],
    start: Callable[[JobCommand], subprocess.Popen[bytes]],
    find: Callable[..., tuple[Process, ...]],
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """The commands' processes; none of a run is left when the block ends, however it ends."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            children.append(start(command))  # noqa: PERF401 - those already started must be known when the next fails
        yield children
    finally:
        leaders = {child.pid for child in children if child.returncode is None}
        while found := find(leaders=leaders):
            send(found, signal.SIGKILL)
            time.sleep(_LOOK_AGAIN)
            if all(_in_uninterruptible_sleep(process.pid) for process in found):
                break
        for child in children:
            for pipe in (child.stdout, child.stderr):
                assert pipe is not None
                pipe.close()
            if child.returncode is None and _has_ended(child):
                child.wait()


def _is_over(watch: _Watch) -> bool:
    """Takes the next step towards the end, if one is due; True when no process of the job is left."""
    running = [child for child in watch.children if not _has_ended(child)]
    _attend(watch)
    watch.asking.go_on()
    if watch.deadline is None and running and not _one_has_failed(watch.children):
        return False
    found = watch.find(leaders={child.pid for child in watch.children})
    if not found:
        return not running
    now = time.monotonic()
    if watch.deadline is None:
        watch.deadline = now + watch.grace_seconds
        watch.left_behind = () if running else found
    elsewhere = watch.asking and (watch.told or watch.interrupted_by is not None)
    if not elsewhere:
        ask_to_end(found, asked=watch.asked)
    if now >= watch.deadline:
        watch.killed = True
        send(found, signal.SIGKILL)
    return now >= watch.deadline + _GIVE_UP


def _read(
    selector: selectors.BaseSelector,
    output: Callable[[int, bytes], None],
    watch: _Watch,
    timeout: float | None,
) -> None:
    """Hands on what has come, and notes who asks to end."""
    for key, _ in selector.select(timeout):
        if key.data is _FOR_ATTENDANTS:
            continue  # they read it themselves
        try:
            data = os.read(key.fd, 1 << 16)
        except BlockingIOError:
            continue
        if key.data is None:
            for number in data:
                _note_signal(watch, number)
        elif data:
            output(key.data, data)
        else:
            selector.unregister(key.fileobj)


def _note_signal(watch: _Watch, number: int) -> None:
    """First request: ask the job to end, and wait. Second: end it."""
    if number == signal.SIGCHLD:
        return
    now = time.monotonic()
    name = signal.Signals(number).name
    first = watch.interrupted_by is None
    if first:
        watch.interrupted_by = number
        watch.deadline = now + watch.grace_seconds + (_ANSWER if watch.asking else 0)
        again = "Ctrl-C again ends it" if number == signal.SIGINT else "a second signal ends it"
        watch.say(f"{name}: asked the job to end, waiting up to {watch.grace_seconds:g} s; {again} at once")
    else:
        watch.deadline = now + (_AT_ONCE if watch.asking else 0)
        watch.say(f"{name}: ending the job now")
    watch.asking.ask()


def _is_terminated(code: int) -> bool:
    return code == -signal.SIGTERM


def _one_has_failed(children: Sequence[subprocess.Popen[bytes]]) -> bool:
    ended = (os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) for child in children)
    return any(found is not None and found.si_status != 0 for found in ended)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether a child has ended; it stays unreaped, so that its number is nobody else's yet."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _in_uninterruptible_sleep(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123 - a path of the kernel's, not of a person
            return stream.read().rpartition(b")")[2].split()[0] == b"D"
    except OSError:
        return True
