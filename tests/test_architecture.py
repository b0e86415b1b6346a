"""The house holds: floors, weight of an import, size of files, names that are exported."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("launcher", "batchwright_node", "batchwright_witness")
SOURCES = sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES]
HEAVY = {"torch", "numpy", "deepspeed", "accelerate", "transformers", "pydantic", "jsonschema", "matplotlib"}
# the only places that look at the environment; everything else is handed what it needs
READS_ENVIRONMENT = {
    "launcher/cli/main.py",
    "launcher/discovery/host_facts.py",
    "launcher/discovery/machine.py",
    "launcher/discovery/slurm.py",
    "launcher/handoff/doctor/collective_script.py",
    "launcher/runtime/world.py",
    "batchwright_node/__main__.py",
    "batchwright_witness/__main__.py",
}


def test_there_is_something_to_check():
    """The globs below find the package."""
    assert len(SOURCES) > 60


def test_floors():
    """Every import goes down: import-linter's contracts in setup.cfg are kept."""
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    """A file holds at most 300 lines, a function at most 60."""
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    long = [
        f"{node.name}:{node.lineno}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_environment_is_read_in_few_places(path):
    """`os.environ` and `os.getenv` stand only in the modules listed."""
    found = re.search(r"os\.(environ|getenv)|from os import .*environ", path.read_text())
    assert found is None or str(path.relative_to(ROOT)) in READS_ENVIRONMENT


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_lives_in_them(path):
    """Every module opens with a sentence."""
    assert path.name == "__init__.py" or ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("name", [name for name in MODULES if "__main__" not in name])
def test_exported_names_exist(name):
    """Every name in `__all__` is there, once; ruff keeps the order."""
    tree = ast.parse((ROOT / Path(*name.split("."))).with_suffix(".py").read_text())
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]
    ]
    for names in listed:
        assert len(names) == len(set(names))
        module = importlib.import_module(name.removesuffix(".__init__"))
        missing = [item for item in names if not hasattr(module, item)]
        assert missing == []


def imported_by(code: str, *, python: str = sys.executable) -> set[str]:
    report = "import sys, json; print('\\n' + json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    ran = subprocess.run(
        [python, "-c", f"{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_planning_imports_nothing_heavy():
    """The whole of `batchwright plan` brings in no torch, numpy, engine or validation library."""
    code = (
        "from launcher.cli.main import main\n"
        "assert main(['plan', 'recipes/quickstart/cpu-1x2.yaml']) == 0\n"
        "assert main(['plan', 'recipes/quickstart/cpu-1x2.yaml', '--json']) == 0"
    )
    assert imported_by(code) & HEAVY == set()


def test_the_runtime_brings_no_yaml_into_training():
    """`from launcher import runtime` imports neither YAML nor the command line, and torch only when used."""
    assert imported_by("from launcher import runtime") & (HEAVY | {"yaml", "argparse"}) == set()


def test_import_launcher_is_lazy():
    """`import launcher` alone loads none of its floors."""
    code = "import sys, launcher; print([n for n in sys.modules if n.startswith('launcher.')])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def base_python() -> Path:
    """The environment that holds the base dependencies and nothing else; `make test` builds it."""
    python = Path(f"{sys.prefix}-base") / "bin" / "python"
    if not python.exists() and "CI" not in os.environ:
        pytest.skip(f"no base-only environment at {python.parent.parent}: `make test` builds one")
    return python


def test_planning_needs_only_the_base():
    """With pyyaml alone a recipe of three numbers is planned, rendered and refused."""
    python = base_python()
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    ).stdout.lower()
    assert not any(re.search(rf"^{name}==", installed, re.MULTILINE) for name in HEAVY)
    code = (
        "from launcher import load_recipe, plan\n"
        "result = plan(load_recipe({'global_batch_size': 256, 'sequence_length': 1024, 'hidden_size': 768}))\n"
        "print(result.batch.micro_batch_size * result.batch.gradient_accumulation_steps)"
    )
    ran = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "256"), ran.stderr
