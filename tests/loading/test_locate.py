"""Places for problems that come from planning."""

from reading import load

from launcher.errors import Problem
from launcher.loading import load_recipe, locate

TEXT = """\
global_batch_size: 1000
optimizer:
  learning_rate: 1e-3
launch: {args: [a, b]}
"""


def where(recipe, path, **more):
    (located,) = locate([Problem(code="batch-not-divisible", message="m", path=path, **more)], recipe)
    return located.where.rpartition("/")[2]


def test_a_written_value(tmp_path):
    """A value that was written has its own place."""
    recipe = load(tmp_path, TEXT)
    assert where(recipe, "global_batch_size") == "r.yaml:1:20"
    assert where(recipe, "launch.args.1") == "r.yaml:4:20"


def test_a_value_that_was_not_written(tmp_path):
    """The nearest key above it was: its key is the place. Where nothing was, the file is."""
    recipe = load(tmp_path, TEXT)
    assert where(recipe, "optimizer.betas") == "r.yaml:2:1"
    assert where(recipe, "launch.timeouts.stall") == "r.yaml:4:1"
    assert where(recipe, "schedule.length") == "r.yaml"
    assert where(recipe, "") == "r.yaml"


def test_an_override(tmp_path):
    """What the command line said stands there."""
    recipe = load(tmp_path, TEXT, "global_batch_size=7", "schedule.warmup=3 %")
    assert where(recipe, "global_batch_size") == "--set global_batch_size=7"
    assert where(recipe, "schedule.length") == "--set schedule.warmup=3 %"


def test_a_place_that_is_known_stays(tmp_path):
    """Nothing is located twice, and nothing else of a problem changes."""
    recipe = load(tmp_path, TEXT)
    assert where(recipe, "global_batch_size", where="elsewhere:1:1") == "elsewhere:1:1"
    before = Problem(code="batch-not-divisible", message="m", path="seed", because=("b",), hint="h")
    (after,) = locate([before], recipe)
    assert (after.message, after.because, after.hint, after.path) == ("m", ("b",), "h", "seed")


def test_a_mapping_has_no_places():
    """A recipe from Python is located by path alone."""
    assert where(load_recipe({"global_batch_size": 8}), "global_batch_size") == ""
