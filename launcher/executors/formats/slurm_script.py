"""The text of a Slurm batch script: ours, or a site's own with our lines in it.

What stands in the text comes from the plan as single quoted words, so no shell reads it; what only the job knows is
asked for in the job. `scontrol show hostnames` knows every form of node list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from launcher.errors import Problem
from launcher.executors.formats.slurm_options import job_options
from launcher.executors.formats.slurm_step import node_program, step_words
from launcher.planning.placeholders import fill, placeholder_values
from launcher.spec.bundle import RUN_DIR, encoded
from launcher.spec.plan import RunPlan
from launcher.spec.shell import quote

__all__ = ["ENDED_FILE", "MARK", "Filling", "filled_template", "job_script", "template_lines"]

MARK = "#BATCHWRIGHT"
"""The line of a site's script that our block replaces."""

ENDED_FILE = "ended"
"""Holds the exit code of a job that is over."""

_OWN = f"#!/bin/bash\nset -euo pipefail\n\n{MARK}\n"
_FIRST_PORT, _PORTS = 20_000, 10_000
"""Below the range that systems give out by themselves; from the job's number, which is no other job's."""
_PLACE = re.compile(r"(\0[a-z-]+\0)")


class Filling(NamedTuple):
    """A site's script with its placeholders filled, and what is wrong with it."""

    text: str
    problems: tuple[Problem, ...]


def job_script(plan: RunPlan) -> str:
    """The script, with placeholders for the run folder and the interpreter."""
    template = plan.launch.template
    text = _OWN if template is None else filled_template(plan).text
    lines = template_lines(text)
    at = next(number for number, line in enumerate(lines) if line.strip() == MARK)
    extra = plan.launch.slurm.extra if plan.launch.slurm else ()
    options = [*job_options(plan), *(line.removeprefix("#SBATCH").strip() for line in extra)]
    found = [
        lines[0],
        *(f"#SBATCH {option}" for option in options),
        *lines[1:at],
        *_block(plan),
        *lines[at + 1 :],
        *_last_word(plan),
        'exit "$batchwright_code"',
    ]
    return "".join(f"{line}\n" for line in found)


def template_lines(text: str) -> list[str]:
    """Lines as a shell counts them; the last one may end without a line break."""
    return text.removesuffix("\n").split("\n")


def filled_template(plan: RunPlan) -> Filling:
    """Placeholders as words of a shell; `${NAME}` stays the shell's, whatever it holds."""
    template = plan.launch.template
    assert template is not None
    values = {
        name: None if value is None else _word(value)
        for name, value in placeholder_values(plan, files=()).items()
    }
    texts: list[str] = []
    problems: list[Problem] = []
    number = 1
    for is_shells, piece in _pieces(template.text):
        lines = []
        for at, line in enumerate(piece.split("\n")):
            number += bool(at)
            text, found = (line, ()) if is_shells else fill(line, values, path="launch.template")
            lines.append(text)
            because = (f"line {number} of {template.name}",)
            problems.extend(replace(problem, because=because) for problem in found)
        texts.append("\n".join(lines))
    return Filling("".join(texts), tuple(problems))


def _block(plan: RunPlan) -> list[str]:
    """From the job's own variables to one node program per node, and how they ended."""
    launch = plan.launch
    port = f"$(({_FIRST_PORT} + SLURM_JOB_ID % {_PORTS}))" if launch.main_port is None else launch.main_port
    address = "${batchwright_hosts%%$'\\n'*}"
    if launch.main_address != "auto" and plan.layout.num_nodes > 1:
        address = quote(launch.main_address)
    return [
        *_chain_start(plan),
        'batchwright_hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST") || exit 78',
        "export BATCHWRIGHT_HOSTS=${batchwright_hosts//$'\\n'/,}",
        f"export BATCHWRIGHT_MAIN_ADDRESS={address}",
        f"export BATCHWRIGHT_MAIN_PORT={port}",
        "batchwright_code=0",
        f"{' '.join(map(_word, step_words(plan)))} --export=ALL \\",
        f"  {' '.join(map(_word, node_program(plan)))} || batchwright_code=$?",
        *_chain_end(plan),
    ]


def _chain_start(plan: RunPlan) -> list[str]:
    """A later job of a chain has nothing to do once one has come to the end."""
    if not _is_chain(plan):
        return []
    return [
        f"if [ -e {_finished()} ]; then",
        '  echo "batchwright: an earlier job of this chain has finished the training"',
        "  exit 0",
        "fi",
    ]


def _chain_end(plan: RunPlan) -> list[str]:
    """A job that was asked to end, before its time limit, is followed by the next; that is no failure."""
    if not _is_chain(plan):
        return []
    return [
        f'if [ "$batchwright_code" -eq 0 ]; then touch {_finished()}; fi',
        'if [ "$batchwright_code" -eq 143 ] && [ "$SLURM_ARRAY_TASK_ID" -lt "$SLURM_ARRAY_TASK_MAX" ]; then',
        '  echo "batchwright: the next job of this chain goes on from the last checkpoint"',
        "  batchwright_code=0",
        "fi",
    ]


def _last_word(plan: RunPlan) -> list[str]:
    """The code, for who waits; not of a job that may be started again, unless it has come to the end."""
    write = f'echo "$batchwright_code" > {encoded(RUN_DIR, "shell")}/{ENDED_FILE} || true'
    if _is_chain(plan):
        return [f"if [ -e {_finished()} ]; then {write}; fi"]
    if plan.launch.slurm is not None and plan.launch.slurm.requeue:
        return [f'if [ "$batchwright_code" -eq 0 ]; then {write}; fi']
    return [write]


def _is_chain(plan: RunPlan) -> bool:
    return plan.launch.slurm is not None and plan.launch.slurm.array > 1


def _finished() -> str:
    return f"{encoded(RUN_DIR, 'shell')}/finished"


def _word(word: str) -> str:
    """One word of the script; the folder and the interpreter in it are quoted once they are known."""
    parts = (
        encoded(part, "shell") if _PLACE.fullmatch(part) else quote(part)
        for part in _PLACE.split(word)
        if part
    )
    return "".join(parts) or "''"


def _pieces(text: str) -> Sequence[tuple[bool, str]]:
    """The text cut into what is the shell's (`${...}`, with what it holds) and the rest."""
    found: list[tuple[bool, str]] = []
    at = 0
    for match in re.finditer(r"\$\{", text):
        if match.start() < at:
            continue
        end = _closing(text, match.end())
        found += [(False, text[at : match.start()]), (True, text[match.start() : end])]
        at = end
    return [*found, (False, text[at:])]


def _closing(text: str, at: int) -> int:
    """Past the brace that closes the one before `at`; the end of the text where none does."""
    depth = 1
    for place in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)
