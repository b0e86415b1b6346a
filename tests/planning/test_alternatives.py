"""Every way out that is offered is one."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plan_of import changed, codes, count, plan_of, recipe_of, refusal_of

from launcher.errors import PlanError
from launcher.spec.cluster import Cluster, Group
from launcher.spec.launch import Launch
from launcher.spec.parallel import Parallel
from launcher.spec.training import Data, Optimizer

maybe = st.just("auto") | st.integers(1, 24)


@st.composite
def recipes(draw):
    """Recipes of any batch, machines and written split; most of them do not divide."""
    tensor = draw(st.sampled_from([1, 1, 2, 4]))
    nodes, devices = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    assume((nodes * devices) % tensor == 0)
    return recipe_of(
        global_batch_size=draw(st.integers(1, 4000)),
        nodes=nodes,
        devices=devices,
        parallel=Parallel(tensor=tensor),
        micro_batch_size=draw(maybe),
        gradient_accumulation_steps=draw(maybe),
        launch=Launch(runtime=draw(st.booleans()), script_applies=("tensor",)),
    )


@settings(max_examples=150, deadline=None)
@given(recipe=recipes())
def test_every_alternative_plans_when_it_is_applied(recipe):
    """Applied to the recipe, each change gives the very batch block it showed; at least three are offered."""
    try:
        plan_of(recipe)
    except PlanError as error:
        refusal = error
    else:
        return
    for way in refusal.alternatives:
        assert plan_of(changed(recipe, way.change)).batch == way.batch
        assert way.keeps
        assert way.changes
    assert len({way.change for way in refusal.alternatives}) == len(refusal.alternatives) >= 3


def test_ways_out_are_ranked():
    """Other splits of the same batch come first, then near batches, idle slots, fewer ranks."""
    ways = refusal_of(global_batch_size=36, devices=4, micro_batch_size=2).alternatives
    assert [way.change for way in ways] == [
        "micro_batch_size=3",
        "micro_batch_size=1",
        "global_batch_size=32",
        "global_batch_size=40",
        "launch.runtime=true",
        "cluster.devices_per_node=3",
        "cluster.devices_per_node=2",
    ]


def test_each_way_says_what_it_keeps_and_what_it_changes():
    """The nearest batch keeps the ranks, idle slots keep the gradient and show their cost."""
    below, above, runtime, nodes = refusal_of(
        global_batch_size=1000,
        nodes=8,
        devices=8,
        parallel=Parallel(tensor=2),
        launch=Launch(script_applies=("tensor",)),
    ).alternatives[:4]
    assert below.keeps == ("32 data-parallel ranks",)
    assert below.changes == (f"global batch 1000 -> 992 ({100 * (992 - 1000) / 1000:+.1f} %)",)
    assert above.batch.global_batch_size == 1024
    assert "the exact gradient" in runtime.keeps
    assert f"24 of 1024 slots idle ({100 * 24 / 1024:.1f} % of the work)" in runtime.changes
    assert nodes.change == "cluster.nodes=5"
    assert nodes.changes == ("processes 64 -> 40",)


def test_another_batch_says_that_the_learning_rate_follows():
    """A reference learning rate is scaled to the other batch."""
    optimizer = Optimizer(reference_learning_rate=1e-3, reference_batch_size=8)
    ways = refusal_of(global_batch_size=9, devices=2, optimizer=optimizer).alternatives
    assert "the learning rate follows (sqrt rule)" in ways[0].changes
    fixed = Optimizer(reference_learning_rate=1e-3, reference_batch_size=8, scaling="none")
    ways = refusal_of(global_batch_size=9, devices=2, optimizer=fixed).alternatives
    assert len(ways[0].changes) == 1


def test_a_batch_written_in_tokens_changes_in_tokens():
    """9 sequences of 1024 tokens on 2 ranks: 8 x 1024 or 10 x 1024 tokens."""
    recipe = recipe_of(global_batch_tokens=count("9216"), devices=2)
    changes = [way.change for way in refusal_of(recipe).alternatives]
    assert changes[:2] == [f"global_batch_tokens={8 * 1024}", f"global_batch_tokens={10 * 1024}"]


def test_larger_batches_are_not_offered_beyond_the_data():
    """With 9 samples and 2 ranks, batch 9 may become 8 but not 10."""
    changes = [
        way.change
        for way in refusal_of(global_batch_size=9, devices=2, data=Data(num_samples=count("9"))).alternatives
    ]
    assert "global_batch_size=8" in changes
    assert "global_batch_size=10" not in changes


def test_listed_devices_stay_a_list():
    """Fewer processes are the first devices of the list."""
    recipe = recipe_of(global_batch_size=4, cluster=Cluster(devices=(1, 3, 5)))
    assert "cluster.devices=[1,3]" in [way.change for way in refusal_of(recipe).alternatives]
    both = recipe_of(global_batch_size=4, cluster=Cluster(devices=(1, 3, 5), devices_per_node=3))
    change = "cluster.devices=[1,3] cluster.devices_per_node=2"
    assert change in [way.change for way in refusal_of(both).alternatives]


def test_this_machine_is_written_down_with_its_device():
    """Where the recipe names no cluster, the change names the device too: a written cluster stands for itself."""
    recipe = recipe_of(global_batch_size=1, cluster=None)
    assert "cluster.devices_per_node=1 cluster.device=cpu" in [
        way.change for way in refusal_of(recipe).alternatives
    ]


def test_groups_of_nodes_are_not_cut():
    """Nodes that differ are not reduced."""
    cluster = Cluster(groups=(Group(nodes=1, devices_per_node=2, device="cpu"),))
    changes = [way.change for way in refusal_of(recipe_of(global_batch_size=1, cluster=cluster)).alternatives]
    assert changes == ["global_batch_size=2", "launch.runtime=true"]


def test_nothing_is_offered_where_the_batch_is_not_what_is_wrong():
    """A refusal for another reason has no alternatives, and a plan has none either."""
    refusal = refusal_of(hidden_size=100)
    assert codes(refusal) == ["width-not-divisible"]
    assert refusal.alternatives == ()
    assert plan_of().alternatives == ()


@pytest.mark.parametrize("key", ["alternatives", "problems", "batch", "layout", "verdict"])
def test_a_refusal_is_a_plan_object_too(key):
    """The refusal's dict has the plan's keys, its verdict, and every block that could be solved."""
    shown = refusal_of(global_batch_size=1, devices=2).to_dict()
    assert key in shown
    assert shown["verdict"] == "refused"
    assert shown["batch"] is None
    assert shown["layout"]["world_size"] == 2
    assert shown["alternatives"][0]["batch"]["global_batch_size"] == 2


def test_ways_that_would_break_the_layout_are_not_offered():
    """Experts over 4 ranks leave 4 of 8 ranks, not 6 or 5, over which the batch of 60 would divide too."""
    recipe = recipe_of(global_batch_size=60, devices=8, parallel=Parallel(expert=4))
    changes = [way.change for way in refusal_of(recipe).alternatives]
    assert changes == [
        "global_batch_size=56",
        "global_batch_size=64",
        "launch.runtime=true",
        "cluster.devices_per_node=4",
    ]


def test_a_written_split_gives_way_where_nothing_else_is_left():
    """Batch 1 with accumulation 2 on 2 ranks: beside 4 sequences and idle slots, the accumulation may go."""
    ways = refusal_of(global_batch_size=1, devices=2, gradient_accumulation_steps=2).alternatives
    assert [way.change for way in ways] == [
        "global_batch_size=4",
        "launch.runtime=true",
        "global_batch_size=2 gradient_accumulation_steps=auto",
        "launch.runtime=true gradient_accumulation_steps=auto",
        "cluster.devices_per_node=1 gradient_accumulation_steps=auto",
    ]
    assert "gradient_accumulation_steps 2 -> auto" in ways[2].changes


def test_a_written_split_that_almost_fits_is_kept_with_idle_slots():
    """3 x 6 x 2 = 36 slots hold 32 sequences: the runtime alone is enough."""
    ways = refusal_of(
        global_batch_size=32, devices=2, micro_batch_size=3, gradient_accumulation_steps=6
    ).alternatives
    (runtime,) = [way for way in ways if "launch.runtime" in way.change]
    assert runtime.change == "launch.runtime=true"
    assert runtime.keeps[-2:] == ("micro_batch_size 3", "gradient_accumulation_steps 6")


def test_both_written_numbers_change_as_little_as_can_be():
    """16 per rank from 3 x 4: micro 4 alone, or 2 x 8; never the same way twice."""
    ways = refusal_of(
        global_batch_size=32, devices=2, micro_batch_size=3, gradient_accumulation_steps=4
    ).alternatives
    assert [way.change for way in ways] == [
        "micro_batch_size=4",
        "micro_batch_size=2 gradient_accumulation_steps=8",
        "global_batch_size=24",
        "launch.runtime=true gradient_accumulation_steps=6",
    ]


def test_a_written_micro_batch_that_divides_is_kept():
    """128 per rank and micro 8: the accumulation becomes 16; other micro-batches change both."""
    ways = refusal_of(
        global_batch_size=256, devices=2, micro_batch_size=8, gradient_accumulation_steps=4
    ).alternatives
    assert [way.change for way in ways][:4] == [
        "gradient_accumulation_steps=16",
        "micro_batch_size=32",
        "micro_batch_size=4 gradient_accumulation_steps=32",
        "micro_batch_size=16 gradient_accumulation_steps=8",
    ]


def test_divisors_next_to_the_written_one_are_found_on_both_sides_of_the_root():
    """12 per rank and micro 5: 6 is nearer than 4; and 100 % more is twice the batch."""
    ways = refusal_of(global_batch_size=24, devices=2, micro_batch_size=5).alternatives
    assert [way.change for way in ways][:2] == ["micro_batch_size=6", "micro_batch_size=4"]
    assert refusal_of(global_batch_size=1, devices=2).alternatives[0].changes == (
        "global batch 1 -> 2 (+100.0 %)",
    )
