"""Every bundle of the sample plans, byte for byte. `pytest --update-golden` writes them anew."""

import json

import pytest

from launcher.discovery.plugins import find_plugin, plugin_names
from launcher.testing import check_engine, sample_plans

ENGINES = sorted(
    {info.name for info in plugin_names("launcher.engines") if info.distribution == "batchwright"}
)
FOLDER = "/runs/sample"


def rendered(engine, plan):
    """The bundle, or None where the engine refuses the plan."""
    if any(problem.severity == "error" for problem in engine.check(plan)):
        return None
    return engine.render(plan, [f"host{rank}" for rank in range(plan.layout.num_nodes)])


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_keeps_to_the_protocol(name):
    """Each built-in engine renders most sample plans: deterministic, complete, numbers and words as planned."""
    assert check_engine(find_plugin("launcher.engines", name)) >= 10


@pytest.mark.parametrize("case", sample_plans())
@pytest.mark.parametrize("name", ENGINES)
def test_bundles_are_the_golden_ones(golden, name, case):
    """The same plan renders to the same bytes as when a person last looked at them."""
    bundle = rendered(find_plugin("launcher.engines", name), sample_plans()[case])
    files = {}
    if bundle is not None:
        placed = bundle.placed(FOLDER)
        commands = [
            {"node_rank": c.node_rank, "host": c.host, "argv": list(c.argv), "env": dict(c.env)}
            for c in placed.commands
        ]
        files = {**placed.files, "commands.json": json.dumps(commands, indent=1) + "\n"}
    golden(f"{case}/{name}", files)


def test_a_missing_golden_file_fails(golden, request):
    """A bundle without golden files is a failure, not the first draft of some."""
    if request.config.getoption("--update-golden"):
        pytest.skip("writing")
    with pytest.raises(AssertionError):
        golden("no-such-case/torchrun", {"commands.json": "[]\n"})
