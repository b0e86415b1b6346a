"""Stages of a batch-coupled model: each split is looked at, and a change of it is a change of model."""

from hypothesis import given
from hypothesis import strategies as st

from launcher.api import load_recipe, plan

MACHINES = {"nodes": 1, "devices_per_node": 2, "device": "a100-sxm-40gb"}


def planned(*sizes, model=None, **keys):
    stages = [
        {"until": f"{10 * (at + 1)}M samples", "global_batch_size": size}
        for at, size in enumerate(sizes[:-1])
    ]
    recipe = {
        "global_batch_size": sizes[-1],
        "model": {"kind": "resnet", **(model or {})},
        "data": {"num_samples": 1281167},
        "schedule": {"length": "90 epochs"},
        "stages": [*stages, {}],
        "launch": {"runtime": True},
        "cluster": MACHINES,
        **keys,
    }
    return plan(load_recipe(recipe))


def of(made, code):
    return [problem for problem in made.problems if problem.code == code]


def test_a_ramp_that_changes_the_micro_batch():
    """A ramp whose micro-batch follows the batch trains one model after another; a written one does not."""
    (problem,) = of(planned(128, 512), "stages-change-the-model")
    assert problem.severity == "warning"
    assert "batch_norm sees 256 samples instead of 64" in problem.message
    assert problem.hint.startswith("write micro_batch_size: 64")
    assert not of(planned(128, 512, micro_batch_size=64), "stages-change-the-model")
    assert not of(planned(128, 512, model={"norm": "groupnorm"}), "stages-change-the-model")


def test_the_stage_with_the_fewest_samples_is_warned_of():
    """A first stage of 4 samples per rank is told, once, though the last one has plenty."""
    for sizes in ((8, 64, 512), (16, 8, 512)):
        (problem,) = of(planned(*sizes), "batch-norm-small")
        assert "over 4 samples" in problem.message


@given(
    sizes=st.lists(st.sampled_from([64, 128, 256, 512]), min_size=2, max_size=4),
    micro=st.sampled_from(["auto", 32]),
)
def test_a_change_is_told_whenever_there_is_one(sizes, micro):
    """Told exactly where two stages have other micro-batches; every other remark at most once."""
    made = planned(*sizes, micro_batch_size=micro)
    micros = {stage.batch.micro_batch_size for stage in made.stages}
    assert bool(of(made, "stages-change-the-model")) == (len(micros) > 1)
    for code in ("stages-change-the-model", "split-dependent", "batch-norm-small", "batch-norm-accumulates"):
        assert len(of(made, code)) <= 1
