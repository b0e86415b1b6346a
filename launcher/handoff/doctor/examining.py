"""The hosts of an order, asked and compared. Nothing is started there but the questions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from launcher.errors import HandoffError, Problem
from launcher.executors.formats.site import wrapped
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.asking import ask_command, ask_here, ask_over_ssh
from launcher.handoff.doctor.comparing import compare
from launcher.handoff.doctor.requests import Inquiry, inquiry
from launcher.handoff.doctor.scheduler import ask_scheduler
from launcher.handoff.doctor.shipping import asking_words
from launcher.handoff.doctor.stepping import ask_step
from launcher.handoff.order import Order
from launcher.handoff.running.executables import find_executable
from launcher.spec.bundle import PYTHON, RUN_DIR
from launcher.spec.checkup import Checkup

__all__ = ["SECONDS", "examine"]

SECONDS = 25.0
"""Longest wait for the answers of all hosts: connecting, the slowest check, and starting Python on a busy host."""


def examine(
    order: Order,
    *,
    run_parent: Path,
    cheap: bool = False,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Checkup:
    """Everything the hosts say of themselves, one table.

    run_parent: where the run folder will be made. cheap: only what takes no noticeable time.
    """
    began = clock()
    answers: tuple[Answer, ...] = ()
    if _queues(order):
        compared = ask_scheduler(order, seconds=seconds)
        hosts: tuple[str, ...] = (order.plan.launch.executor,)
    else:
        with inquiry(order, run_parent=run_parent, cheap=cheap) as asked:
            reached_by, answers = _answers(order, asked, seconds)
            compared = compare(
                plan=order.plan, answers=answers, asked=asked, reached_by=reached_by, seconds=seconds
            )
        hosts = tuple(answer.host for answer in answers)
    return Checkup(
        recipe_name=order.plan.recipe_name,
        plan_hash=order.plan.plan_hash,
        executor=order.plan.launch.executor,
        hosts=hosts,
        rows=compared.rows,
        problems=compared.problems,
        notes=compared.notes,
        seconds=clock() - began,
        facts={answer.host: dict(answer.facts) for answer in answers},
    )


def _queues(order: Order) -> bool:
    """Whether only a scheduler will know the hosts."""
    launch = order.plan.launch
    return not order.bundle.hosts and launch.executor != "local" and launch.allocation is None


def _answers(order: Order, asked: Inquiry, seconds: float) -> tuple[str | None, tuple[Answer, ...]]:
    """What reaches the hosts, and what they say."""
    if order.bundle.hosts:
        return "ssh", _over_ssh(order, asked, seconds)
    if order.plan.launch.allocation is not None:
        return "srun", ask_step(order, words=node_words(order, asked), seconds=seconds)
    return None, (_here(order, asked, seconds),)


def _over_ssh(order: Order, asked: Inquiry, seconds: float) -> tuple[Answer, ...]:
    pdsh = find_executable("pdsh", environ=order.environ, beside=order.beside, directory="/")
    if pdsh is None:
        raise HandoffError([_no_pdsh()])
    return ask_over_ssh(
        hosts=order.bundle.hosts,
        words=node_words(order, asked),
        environ=order.environ,
        seconds=seconds,
        pdsh=str(pdsh),
    )


def _no_pdsh() -> Problem:
    return Problem(
        code="executable-not-found",
        path="launch.executor",
        message="`pdsh` is neither beside our own interpreter nor on PATH",
        hint="apt-get install pdsh",
    )


def node_words(order: Order, asked: Inquiry) -> tuple[str, ...]:
    """The questions as a node is asked them: after launch.setup, inside launch.container."""
    known = {PYTHON: order.python, RUN_DIR: "/tmp"}  # noqa: S108 - seen in a container in place of a run folder
    words = wrapped(order.plan, asking_words(python=PYTHON, request=asked.request))
    return tuple(known.get(word, word) for word in words)


def _here(order: Order, asked: Inquiry, seconds: float) -> Answer:
    """This machine: without a process where the job's interpreter is ours."""
    host, launch = os.uname().nodename, order.plan.launch
    python = find_executable(
        launch.python, environ=order.environ, beside=order.beside, directory=launch.workdir
    )
    plain = not launch.setup and launch.container is None
    if plain and (python is None or python.parent == order.beside):
        return ask_here(host=host, request=asked.request)
    argv = ("sh", "-c", f'"$@" 2>&1 | sed -u "s/^/{host}: /"', "sh", *node_words(order, asked))
    (answer,) = ask_command(argv=argv, hosts=(host,), environ=order.environ, seconds=seconds)
    return answer if answer.facts else replace(answer, exit=127)
