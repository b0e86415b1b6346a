"""Keys that come later: noted in a plan, refused before rendering, one table for both."""

from dataclasses import replace

import pytest
from plan_of import amount, codes, plan_of, recipe_of

from launcher.planning.support import LATER, not_yet_used, unsupported
from launcher.spec.cluster import Cluster, Group, Interconnect
from launcher.spec.launch import Launch
from launcher.spec.parallel import Context, DataParallel, Parallel
from launcher.spec.training import Data
from launcher.units import parse_amount

USES = {
    "data.kind": {"data": Data(kind="stream"), "launch": Launch(runtime=True)},
    "cluster.nodes": {"cluster": Cluster(nodes="2..4")},
    "cluster.groups": {"cluster": Cluster(groups=(Group(nodes=1, devices_per_node=1, device="cpu"),))},
    "parallel.virtual_pipeline": {"parallel": Parallel(virtual_pipeline=2)},
    "parallel.sequence": {"parallel": Parallel(sequence=True)},
    "parallel.context.algorithm": {"parallel": Parallel(context=Context(size=1, algorithm="ulysses"))},
    "parallel.data.shard": {"parallel": Parallel(data=DataParallel(strategy="fsdp", shard=1))},
    "parallel.data.replicate": {"parallel": Parallel(data=DataParallel(strategy="fsdp", replicate=1))},
    "launch.restarts": {"launch": Launch(restarts=2)},
    "cluster.interconnect": {
        "cluster": Cluster(interconnect=Interconnect(between_nodes=parse_amount("50 GB/s", kind="rate")))
    },
    "cluster.time_limit": {"cluster": Cluster(time_limit=parse_amount("24 h", kind="duration"))},
    "cluster.price_per_device_hour": {"cluster": Cluster(price_per_device_hour=2.0)},
    "cluster.power_watts": {"cluster": Cluster(power_watts=700.0)},
    "cluster.checkpoint_bandwidth": {
        "cluster": Cluster(checkpoint_bandwidth=parse_amount("1 GB/s", kind="rate"))
    },
}


def test_every_row_has_an_example():
    """The table and the examples below name the same keys."""
    assert set(USES) == {row.path for row in LATER}
    assert len(LATER) == len(USES)


@pytest.mark.parametrize("row", LATER, ids=lambda row: row.path)
def test_each_key_is_noted_and_refused(row):
    """In use, a key is a note of the plan and, unless it only feeds estimates, an error before rendering."""
    recipe = recipe_of(**USES[row.path])
    declared = replace(recipe.launch, engine="accelerate")
    recipe = replace(recipe, launch=declared)
    (note,) = not_yet_used(recipe)
    assert (note.path, note.severity, note.code) == (row.path, "note", "not-yet-used")
    assert note.message.endswith(row.instead)
    assert "not-yet-used" in codes(plan_of(recipe))
    refused = [(problem.code, problem.path, problem.severity) for problem in unsupported(recipe)]
    assert refused == ([("not-yet-supported", row.path, "error")] if row.refuses else [])


def test_nothing_is_said_of_a_plain_recipe():
    """At their defaults the keys are neither noted nor refused; evaluation, checkpoint and plugins are not in the table."""
    from launcher.spec.training import Checkpoint, Evaluation

    recipe = recipe_of(
        evaluation=Evaluation(every=amount("1 step")),
        checkpoint=Checkpoint(),
        data=Data(kind="stream"),
        launch=Launch(executor="somebody-elses"),
    )
    assert not_yet_used(recipe) == unsupported(recipe) == ()
