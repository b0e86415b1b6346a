"""The hosts of a Slurm allocation, asked through one srun step in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import HandoffError
from launcher.executors.formats.slurm_step import step_words
from launcher.handoff.doctor.answers import Answer
from launcher.handoff.doctor.asking import ask_command
from launcher.handoff.doctor.requests import step_hosts
from launcher.handoff.doctor.scheduler import refuses
from launcher.handoff.order import Order
from launcher.spec.bundle import RUN_DIR

__all__ = ["ask_step"]


def ask_step(order: Order, *, words: Sequence[str], seconds: float) -> tuple[Answer, ...]:
    """Answers in the order of the job's nodes. Raises HandoffError[scheduler-refuses] with srun's own words.

    `--label` puts the task's number before each line; a host tells its name itself.
    """
    allocation, hosts = order.plan.launch.allocation, step_hosts(order)
    assert allocation is not None, "asked in an allocation only"
    step, *options = (word.replace(RUN_DIR, "/tmp") for word in step_words(order.plan))  # noqa: S108 - only read
    argv = (
        *(step, f"--jobid={allocation.job}", "--overlap", "--label", f"--nodelist={','.join(hosts)}"),
        *options,
        *words,
    )
    stray: list[str] = []
    tasks = tuple(str(task) for task in range(len(hosts)))
    answers = ask_command(argv=argv, hosts=tasks, environ=order.environ, seconds=seconds, stray=stray)
    if not any(answer.facts or answer.said for answer in answers):
        raise HandoffError([refuses("srun", stray)])
    told = {answer.of("node"): answer for answer in answers if answer.facts}
    silent = [answer for answer in answers if not answer.facts]
    return tuple(
        replace(told[node] if node in told else _not_told(silent.pop(0)), host=host)
        for node, host in enumerate(hosts)
    )


def _not_told(answer: Answer) -> Answer:
    """Whatever a task says that tells no facts, the shell of its host was reached."""
    return replace(answer, exit=127) if answer.said else answer
