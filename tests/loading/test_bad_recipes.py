"""One recipe per error code with the whole of what a person reads about it.

bad/<code>.yaml is the recipe, bad/<code>.txt what is printed on standard error. The first line of a recipe may name the
command, `# $ batchwright plan {file} --set seed=x`, where {file} is the recipe; without it `batchwright plan {file}`.
A first line `# checked by tests/PLACE` hands the pair to another test. Commands run inside the folder.
Where there is a plan because the code is only a warning or a note, the text is every remark of the plan.
After a change of wording: `python tests/loading/test_bad_recipes.py` writes the texts anew; read the difference.
"""

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from launcher.cli.main import main
from launcher.errors import CODES, Problem

ROOT = Path(__file__).resolve().parents[2]
BAD = Path(__file__).parent / "bad"
RECIPES = sorted(BAD.glob("*.yaml"))
LOADING = list(CODES)[list(CODES).index("file-not-found") : list(CODES).index("cluster-not-found") + 1]


def first_line(recipe):
    return recipe.read_bytes().split(b"\n")[0].decode("utf-8", "replace")


def command(recipe):
    line = first_line(recipe)
    text = line.removeprefix("# $ batchwright ") if line.startswith("# $ batchwright ") else "plan {file}"
    return [word.replace("{file}", recipe.name) for word in shlex.split(text)]


def printed(recipe):
    """Exit code and text of the recipe's command."""
    words, out, err = command(recipe), io.StringIO(), io.StringIO()
    code = main(words, environ={"PATH": ""}, stdout=out, stderr=err)
    if err.getvalue():
        return code, err.getvalue()
    out = io.StringIO()
    assert main([*words, "--json"], environ={"PATH": ""}, stdout=out, stderr=err) == code
    remarks = [Problem(**problem) for problem in json.loads(out.getvalue())["problems"]]
    return code, "".join(f"{remark.severity}: {remark}\n" for remark in remarks)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_the_whole_message(recipe, monkeypatch):
    """What is printed about a bad recipe is its text, letter by letter, and names its code."""
    checked = re.match(r"# checked by (tests/\S+)", first_line(recipe))
    if checked:
        assert (ROOT / checked[1]).exists()
        return
    monkeypatch.chdir(BAD)
    code, text = printed(recipe)
    assert code in {0, 1, 78}
    assert f"[{recipe.stem}]" in text
    assert text == recipe.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", LOADING)
def test_every_code_of_the_reader_has_a_recipe(code):
    """No code of the reader is without a recipe and its text."""
    assert (BAD / f"{code}.yaml").exists()
    assert (BAD / f"{code}.txt").exists()


if __name__ == "__main__":
    import os

    os.chdir(BAD)
    for each in RECIPES:
        if not first_line(each).startswith("# checked by "):
            each.with_suffix(".txt").write_text(printed(each)[1], encoding="utf-8")
