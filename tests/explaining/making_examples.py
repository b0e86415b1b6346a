"""launcher/reporting/examples.json, made from recipes and messages that other tests prove."""

import io
import json
import os
import re
import shlex
from pathlib import Path

from launcher.cli.main import main
from launcher.errors import CODES
from launcher.loading import load_recipe
from launcher.loading.excerpts import excerpts
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

ROOT = Path(__file__).resolve().parents[2]
BAD = ROOT / "tests/loading/bad"
KEYS = [ROOT / "tests/contract/full.yaml", *sorted(Path(__file__).parent.glob("keys/*.yaml"))]
INTERNAL = ("# checked by ", "# $ batchwright ")


def example_of_code(code):
    """The recipe that gets a code and the whole message; the message alone where a job or a command prints it."""
    recipe = BAD / f"{code}.yaml"
    if not recipe.exists():
        messages = sorted(ROOT.glob(f"tests/*/messages/{code}.txt"))
        return {"message": messages[0].read_text("utf-8").rstrip("\n")} if messages else None
    text = recipe.read_bytes().decode("utf-8", "backslashreplace")
    lines = list(enumerate(text.splitlines(), start=1))
    typed = next((line for _, line in lines[:2] if line.startswith(INTERNAL[1])), None)
    elsewhere = lines and lines[0][1].startswith(INTERNAL[0])
    command = (typed or ("" if elsewhere else "# $ batchwright plan {file}")).removeprefix("# $ ")
    example = {
        "message": recipe.with_suffix(".txt").read_text("utf-8").rstrip("\n"),
        "command": command.replace("{file}", recipe.name),
        "lines": [list(line) for line in lines if not line[1].startswith(INTERNAL)],
    }
    return {**example, "paths": [] if elsewhere else paths_of(code, example["command"])}


def paths_of(code, command):
    """The keys that the example's problem stands at."""
    words = shlex.split(command)[1:]
    out = io.StringIO()
    if words[0] not in {"plan", "advise"}:
        return []
    before = Path.cwd()
    os.chdir(BAD)
    try:
        main([*words, "--json"], environ={"PATH": ""}, stdout=out, stderr=io.StringIO())
    finally:
        os.chdir(before)
    try:
        problems = json.loads(out.getvalue()).get("problems", [])
    except ValueError:
        return []
    found = [re.sub(r"\.\d+", "", problem["path"]) for problem in problems if problem["code"] == code]
    return [path for path in dict.fromkeys(found) if path]


def example_of_keys():
    """Lines of recipes that load, for every key that one of them writes."""
    known = {path for path, _ in walk(section_of(Recipe))}
    found = {}
    for file in KEYS:
        load_recipe(file)
        for path, excerpt in excerpts(file.read_text("utf-8")).items():
            if path in known:
                found.setdefault(path, {"lines": list(excerpt.lines)})
    return dict(sorted(found.items()))


def made():
    """The whole file."""
    codes = {code: example for code in CODES if (example := example_of_code(code))}
    return {"codes": codes, "keys": example_of_keys()}


def in_lines(examples):
    """JSON with a line for each example, so that a change of one is a change of one line."""
    parts = [
        f'"{kind}": {{\n'
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in some.items())
        + "\n}"
        for kind, some in examples.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    from launcher.reporting.examples import FILE

    FILE.write_text(in_lines(made()), "utf-8")
