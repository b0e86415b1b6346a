"""Spec values travel through JSON and come back equal."""

import json
from dataclasses import dataclass
from fractions import Fraction

import pytest

from launcher.spec.bundle import RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.launch import Timeouts
from launcher.spec.plain import from_plain, to_plain
from launcher.spec.plan import BatchPlan, SchedulePlan
from launcher.spec.recipe import Recipe

SCHEDULE = SchedulePlan(
    peak_learning_rate=3e-4,
    start_learning_rate=0.0,
    final_learning_rate=3e-5,
    warmup_samples=Fraction(375_000_000, 2048),
    decay="cosine",
    decay_samples=None,
    decay_shape="linear",
    total_samples=Fraction(10**9),
    first_step="one-batch",
)


def test_fractions_travel_exactly():
    """A warmup of 375 M tokens at 2048 tokens per sample keeps its fraction."""
    plain = json.loads(json.dumps(to_plain(SCHEDULE)))
    assert plain["warmup_samples"] == "5859375/32"
    assert from_plain(SchedulePlan, plain) == SCHEDULE


def test_amounts_travel_as_written():
    """A duration is shown as a person wrote it."""
    assert to_plain(Timeouts()) == {"handshake": "60 s", "stall": "10 min", "grace": "90 s"}


def test_internal_fields_stay_behind():
    """Marks, folder and text of a recipe are not part of its values."""
    assert {"marks", "directory", "source"} & set(to_plain(Recipe())) == set()


def test_tuples_come_back_as_tuples():
    """Per-rank batches are a tuple on both sides."""
    batch = BatchPlan(
        global_batch_size=12,
        micro_batch_size=2,
        gradient_accumulation_steps=3,
        data_parallel_size=2,
        slots_per_step=12,
        idle_slots=0,
        sequence_length=None,
        tokens_per_step=None,
        per_rank=(6, 6),
    )
    assert from_plain(BatchPlan, json.loads(json.dumps(to_plain(batch)))) == batch


@dataclass(frozen=True)
class Point:
    x: float
    pair: tuple[int, str] = (0, "")


def test_a_fixed_tuple_of_another_length_is_refused():
    """A pair with three entries is an error, not a shorter pair."""
    assert from_plain(Point, {"x": 1, "pair": [1, "a"], "later": 3}) == Point(x=1.0, pair=(1, "a"))
    with pytest.raises(ValueError, match="zip"):
        from_plain(Point, {"x": 1, "pair": [1, "a", 2]})


def test_a_bundle_is_placed_in_argv_env_and_files():
    """The folder's mark is replaced wherever an engine put it."""
    bundle = LaunchBundle(
        files={"a.json": f'"{RUN_DIR}/x"'},
        commands=(NodeCommand(node_rank=0, host="h", argv=("run", f"{RUN_DIR}/a"), env={"P": RUN_DIR}),),
    )
    placed = bundle.placed("/runs/a 0")
    assert placed.files == {"a.json": '"/runs/a 0/x"'}
    assert placed.commands[0].argv == ("run", "/runs/a 0/a")
    assert placed.commands[0].env == {"P": "/runs/a 0"}
