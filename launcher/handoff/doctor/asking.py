"""Hosts are asked for their facts: this machine directly, others all at once through one pdsh."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from launcher.discovery.node_facts import BEGIN, END, MORE, collect
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.shipping import pdsh_text
from launcher.handoff.order import with_callers_options

__all__ = ["ask_command", "ask_here", "ask_over_ssh"]

CONNECT_SECONDS = 5
_OTHERS_SECONDS = 3.0
"""For the other hosts once one has failed: they say all they know before they wait for it at the main port."""
_OPTIONS = "PDSH_SSH_ARGS_APPEND"
_EXIT = re.compile(r"ssh exited with exit code (\d+)")


def ask_here(*, host: str, request: Mapping[str, Any]) -> Answer:
    """This machine and this interpreter, without starting a process."""
    sent = time.time()
    facts = collect(request)
    return Answer(host=host, facts=facts, sent=sent, received=time.time())


def ask_over_ssh(
    *,
    hosts: Sequence[str],
    words: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    pdsh: str = "pdsh",
) -> tuple[Answer, ...]:
    """All hosts at once, in their order; those that have not answered after `seconds` are left alone.

    words: what is started there (shipping.asking_words); the host's number follows. ssh never asks for a password
    (BatchMode): nobody might be there to type one.
    """
    argv = (pdsh, "-b", "-R", "ssh", "-f", str(len(hosts)), "-w", ",".join(hosts), pdsh_text(words))
    options = {_OPTIONS: f"-oBatchMode=yes -oConnectTimeout={CONNECT_SECONDS}"}
    environment = {**environ, **with_callers_options(environ=environ, rendered=options)}
    return ask_command(argv=argv, hosts=hosts, environ=environment, seconds=seconds)


def ask_command(
    *,
    argv: Sequence[str],
    hosts: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    stray: list[str] | None = None,
) -> tuple[Answer, ...]:
    """What a command prints for several hosts, `host: line`, until all have answered or the time is up.

    stray: gets the lines that belong to no host.
    """
    sent = time.time()
    answers = {host: Answer(host=host, sent=sent) for host in hosts}
    process = subprocess.Popen(
        argv,
        env=dict(environ),
        stdin=subprocess.PIPE,  # ends with us, and with it what was asked
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until = [time.monotonic() + seconds]
    try:
        for line in _lines(process, until):
            host, answer = _heard(line, answers)
            if answer is None:
                if stray is not None:
                    stray.append(line)
                continue
            answers[host] = answer
            if _in_vain(answer):  # the others need not wait for this one
                until.append(time.monotonic() + _OTHERS_SECONDS)
            if all(each.facts.get("done") or each.exit is not None for each in answers.values()):
                break
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return tuple(answers[host] for host in hosts)


def _lines(process: subprocess.Popen[bytes], until: Sequence[float]) -> Iterator[str]:
    """Lines of both streams as they come, until the earliest of some moments, to which the caller may add."""
    rest: dict[int, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
            rest[stream.fileno()] = b""
        while selector.get_map() and (room := min(until) - time.monotonic()) > 0:
            for key, _ in selector.select(room):
                read = os.read(key.fd, 1 << 16)
                if not read:
                    selector.unregister(key.fileobj)
                *whole, rest[key.fd] = (rest[key.fd] + read).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in whole)


def _in_vain(answer: Answer) -> bool:
    """Whether this host will not come to the main node's port."""
    found = str((answer.of("network") or {}).get("main"))
    loops = answer.of("node") not in (0, None) and found.startswith("127.")
    return bool(answer.exit) or loops or (answer.of("main") or {}).get("connects") is False


def _heard(line: str, answers: Mapping[str, Answer]) -> tuple[str, Answer | None]:
    """The answer of the host that a line belongs to, with the line; None for a line of nobody."""
    label, _, text = line.partition(": ")
    if label.startswith("pdsh@"):
        label, _, text = text.partition(": ")
        found = _EXIT.search(text)
        if label not in answers or found is None:
            return label, None
        return label, replace(answers[label], exit=int(found[1]))
    answer = answers.get(label)
    if answer is None:
        return label, None
    _, begun, piece = text.partition(BEGIN)
    if not begun:
        return label, replace(answer, said=(*answer.said, text.strip()))
    if piece.endswith(MORE):
        return label, replace(answer, partial=answer.partial + piece.removesuffix(MORE))
    facts = json.loads(answer.partial + piece.removesuffix(END))
    return label, replace(answer, facts=facts, partial="", received=time.time())
