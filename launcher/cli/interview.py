"""A recipe from a few questions at a terminal: each answer is checked at once, by the rules of the loader."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from launcher.cli.questions import QUESTIONS, Question
from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.spec.recipe import Recipe

__all__ = ["interview"]

_BACK = ("<", "back")


class _EndOfInputError(Exception):
    """Nobody answers any more."""


def interview(*, output: str | None, around: Surroundings, stdin: TextIO | None = None) -> int:
    """Asks, writes the recipe and shows its plan: 0; 1 when the answers end before the recipe is whole."""
    source = sys.stdin if stdin is None else stdin
    around.tell("a recipe in a few questions; empty takes what stands in brackets, < goes back, Ctrl-C ends")
    try:
        answers = _answers(around, source)
        target = output or _target(around, source)
    except _EndOfInputError:
        around.tell("\nno more answers: nothing was written")
        return 1
    from launcher.cli.init_command import write_recipe
    from launcher.reporting.recipe_text import recipe_text
    from launcher.reporting.recipe_values import recipe_values

    values = recipe_values(_recipe(answers))
    comments = {question.path: question.words for question in QUESTIONS if question.path in answers}
    header = (
        "Begun by batchwright init. The rest of what a recipe may say:",
        "  batchwright explain optimizer",
    )
    write_recipe(target, recipe_text(values, comments=comments, header=header))
    around.tell(f"wrote {target}")
    return _show_plan(target, around)


def _answers(around: Surroundings, source: TextIO) -> dict[str, str]:
    """Text by path, each of them legal."""
    answers: dict[str, str] = {}
    at, again = 0, False
    while at < len(QUESTIONS):
        question = QUESTIONS[at]
        if not question.asked(answers):
            answers.pop(question.path, None)
            at += 1
            continue
        answer = _ask(question, answers, around, source, again=again)
        again = False
        if answer in _BACK:
            at = max((before for before in range(at) if QUESTIONS[before].asked(answers)), default=0)
            continue
        wrong = _wrong(question, answer, answers)
        if wrong:
            around.tell(wrong)
            again = True
            continue
        answers[question.path] = answer
        at += 1
    return answers


def _ask(
    question: Question, answers: Mapping[str, str], around: Surroundings, source: TextIO, *, again: bool
) -> str:
    """again: whether its words stand just above, over an answer that was none."""
    default = answers.get(question.path, question.default)
    if not again:
        around.tell(f"\n{question.words}")
        if question.path == "cluster.device":
            around.tell("\n".join(_suggestions()))
    return _line(f"{question.path}{f' [{default}]' if default else ''}: ", around, source) or default


def _line(prompt: str, around: Surroundings, source: TextIO) -> str:
    around.stderr.write(prompt)
    around.stderr.flush()
    line = source.readline()
    if not line:
        raise _EndOfInputError
    return line.strip()


def _suggestions() -> list[str]:
    from launcher.catalog.devices import DEVICES
    from launcher.reporting.columns import wrapped

    return wrapped(f"  {', '.join(sorted(DEVICES))}", width=100, hang=2)


def _wrong(question: Question, answer: str, answers: Mapping[str, str]) -> str:
    """What the loader says of an answer, given those before; empty where it takes it."""
    from launcher.errors import RecipeError

    if not answer:
        return "  an answer is needed here: there is no number that suits every run"
    if question.path == "cluster.device":
        return _unknown_device(answer)
    try:
        _recipe(
            {**{path: text for path, text in answers.items() if path != question.path}, question.path: answer}
        )
    except RecipeError as error:
        problem = error.problems[0]
        return f"  {problem.message}" + (f"\n  hint: {problem.hint}" if problem.hint else "")
    return ""


def _unknown_device(name: str) -> str:
    from launcher.catalog.devices import DEVICES

    if name in DEVICES:
        return ""
    near = get_close_matches(name.lower(), DEVICES, n=3, cutoff=0.4)
    hint = f"\n  hint: did you mean {', '.join(f'`{each}`' for each in near)}?" if near else ""
    return f"  `{name}` is not in the catalog{hint}"


def _recipe(answers: Mapping[str, str]) -> Recipe:
    """As the loader reads the answers. Raises RecipeError."""
    from launcher.loading import load_recipe

    return load_recipe({"schema": 1}, overrides=[f"{path}={answer}" for path, answer in answers.items()])


def _target(around: Surroundings, source: TextIO) -> str:
    """Where to write: a file that is not there."""
    around.tell("\nthe file to write; a file that is there stays as it is")
    while True:
        name = _line("recipe [recipe.yaml]: ", around, source) or "recipe.yaml"
        if Path(name).exists() or Path(name).is_symlink():
            around.tell(f"  `{name}` is there already")
        elif not Path(name).absolute().parent.is_dir():
            around.tell(f"  there is no folder {Path(name).parent}")
        else:
            return name


def _show_plan(path: str, around: Surroundings) -> int:
    from launcher.api import load_recipe, plan
    from launcher.cli.complaints import print_refusal
    from launcher.errors import LauncherError
    from launcher.reporting.glyphs import glyphs_for
    from launcher.reporting.plan_text import plan_text

    try:
        recipe = load_recipe(path)
        result = plan(recipe, environ=around.environ)
    except LauncherError as error:
        around.tell("not a plan yet:")
        print_refusal(error, around, as_json=False)
        return 0
    glyphs = glyphs_for(around.stdout.encoding, colour=around.colour)
    lines = plan_text(plan=result, recipe=recipe, recipe_path=path, glyphs=glyphs, explain=False)
    around.say("\n".join(["", *lines]))
    return 0
