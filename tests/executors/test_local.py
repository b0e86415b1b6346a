"""The executor for this machine."""

from launcher.executors.local import EXECUTOR
from launcher.spec.bundle import LaunchBundle
from launcher.testing import sample_plans

PLANS = sample_plans()


def test_commands_stay_as_they_are():
    """Nothing is wrapped around a command that runs here."""
    bundle = LaunchBundle(files={"a": "b"}, commands=())
    assert EXECUTOR.render(PLANS["cpu-1x2"], bundle) is bundle


def test_several_nodes_are_a_warning():
    """A plan over several nodes may be made and rendered here; only starting it is out of reach."""
    assert EXECUTOR.check(PLANS["cpu-1x2"]) == ()
    (problem,) = EXECUTOR.check(PLANS["gpu-8x8"])
    assert (problem.code, problem.severity) == ("not-yet-supported", "warning")
