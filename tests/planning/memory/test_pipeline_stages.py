"""Which copies a pipeline stage holds, and how many micro-batches are in flight there."""

from hypothesis import given
from hypothesis import strategies as st
from stacked import stack

from launcher.planning.memory.pipeline import stages
from launcher.planning.memory.setting import Layout, Setting


def setting(ranks, micro_batches, *, pieces=1, **layout):
    return Setting(
        gradient_accumulation_steps=micro_batches,
        layout=Layout(pipeline=ranks, virtual_pipeline=pieces, **layout),
    )


def body(stretches):
    return next(stretch for stretch in stretches if stretch.part.place == "body")


def test_one_rank_holds_everything():
    """Without a pipeline there is one stage, and nothing waits."""
    (stage,) = stages(stack(layers=8), setting(1, 16))
    assert [(stretch.part.name, stretch.copies, stretch.waiting) for stretch in stage] == [
        ("embeddings", 1, 0),
        ("layer", 8, 0),
        ("head", 1, 0),
    ]


def test_one_forward_one_backward():
    """Stage r of 4 keeps min(m, 4 - r) micro-batches of its two layers.

    Source: Narayanan et al. 2021, arXiv:2104.04473, section 2.2.1.
    """
    found = stages(stack(layers=8), setting(4, 16))
    assert [body(stage).copies for stage in found] == [2, 2, 2, 2]
    assert [body(stage).passing + body(stage).waiting for stage in found] == [8, 6, 4, 2]
    few = stages(stack(layers=8), setting(4, 2))
    assert [body(stage).passing + body(stage).waiting for stage in few] == [4, 4, 4, 2]


def test_ends():
    """Embeddings are on the first stage and wait as its layers do; the head is on the last and waits for nobody."""
    found = stages(stack(layers=8), setting(4, 16))
    assert [[stretch.part.name for stretch in stage] for stage in found] == [
        ["embeddings", "layer"],
        ["layer"],
        ["layer"],
        ["layer", "head"],
    ]
    assert found[0][0].waiting == 3
    assert found[3][1].waiting == 0


def test_interleaved():
    """With v pieces stage r has min(m v, 2 (p - r - 1) + (v - 1) p + 1) of them in flight.

    Source: NVIDIA/Megatron-LM@core_r0.12 megatron/core/pipeline_parallel/schedules.py:get_pp_rank_microbatches.
    """
    found = stages(stack(layers=16), setting(4, 32, pieces=2))
    each = [body(stage).passing + body(stage).waiting for stage in found]
    assert each == [2 * (2 * (4 - rank - 1) + 4 + 1) for rank in range(4)]


@given(
    ranks=st.integers(1, 8),
    pieces=st.integers(1, 4),
    layers=st.integers(1, 100),
    micro_batches=st.integers(1, 64),
)
def test_every_layer_is_somewhere(ranks, pieces, layers, micro_batches):
    """Stages hold every layer once, and the first stage has the most in flight, the last one its own at least."""
    found = stages(stack(layers=layers), setting(ranks, micro_batches, pieces=pieces if ranks > 1 else 1))
    copies = [stretch.copies for stage in found for stretch in stage if stretch.part.place == "body"]
    assert sum(copies) == layers
    assert max(copies) - min([*copies, layers // ranks]) <= pieces
    assert all(stretch.passing <= stretch.copies for stage in found for stretch in stage)


def test_shares_that_are_written():
    """Layers of every piece may be told apart."""
    found = stages(stack(layers=8), setting(2, 4, piece_layers=(3, 5)))
    assert [body(stage).copies for stage in found] == [3, 5]


def test_more_stages_than_layers():
    """A stage without layers has none."""
    found = stages(stack(layers=1), setting(2, 4))
    assert [sum(s.copies for s in stage if s.part.place == "body") for stage in found] == [0, 1]
