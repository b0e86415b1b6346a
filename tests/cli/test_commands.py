"""Commands in this process: exit codes, what goes to stdout and what to stderr."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.main import main

THREE = "global_batch_size: 12\nsequence_length: 16\nhidden_size: 64\n"
TWO_RANKS = "cluster: {nodes: 1, devices_per_node: 2, device: cpu}\n"
REFUSED = THREE.replace("12", "13") + TWO_RANKS
SCRIPT = THREE + TWO_RANKS + 'launch: {script: train.py, args: ["--lr", "it\'s $(id)"]}\n'


@pytest.fixture
def call(tmp_path, monkeypatch):
    """A function that runs a command in a folder of its own and returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(recipe, *words, environ=None):
        (tmp_path / "r.yaml").write_text(recipe)
        out, err = io.StringIO(), io.StringIO()
        code = main(words, environ={"PATH": ""} if environ is None else environ, stdout=out, stderr=err)
        return code, out.getvalue(), err.getvalue()

    return run


def test_a_plan_is_data(call):
    """The plan goes to stdout, nothing to stderr."""
    code, out, err = call(THREE, "plan", "r.yaml")
    assert (code, err) == (0, "")
    assert re.match(r"fits   [0-9.]+ expected, [0-9.]+ worst( MiB)?, of [0-9.]+ GiB   1 x CPU", out)


def test_set_overrides(call):
    """--set replaces one key, and may be repeated."""
    code, out, _ = call(THREE, "plan", "r.yaml", "--json", "--set", "global_batch_size=24", "--set", "seed=3")
    assert code == 0
    plan = json.loads(out)
    assert (plan["batch"]["global_batch_size"], plan["seed"]) == (24, 3)


def test_the_environment_is_handed_in(call):
    """Devices are those of the environment given, not of the process."""
    assert call(THREE, "plan", "r.yaml", environ={"CUDA_VISIBLE_DEVICES": ""})[0] == 0


def test_a_refused_plan(call):
    """Problems with places and their number on stderr, ways out on stdout, exit code 1."""
    code, out, err = call(REFUSED, "plan", "r.yaml")
    assert code == 1
    first, *_, last = err.splitlines()
    assert first.startswith("r.yaml:1:20: `global_batch_size: 13` ")
    assert first.endswith("[batch-not-divisible]")
    assert last == "1 problem"
    assert "ways out" in out
    assert "--set" in out


@pytest.mark.parametrize(
    ("recipe", "code"),
    [(REFUSED, "batch-not-divisible"), (THREE + "x: 1\n", "unknown-key"), ("", "empty-recipe")],
)
def test_json_is_one_object_whatever_happens(call, recipe, code):
    """A program reads one object: verdict, problems, alternatives, refused or not."""
    exit_code, out, err = call(recipe, "plan", "r.yaml", "--json")
    found = json.loads(out)
    assert exit_code == 1
    assert (found["plan_version"], found["verdict"]) == (1, "refused")
    assert [problem["code"] for problem in found["problems"] if problem["severity"] == "error"] == [code]
    assert isinstance(found["alternatives"], list)
    assert err.splitlines()[-1] == "1 problem"


def test_json_is_the_same_every_time(call):
    """Identical input, identical bytes."""
    words = ("plan", "r.yaml", "--json")
    assert call(SCRIPT, *words) == call(SCRIPT, *words)


def test_several_problems_are_counted(call):
    """All problems at once, and how many."""
    _, _, err = call(THREE + "x: 1\ny: 2\n", "plan", "r.yaml")
    assert err.splitlines()[-1] == "2 problems"


def test_run_refuses_with_its_own_code(call):
    """Whatever keeps `run` from starting is 78, so that 1 is always the job's own."""
    assert call(REFUSED, "run", "r.yaml")[0] == 78
    assert call(THREE, "run", "r.yaml")[0] == 78
    assert not Path("runs").exists()


def test_a_bug_of_ours_is_three(call, monkeypatch):
    """An exception that nobody can cause is reported with its traceback and versions."""
    import launcher.api

    def broken(*_args, **_options):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(launcher.api, "plan", broken)
    code, out, err = call(THREE, "plan", "r.yaml")
    assert (code, out) == (3, "")
    assert "ZeroDivisionError: ours" in err
    assert "please report" in err
    assert "Python 3." in err


def test_explain(call):
    """Where every number comes from is added to the plan, on the same stdout."""
    _, out, _ = call(THREE, "plan", "r.yaml", "--explain")
    assert "batch.global_batch_size" in out


def test_the_schema(call):
    """The schema is JSON and knows the three numbers."""
    code, out, _ = call(THREE, "schema")
    assert code == 0
    assert {"global_batch_size", "sequence_length", "hidden_size"} <= set(json.loads(out)["properties"])


def test_engines_are_listed_without_importing_them():
    """The list comes from entry points alone."""
    script = (
        "import sys\nfrom launcher.cli.main import main\ncode = main(['engines'])\n"
        "assert 'launcher.engines.torchrun' not in sys.modules\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["engine", "torchrun", "batchwright"] in [row[:3] for row in rows]
    assert ["executor", "local", "batchwright"] in [row[:3] for row in rows]


class TestRender:
    """`batchwright render`."""

    def test_the_command_can_be_pasted(self, call, tmp_path):
        """One line for a shell on stdout: every word of the engine's command, byte for byte."""
        code, out, err = call(SCRIPT, "render", "r.yaml", "-o", "a 0")
        assert code == 0
        assert err == "wrote plan.json to a 0\n"
        words = shlex.split(out)
        assert words[0] == "env"
        assert f"LAUNCHER_PLAN={tmp_path}/a 0/plan.json" in words
        assert words[words.index("torchrun") :][-3:] == ["train.py", "--lr", "it's $(id)"]
        echoed = subprocess.run(
            ["sh", "-c", out.replace(" torchrun ", " printf '%s\\n' ", 1)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert echoed.stdout.splitlines()[-1] == "it's $(id)"

    def test_another_working_folder_is_entered_first(self, call, tmp_path):
        """A script elsewhere is found from wherever the line is pasted."""
        (tmp_path / "there").mkdir()
        _, out, _ = call(
            SCRIPT.replace("{script", "{workdir: there, script"), "render", "r.yaml", "-o", "job"
        )
        assert out.startswith(f"cd {tmp_path}/there && env ")

    @pytest.mark.parametrize("what", ["argv", "env", "json"])
    def test_parts_for_a_wrapper(self, call, tmp_path, what):
        """Words and variables for a shell to evaluate, JSON for everything else."""
        code, out, err = call(SCRIPT, "render", "r.yaml", "-o", "job", "--print", what)
        assert (code, err) == (0, "")
        if what == "json":
            found = json.loads(out)
            assert found["argv"][-1] == "it's $(id)"
            assert found["env"]["BATCHWRIGHT_RUN"] == found["directory"] == f"{tmp_path}/job"
            assert found["workdir"] == str(tmp_path)
        elif what == "argv":
            assert shlex.split(out)[0] == "torchrun"
            assert shlex.split(out)[-1] == "it's $(id)"
        else:
            assert f"BATCHWRIGHT_RUN={tmp_path}/job" in shlex.split(out)

    def test_without_a_folder(self, call):
        """A wrapper may leave the folder to us: the same plan always has the same one."""
        first = call(SCRIPT, "render", "r.yaml", "--print", "json")
        second = call(SCRIPT, "render", "r.yaml", "--print", "json")
        assert first == second
        folder = Path(json.loads(first[1])["directory"])
        assert folder.parent == Path.cwd() / "runs" / "rendered"
        assert (folder / "plan.json").exists()

    def test_a_node_that_is_not_there(self, call):
        """--node-rank beyond the plan is wrong usage."""
        code, out, err = call(SCRIPT, "render", "r.yaml", "-o", "job", "--print", "argv", "--node-rank", "1")
        assert (code, out) == (2, "")
        assert "--node-rank 1" in err
        assert not Path("job").exists()

    def test_one_line_per_node(self, call):
        """Every node's command is there, each after a comment that names it."""
        _, out, _ = call(SCRIPT.replace("nodes: 1", "nodes: 3"), "render", "r.yaml", "-o", "job")
        assert [line.split(",")[0] for line in out.splitlines() if line.startswith("#")] == [
            "# node 0",
            "# node 1",
            "# node 2",
        ]


def batchwright(*words, **options):
    code = "import sys; from launcher.cli.main import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *words], text=True, **options)


def test_a_reader_that_goes_away(tmp_path):
    """`batchwright plan R | head -0` ends without a traceback."""
    (tmp_path / "r.yaml").write_text(THREE)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with batchwright("plan", "r.yaml", cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE) as process:
        os.close(write_end)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (141, "")


def test_a_terminal_without_our_letters(tmp_path):
    """With an ASCII terminal the plan is drawn in ASCII, and names in other scripts do not break it."""
    (tmp_path / "r.yaml").write_text(
        THREE + "name: \u6a21\u578b\noptimizer: {learning_rate: 1e-3}\nmodel: {batch_coupled: [\u6a21]}\n",
        encoding="utf-8",
    )
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with batchwright(
        "plan", "r.yaml", "--explain", cwd=tmp_path, env=environ, stdout=subprocess.PIPE
    ) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.isascii()
    assert "########" in out
