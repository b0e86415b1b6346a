"""What is checked before anything starts, each check for itself."""

import dataclasses
import io
import socket
from pathlib import Path

import pytest

from launcher.cli.main import main
from launcher.handoff.checks import check_launch
from launcher.handoff.compiler import check_compiler
from launcher.handoff.running.executables import find_executable
from launcher.testing.plans import changed, sample_plans

BAD = Path(__file__).parents[1] / "loading" / "bad"


@pytest.fixture
def plan(tmp_path):
    """A plan whose script exists."""
    (tmp_path / "train.py").write_text("")
    return changed(sample_plans()["cpu-1x2"], launch={"workdir": str(tmp_path), "script": "train.py"})


def codes(plan, *, executables=("sh",), environ=None, beside="/nowhere"):
    found = check_launch(
        plan=plan, executables=executables, environ=environ or {"PATH": "/usr/bin:/bin"}, beside=Path(beside)
    )
    return [problem.code for problem in found]


def test_nothing_is_wrong(plan):
    """A plan whose script and program are here has no problem."""
    assert codes(plan) == []


def test_without_a_folder_nothing_else_is_looked_for(plan):
    """An absent working folder is one problem, not one for every file in it."""
    gone = changed(plan, launch={"workdir": "/no/such/folder", "pass_env": ("ABSENT",)})
    assert codes(gone) == ["workdir-not-found"]


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("package.train", True),
        ("package", True),
        ("package.absent", False),
        ("train", True),
        ("json.tool", True),
        ("no_such_module_anywhere", False),
    ],
)
def test_modules_are_looked_for_without_importing_them(plan, module, found):
    """A module of the working folder, a package with __main__, an installed one; importing would raise here."""
    package = Path(plan.launch.workdir) / "package"
    package.mkdir()
    for name in ("__init__.py", "__main__.py", "train.py"):
        (package / name).write_text("raise AssertionError('imported')")
    named = changed(plan, launch={"script": None, "module": module})
    assert codes(named) == ([] if found else ["script-not-found"])


def test_several_nodes_do_not_start_on_this_machine(plan):
    """Commands of other nodes are refused by the local executor."""
    assert codes(changed(plan, layout={"num_nodes": 2})) == ["not-yet-supported"]


def test_a_port_that_is_taken(monkeypatch, tmp_path):
    """A written port that something listens on is refused before ranks wait for each other."""
    monkeypatch.chdir(tmp_path)
    errors = io.StringIO()
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        Path("port-in-use.yaml").write_text((BAD / "port-in-use.yaml").read_text().replace("24680", port))
        words = ["run", "port-in-use.yaml", "--dry-run"]
        code = main(words, environ={"PATH": ""}, stdout=io.StringIO(), stderr=errors)
    assert code == 78
    assert errors.getvalue().replace(port, "24680") == (BAD / "port-in-use.txt").read_text()


def test_programs_beside_us_come_first(tmp_path):
    """A torchrun of another installation on PATH cannot import the witness; ours is taken."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        (folder / "torchrun").touch(mode=0o755)
    environ = {"PATH": str(theirs)}
    assert find_executable("torchrun", environ=environ, beside=ours, directory="/") == ours / "torchrun"
    (ours / "torchrun").chmod(0o644)
    assert find_executable("torchrun", environ=environ, beside=ours, directory="/") == theirs / "torchrun"
    assert find_executable("absent", environ=environ, beside=ours, directory="/") is None
    assert find_executable("./theirs/torchrun", environ={}, beside=ours, directory=str(tmp_path)) is not None


class TestCompiler:
    """DeepSpeed on CPU builds one operator, once."""

    @pytest.fixture
    def deepspeed(self, plan):
        return changed(plan, launch={"engine": "deepspeed"})

    def problems(self, plan, environ, headers="/usr/include"):
        return check_compiler(plan=plan, environ=environ, beside=Path("/nowhere"), headers=Path(headers))

    @pytest.fixture
    def headers(self, tmp_path):
        (tmp_path / "Python.h").touch()
        return tmp_path

    def test_no_compiler(self, deepspeed, headers):
        """Neither c++ nor what CXX names is there."""
        (problem,) = self.problems(deepspeed, {"PATH": "", "CXX": "clang++-99"}, headers)
        assert problem.because == ("`clang++-99` (from CXX) is not on PATH",)

    def test_no_headers(self, deepspeed, tmp_path):
        """The compiler is there and Python.h is not."""
        (tmp_path / "c++").touch(mode=0o755)
        (problem,) = self.problems(deepspeed, {"PATH": str(tmp_path)}, tmp_path)
        assert problem.because == (f"`Python.h` is not in {tmp_path}",)

    @pytest.mark.parametrize("place", ["TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME", "HOME"])
    def test_built_before(self, deepspeed, tmp_path, place):
        """Wherever torch keeps it, an operator that is built already needs no compiler."""
        below = {"HOME": ".cache/torch_extensions/py311_cpu", "XDG_CACHE_HOME": "torch_extensions/py311_cpu"}
        folder = tmp_path / below.get(place, "") / "deepspeed_shm_comm"
        folder.mkdir(parents=True)
        environ = {"PATH": "", place: str(tmp_path)}
        assert len(self.problems(deepspeed, environ)) == 1
        (folder / "deepspeed_shm_comm.so").touch()
        assert self.problems(deepspeed, environ) == ()

    def test_only_where_it_is_built(self, deepspeed, plan):
        """Other engines, and DeepSpeed on GPUs, do not build it."""
        on_gpu = dataclasses.replace(deepspeed.layout, device_kind="cuda")
        assert self.problems(plan, {"PATH": ""}) == ()
        assert self.problems(dataclasses.replace(deepspeed, layout=on_gpu), {"PATH": ""}) == ()
