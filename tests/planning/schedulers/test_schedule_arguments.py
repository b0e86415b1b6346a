"""Whatever a recipe hands to a stack is planned or refused in words; nothing of it ends the planner."""

from asking import owned_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import PlanError
from launcher.planning.schedulers.compiling import OWNERS
from launcher.planning.schedulers.deepspeed import DEFAULTS
from launcher.planning.schedulers.trainer import ARGUMENTS
from launcher.planning.schedulers.transformers import SPECIFIC

NAMES = sorted({key for keys in (*DEFAULTS.values(), *SPECIFIC.values()) for key in keys})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**400, "auto", "linear", "log", "cosine", "constant", "1-sqrt", "polynomial", ""]),
    st.lists(st.integers(0, 3), max_size=2),
)
MAPPINGS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
KEYS = st.sampled_from(
    [
        *NAMES,
        *ARGUMENTS,
        *("name", "num_warmup_steps", "num_training_steps", "split_batches", "scheduler_specific_kwargs"),
    ]
)
CODES = {"schedule-argument", "schedule-differs", "schedule-not-drawn", "native-owns-key"}


def codes_of(owner, **changes):
    try:
        found = owned_plan(owner, **changes)
    except PlanError as error:
        return {problem.code for problem in error.problems if problem.severity == "error"}
    assert found.learning_rate.compiled.largest_difference <= 0.01
    return set()


@settings(max_examples=400, deadline=None)
@given(
    owner=st.sampled_from(list(OWNERS)),
    arguments=st.dictionaries(KEYS, st.one_of(VALUES, MAPPINGS), max_size=4),
    decay=st.sampled_from(["constant", "linear", "cosine"]),
    zero=st.booleans(),
)
def test_arguments(owner, arguments, decay, zero):
    """Numbers that are none, huge ones, unknown names and mappings where none belong."""
    launch = {"engine": "accelerate" if zero else "deepspeed"}
    schedule = {"arguments": arguments, "decay": decay, "length": "200 steps"}
    assert codes_of(owner, schedule=schedule, launch=launch, zero=zero) <= CODES


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(DEFAULTS)),
    block=st.one_of(
        VALUES,
        st.dictionaries(st.sampled_from(["type", "params", "x"]), st.one_of(VALUES, MAPPINGS)),
        st.builds(lambda params: {"type": "WarmupDecayLR", "params": params}, MAPPINGS),
    ),
)
def test_blocks(name, block):
    """The same for a block of DeepSpeed's."""
    launch = {"engine": "deepspeed", "native": {"deepspeed": {"scheduler": block}}}
    assert codes_of(f"engine:{name}", launch=launch, schedule={"length": "200 steps"}) <= CODES


def test_no_learning_rate():
    """There is no curve to draw without a learning rate; the bare script may have one of its own."""
    for owner in ("engine:WarmupLR", "script:trainer"):
        try:
            owned_plan(owner, optimizer={}, launch={"engine": "deepspeed"})
        except PlanError as error:
            (problem,) = [each for each in error.problems if each.severity == "error"]
        assert problem.code == "schedule-owner"
        assert problem.hint == "write optimizer.learning_rate"
    assert owned_plan("script", optimizer={}).learning_rate is None


def test_a_run_without_an_end():
    """A constant rate needs no length: the warmup and as much again are compared."""
    changes = {"schedule": {"decay": "constant", "length": None}}
    for owner in ("script:transformers", "script:accelerate", "script:trainer", "engine:WarmupLR"):
        compiled = owned_plan(owner, launch={"engine": "deepspeed"}, **changes).learning_rate.compiled
        assert compiled.largest_difference == 0.0
        assert "max_steps" not in compiled.arguments
        assert "num_training_steps" not in compiled.arguments
