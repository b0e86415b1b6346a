"""`batchwright trace` as a person meets it: a table, one JSON object, a file beside the recipe that plan reads."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = [f"--set={word}" for word in ("hidden_size=128", "sequence_length=64", "model.num_layers=5")]
# where torch is not, or is not to be found
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in {"torch", "numpy"}, name
sys.meta_path.insert(0, Absent())
from launcher.cli.main import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recipe that ships, traced once at small sizes."""
    place = tmp_path_factory.mktemp("module")
    for name in ("small-gpt.yaml", "small_gpt.py"):
        shutil.copy(ROOT / "recipes" / "module" / name, place)
    code, text, err = run(place, "trace", "--json")
    assert (code, err) == (0, "")
    (place / "first.json").write_text(text)
    return place


def run(folder, command, *words):
    out, err = io.StringIO(), io.StringIO()
    words = [command, str(folder / "small-gpt.yaml"), *SMALL, *words]
    return main(words, environ={"PATH": ""}, stdout=out, stderr=err), out.getvalue(), err.getvalue()


def without_torch(folder, command, *words):
    words = [sys.executable, "-c", WITHOUT_TORCH, command, str(folder / "small-gpt.yaml"), *SMALL, *words]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout


def test_what_is_found_is_kept_beside_the_recipe(folder):
    """One file, out of version control's sight, with the sums of this very module."""
    [file] = (folder / ".batchwright" / "trace").glob("*.json")
    assert (folder / ".batchwright" / ".gitignore").read_text() == "*\n"
    trace = json.loads(file.read_text())
    assert trace == json.loads((folder / "first.json").read_text())
    width = 128
    block = 12 * width * width + 13 * width
    count = (32768 + 4096) * width + 5 * block + 2 * width + 32768 * width
    assert trace["totals"]["parameters"] == count
    assert trace["totals"]["gradient_bytes"] == 4 * count
    assert trace["totals"]["optimizer_state_bytes"] == 8 * count
    assert trace["totals"]["peak_bytes"] == max(trace["totals"]["phases"].values())
    assert list(trace["code"]) == ["small_gpt.py"]
    assert [part["unit"] for part in trace["parts"]] == ["", "layers.*", ""]


def test_the_table(folder):
    """Modules with what they keep; equal ones together; at most 100 columns; how far the numbers reach."""
    text = without_torch(folder, "trace")
    lines = text.splitlines()
    assert max(map(len, lines[:-2])) <= 100
    assert lines[0].startswith("small_gpt:build   ")
    assert any(line.split()[:3] == ["*", "(5", "x)"] for line in lines)
    assert any(line.startswith("head ") and "4,194,304" in line for line in lines)
    assert "layers: exact, from 3, 4; to the byte at 5" in text
    assert "nothing has changed, not traced again" in " ".join(text.split())


def test_a_plan_reads_it_without_torch(folder):
    """The same module at another micro-batch, length and depth, in a process that has no torch."""
    plans = [
        json.loads(without_torch(folder, "plan", "--json", *(f"--set={word}" for word in words)))
        for words in ([], ["micro_batch_size=32", "sequence_length=128", "model.num_layers=11"])
    ]
    small, large = (plan["memory"]["components"]["activations"] for plan in plans)
    assert large > 8 * small
    assert plans[0]["model"]["num_parameters"] < plans[1]["model"]["num_parameters"]
    assert "trace of small_gpt:build" in plans[0]["memory"]["evidence"]


def test_a_trace_of_something_else_is_not_used(folder):
    """Another vocabulary is another trace, and so are other numbers; another optimizer is not."""
    for words, known in [
        (["model.vocab_size=500"], False),
        (["precision=fp32"], False),
        (["optimizer.name=sgd"], True),
        (["sequence_length=4096"], False),
    ]:
        plan = json.loads(without_torch(folder, "plan", "--json", *(f"--set={word}" for word in words)))
        codes = [problem["code"] for problem in plan["problems"]]
        assert (plan["memory"] is not None, "trace-missing" not in codes) == (known, known), words


def test_a_damaged_file_is_passed_over(folder, tmp_path):
    """Half a file is no trace."""
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    [file] = (place / ".batchwright" / "trace").glob("*.json")
    file.write_text(file.read_text()[:100])
    assert json.loads(without_torch(place, "plan", "--json"))["memory"] is None


def test_there_must_be_a_module(folder):
    """Other kinds are not traced."""
    code, out, err = run(folder, "trace", "--set=model.kind=decoder", "--set=model.module=null")
    assert (code, out) == (1, "")
    assert "[missing-key]" in err
