"""Engines and executors of installed packages."""

import sys
from importlib.metadata import entry_points

import pytest

from launcher.discovery.plugins import find_plugin, plugin_names
from launcher.errors import EngineError

GROUP = "launcher.engines"
WORKING = """
class Engine:
    name = "mpi"
    requirements = ("mpirun",)

    def check(self, plan):
        return ()

    def render(self, plan, hosts):
        raise NotImplementedError


ENGINE = Engine()
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with an entry point and a module on the path, as an installer would leave them."""

    def install(package, entry, module="", code="", *, group=GROUP, version="1.0"):
        place = tmp_path / package
        info = place / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[console_scripts]\nx = y:z\n\n[{group}]\n# ours\n{entry}\n")
        if module:
            (place / f"{module}.py").write_text(code)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(str(place))

    return install


def refused(name, group=GROUP):
    with pytest.raises(EngineError) as raised:
        find_plugin(group, name)
    (problem,) = raised.value.problems
    return problem


def test_the_built_in_plugins_are_found():
    """They stand in setup.cfg like anybody's, and nowhere else."""
    assert {"accelerate", "deepspeed", "torchrun"} <= {info.name for info in plugin_names(GROUP)}
    for name in ("accelerate", "deepspeed", "torchrun"):
        assert find_plugin(GROUP, name).name == name
    assert find_plugin("launcher.executors", "local").name == "local"


@pytest.mark.parametrize("group", [GROUP, "launcher.executors", "console_scripts", "pytest11"])
def test_entry_points_are_read_as_the_standard_library_reads_them(group):
    """Reading the files directly finds the same names and values as importlib.metadata, which is slow to import."""
    expected = {(entry.name, entry.value.partition("[")[0].strip()) for entry in entry_points(group=group)}
    assert {(info.name, info.value) for info in plugin_names(group)} == expected


def test_an_engine_of_another_package_is_found(install):
    """A newcomer registers an engine in their own package and touches nothing of ours."""
    install("batchwright-mpi", "mpi = mpi_engine_a:ENGINE", "mpi_engine_a", WORKING)
    assert find_plugin(GROUP, "mpi").requirements == ("mpirun",)
    (info,) = [info for info in plugin_names(GROUP) if info.name == "mpi"]
    assert (info.distribution, info.version, info.value) == ("batchwright_mpi", "1.0", "mpi_engine_a:ENGINE")


def test_an_executor_of_another_package_is_found(install):
    """The same for executors."""
    install("elsewhere", "moon = moon_executor:ENGINE", "moon_executor", WORKING, group="launcher.executors")
    assert find_plugin("launcher.executors", "moon").name == "mpi"


def test_listing_imports_nothing(install):
    """A package that cannot even be imported is listed, and hurts nobody who does not choose it."""
    install(
        "broken", "bad = broken_engine_a:ENGINE", "broken_engine_a", "raise SystemError('never imported')"
    )
    (info,) = [info for info in plugin_names(GROUP) if info.name == "bad"]
    assert not info.loaded
    assert "broken_engine_a" not in sys.modules
    assert find_plugin(GROUP, "torchrun").name == "torchrun"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import no_such_module_x",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_x'",
        ),
        ("raise RuntimeError('first\\nsecond')", "cannot be imported: RuntimeError: first"),
        ("x = 1", "cannot be imported: AttributeError: module 'broken_engine_b' has no attribute 'ENGINE'"),
        ("ENGINE = object()", "has no `name`, so it is no engine"),
    ],
)
def test_a_broken_engine_says_why_when_chosen(install, code, why):
    """The message is the import's own, one line of it, with the package to blame."""
    install("broken", "bad = broken_engine_b:ENGINE", "broken_engine_b", code)
    problem = refused("bad")
    assert problem.code == "engine-broken"
    assert problem.message == f"`launch.engine: bad`: broken_engine_b:ENGINE of broken 1.0 {why}"


def test_one_name_from_two_packages_is_a_clash_that_names_both(install):
    """No package may silently replace another one's engine, ours included."""
    install("other-launcher", "torchrun = other_engine:ENGINE")
    problem = refused("torchrun")
    assert problem.code == "engine-clash"
    assert problem.message == "`launch.engine: torchrun` is registered by batchwright and by other_launcher"


def test_a_package_that_stands_twice_on_the_path_does_not_clash_with_itself(install, tmp_path, monkeypatch):
    """An editable checkout beside an installed copy is one package; the first on the path is what imports."""
    install("twice", "twin = twin_engine:ENGINE", "twin_engine", WORKING)
    second = tmp_path / "second" / "Twice-2.0.dist-info"
    second.mkdir(parents=True)
    (second / "entry_points.txt").write_text(f"[{GROUP}]\ntwin = nowhere:ENGINE\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.parent)])
    assert find_plugin(GROUP, "twin").name == "mpi"


def test_an_unknown_engine_names_its_nearest():
    """A typing mistake gets its neighbour, anything else the list."""
    problem = refused("deepsped")
    assert (problem.code, problem.path, problem.hint) == (
        "unknown-engine",
        "launch.engine",
        "did you mean `deepspeed`?",
    )
    assert "accelerate, deepspeed, torchrun" in refused("mpirun").message


def test_an_unknown_executor_says_so():
    """Executors have their own code."""
    problem = refused("lokal", "launcher.executors")
    assert (problem.code, problem.hint) == ("unknown-executor", "did you mean `local`?")
