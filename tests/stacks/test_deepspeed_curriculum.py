"""DeepSpeed's sequence-length curricula, beside its own scheduler."""

import pytest

from launcher.planning.stages.curriculum import fixed_discrete, fixed_linear, fixed_root

SEQLEN = {
    "min_difficulty": 8,
    "max_difficulty": 1024,
    "total_curriculum_step": 15000,
    "difficulty_step": 8,
}
"""8 to 1024 tokens over 15,000 steps by eights, as its tutorial for GPT-2."""


@pytest.mark.parametrize(
    ("step", "length"),
    [(118, 8), (119, 16), (1500, 104), (7500, 512), (14999, 1016), (15000, 1024), (20000, 1024)],
)
def test_a_linear_curriculum(step, length):
    """Lengths at steps of the linear schedule: our calculation by the rule of its code."""
    assert fixed_linear(step=step, **SEQLEN) == length


@pytest.mark.parametrize(("step", "difficulty"), [(1, 1), (5, 1), (6, 2), (10, 2), (11, 3), (99, 3)])
def test_the_discrete_curriculum_of_its_documentation(step, difficulty):
    """Difficulty [1, 2, 3] with max_step [5, 10]: 1 up to step 5, 2 up to 10, then 3.

    Source: deepspeedai/DeepSpeed@edaa7221 docs/_tutorials/curriculum-learning.md and the docstring of CurriculumScheduler.
    """
    assert fixed_discrete(step=step, difficulty=[1, 2, 3], max_step=[5, 10]) == difficulty


@pytest.mark.torch
@pytest.mark.parametrize("root_degree", [1, 2, 3])
def test_beside_deepspeeds_own_scheduler(root_degree):
    """Every length of the linear and root schedules, and of the discrete one, is what DeepSpeed's class gives."""
    scheduler = pytest.importorskip("deepspeed.runtime.data_pipeline.curriculum_scheduler")
    config = {name: SEQLEN[name] for name in ("total_curriculum_step", "difficulty_step")}
    block = {
        "min_difficulty": 8,
        "max_difficulty": 1024,
        "schedule_type": "fixed_linear" if root_degree == 1 else "fixed_root",
        "schedule_config": config if root_degree == 1 else {**config, "root_degree": root_degree},
    }
    theirs = scheduler.CurriculumScheduler(block)
    for step in range(1, 16_000, 7):
        assert fixed_root(step=step, root_degree=root_degree, **SEQLEN) == theirs.get_difficulty(step)
    listed = {"difficulty": [64, 128, 512], "max_step": [10, 30]}
    discrete = scheduler.CurriculumScheduler(
        {
            "min_difficulty": 64,
            "max_difficulty": 512,
            "schedule_type": "fixed_discrete",
            "schedule_config": listed,
        }
    )
    for step in range(1, 40):
        assert fixed_discrete(step=step, **listed) == discrete.get_difficulty(step)
