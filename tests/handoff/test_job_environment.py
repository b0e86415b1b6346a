"""Which variables reach a job."""

import re
from pathlib import Path

import pytest

from launcher.handoff.running.environment import job_environment, with_time_to_end
from launcher.spec.caller import NAMES, NEVER, PREFIXES, allowed

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "environment.md"


@pytest.mark.parametrize("prefix", NEVER)
def test_another_launch_stays_outside(prefix):
    """Nothing that an engine or a scheduler sets for its own job is on the allow-list."""
    assert not any(name.startswith(prefix) for name in NAMES)
    assert not any(prefix.startswith(each) or each.startswith(prefix) for each in PREFIXES)


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_HUB_TOKEN"])
def test_what_looks_secret_is_handed_on_only_by_name(name):
    """A prefix on the list does not carry a secret along; launch.pass_env does."""
    assert not allowed(name)
    assert name not in job_environment(environ={name: "x"}, rendered={})
    assert job_environment(environ={name: "x"}, rendered={}, pass_env=(name,))[name] == "x"


def test_the_plan_wins():
    """A rendered variable replaces the caller's, passed by name or not."""
    handed = job_environment(
        environ={"OMP_NUM_THREADS": "64", "A": "caller"},
        rendered={"OMP_NUM_THREADS": "1", "A": "plan"},
        pass_env=("A",),
    )
    assert (handed["OMP_NUM_THREADS"], handed["A"]) == ("1", "plan")


def test_our_programs_come_first_on_path():
    """The engine's own folder leads, once, and the rest keeps its order."""
    handed = job_environment(environ={"PATH": "/a:/ours:/b"}, rendered={}, first_on_path=("/ours",))
    assert handed["PATH"] == "/ours:/a:/b"


def test_the_reference_lists_exactly_these():
    """docs/reference/environment.md names every variable and prefix of the list, and no other."""
    text = REFERENCE.read_text().partition("## Handed on")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([A-Za-z0-9_]+\*?)`", text))
    assert listed == {*NAMES, *(f"{prefix}*" for prefix in PREFIXES)}
    never = set(
        re.findall(r"`([A-Z_]+\*?)`", REFERENCE.read_text().partition("## Never")[2].partition("##")[0])
    )
    assert never == {f"{name}*" if name.endswith("_") else name for name in NEVER}


def test_torchrun_waits_as_long_as_the_recipe_says():
    """Its own 30 seconds would cut a longer grace short; whoever sets another time keeps it."""
    name = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
    assert with_time_to_end({}, grace_seconds=89.5)[name] == "90"
    assert with_time_to_end({name: "5"}, grace_seconds=90)[name] == "5"
