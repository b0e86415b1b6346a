"""What is said of a decay in one line."""

import pytest

from launcher.api import load_recipe
from launcher.api import plan as make_plan
from launcher.reporting.glyphs import UNICODE
from launcher.reporting.rate_text import rate_lines


def line_of(**schedule):
    recipe = load_recipe(
        {
            "global_batch_size": 100,
            "sequence_length": 1000,
            "hidden_size": 64,
            "optimizer": {"learning_rate": 1e-3},
            "schedule": {"warmup": "10 steps", "length": "1000 steps", **schedule},
            "data": {"num_samples": 1000},
            "cluster": {"nodes": 1, "devices_per_node": 1, "device": "cpu"},
        }
    )
    return rate_lines(make_plan(recipe), recipe, UNICODE)[2]


RUN = "1000 steps = 100 K sequences = 100 M tokens"


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({}, f"constant for {RUN}"),
        ({"decay": "linear"}, f"linear to 0 at {RUN}"),
        ({"decay": "polynomial", "decay_power": 0.5}, f"polynomial of power 0.5 to 0 at {RUN}"),
        (
            {"decay": "polynomial", "decay_power": 2.0, "decay_starts": "0 steps"},
            f"polynomial of power 2 from 0 steps to 0 at {RUN}",
        ),
        (
            {
                "decay": "linear",
                "decay_ends": "500 steps",
                "decay_at": ["800 steps"],
                "final_learning_rate_ratio": 0.1,
            },
            f"linear until 500 steps, x 0.1 behind 800 steps to 1.0e-5 at {RUN}",
        ),
        ({"decay": "inverse-sqrt"}, f"inverse square root to 1.0e-4 at {RUN}"),
        (
            {"decay": "inverse-sqrt", "decay_length": "20 steps"},
            f"inverse square root, time scale 20 steps to 1.407e-4 at {RUN}",
        ),
        (
            {"decay": "cosine", "decay_ends": "80 %", "final_learning_rate_ratio": 0.1},
            f"cosine to 1.0e-4 at 80 %, for {RUN}",
        ),
        (
            {"decay": "wsd", "decay_length": "10 %", "decay_shape": "cosine", "decay_ends": "900 steps"},
            f"warmup-stable-decay, the last 10 % cosine to 0 at 900 steps, for {RUN}",
        ),
        (
            {"decay": "step", "decay_at": ["30 epochs", "60 epochs", "80 epochs"]},
            f"x 0.1 behind 30, 60 and 80 epochs to 1.0e-6 at {RUN}",
        ),
        (
            {"decay": "step", "decay_at": ["80 %", "900 steps"], "decay_factor": [0.5, 0.2]},
            f"x 0.5 behind 80 %, x 0.2 behind 900 steps to 1.0e-4 at {RUN}",
        ),
        ({"decay": "step", "decay_at": ["80 %"]}, f"x 0.1 behind 80 % to 1.0e-4 at {RUN}"),
        (
            {"decay": "cosine", "decay_at": ["80 %", "900 steps"], "final_learning_rate_ratio": 0.1},
            f"cosine, x 0.1 behind 80 % and 900 steps to 1.0e-6 at {RUN}",
        ),
    ],
)
def test_one_line(schedule, said):
    """Shape, where it begins and ends, its marks, and the rate it gets to."""
    assert line_of(**schedule) == said
