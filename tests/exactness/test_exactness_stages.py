"""A run that moves from stage to stage trains as the formula does, under every engine, and resumes anywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from exactness_cases import Case, launch
from exactness_stages import LENGTH_STEPS, LENGTHS, RAMP_STEPS, SIZES, cases_of, staged_recipe
from test_exactness import TOLERANCE, read_result

pytestmark = [pytest.mark.real, pytest.mark.torch]

LAUNCHES = (("torchrun", 2), ("accelerate", 2), ("deepspeed", 2))
BASE = Case(engine="torchrun", ranks=2, micro=0, accumulation=0, variant="sgd", ramp="ramp")
CASES = [case for engine, ranks in LAUNCHES for case in cases_of(engine, ranks)]
SAVING = [replace(BASE, save=step) for step in (4, 5)]  # inside the second stage, and at its end
ENGINES = {
    "torchrun": replace(BASE, ranks=1, ramp="alone"),
    "accelerate": replace(BASE, engine="accelerate", ramp="other"),
    "deepspeed": replace(BASE, engine="deepspeed", stage=0, ramp="other"),
}
SHARDED = [replace(BASE, engine="deepspeed", stage=stage, save=4) for stage in (1, 3)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of a case; each engine and number of ranks is launched once, the one that saves first."""
    folders = {}

    def result(case):
        key = (case.engine, case.ranks)
        if key not in folders:
            others = () if key == ("torchrun", 2) else [result(each).folder for each in SAVING]
            folders[key] = tmp_path_factory.mktemp(f"{case.engine}-{case.ranks}")
            launch(_cases(key, folders[key], others), folders[key], recipe_of=staged_recipe)
        return read_result(case, folders[key] / case.name)

    return result


def _cases(key, folder, saved):
    """All trainings of one launch; those that save come before those that resume."""
    engine, ranks = key
    resumed = [
        resuming(case, place, each.save)
        for place, each in zip(saved, SAVING, strict=False)
        for case in ENGINES.values()
        if (case.engine, case.ranks) == (engine, ranks)
    ]
    if not saved:
        resumed = SAVING
    if engine == "deepspeed":
        resumed += [*SHARDED, *(resharded(case, folder) for case in SHARDED)]
    return [*cases_of(engine, ranks), *resumed]


def resharded(case, folder):
    """The same ZeRO stage on another split, from the engine's own checkpoint."""
    return replace(case, ramp="other", save=None, resume=str(folder / case.name / "kept"))


def resuming(case, folder, step):
    state = folder / f"state-{step}.pt"
    if not state.exists():
        state.symlink_to(folder / "state.pt")
    return replace(case, resume=str(state))


def rates_of(steps, total, *, warmup):
    """The recipe's curve by formula: linear to 0.1 over the warmup, linear to a quarter of it at the end."""
    ends = accumulate(steps)
    return [
        0.1 * end / warmup if end <= warmup else 0.1 - 0.075 * (end - warmup) / (total - warmup)
        for end in ends
    ]


def expected(case, order):
    """Parameters by formula, and the rates."""
    from exactness_model import stream_of_tokens
    from exactness_reference import train_reference

    if (case.ramp, case.ranks) in LENGTHS:
        rates = rates_of([64] * sum(LENGTH_STEPS), 640, warmup=128)
        rows = [
            stream_of_tokens(length)
            for length, steps in zip((16, 32), LENGTH_STEPS, strict=True)
            for _ in range(steps)
        ]
        return train_reference(order, variant="sgd", steps=len(order), rows_of=rows.__getitem__, rates=rates)[
            0
        ], rates
    sizes = [size for size, steps in zip(SIZES, RAMP_STEPS, strict=True) for _ in range(steps)]
    rates = rates_of(sizes, sum(sizes), warmup=24)
    return train_reference(order, variant=case.variant, steps=len(order), rates=rates)[0], rates


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_engine_trains_the_stages(case, trained):
    """Parameters after all stages are those of the formula, on every split; rates are those of the curve."""
    from exactness_reference import distance

    found = trained(case)
    parameters, rates = expected(case, found.order)
    assert distance(found.parameters, parameters) < TOLERANCE[case.variant]
    assert found.rates == pytest.approx(rates, rel=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_engine_reads_the_same_samples_at_the_same_rate(case, trained):
    """Order and rates are equal to the last bit, and so are the samples and stages that the log counts."""
    base = trained(replace(BASE, ramp="longer" if (case.ramp, case.ranks) in LENGTHS else "ramp"))
    found = trained(case)
    assert (found.order, found.rates) == (base.order, base.rates)
    for name in ("samples", "planned_samples", "stage", "weight"):
        assert [entry[name] for entry in found.log] == [entry[name] for entry in base.log]


def test_sizes_are_those_of_the_stages(trained):
    """Two steps of 4, three of 8, three of 12: 68 places of the stream, each once."""
    found = trained(BASE)
    assert [len(step) for step in found.order] == [4, 4, 8, 8, 8, 12, 12, 12]
    stream = [index for step in found.order for index in step]
    assert sorted(stream[:30]) == sorted(stream[30:60]) == list(range(30))


@pytest.mark.parametrize("step", [4, 5], ids=["inside", "boundary"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_resumes_in_a_stage_on_another_split(engine, step, trained):
    """From inside the second stage and from its end, the parameters of the run that was never interrupted."""
    from exactness_reference import distance

    whole = trained(replace(BASE, save=step))
    rest = trained(resuming(ENGINES[engine], whole.folder, step))
    assert rest.order == whole.order[step:]
    assert rest.rates == whole.rates[step:]
    assert distance(rest.parameters, whole.parameters) < TOLERANCE["sgd"]


@pytest.mark.parametrize("case", SHARDED, ids=lambda case: case.name)
def test_a_sharded_run_resumes_in_a_stage_on_another_split(case, trained):
    """From DeepSpeed's own checkpoint, whose engine counts micro-batches anew."""
    from exactness_reference import distance

    whole = trained(case)
    rest = trained(resharded(case, whole.folder.parent))
    assert rest.order == whole.order[4:]
    assert rest.rates == whole.rates[4:]
    assert distance(rest.parameters, whole.parameters) < TOLERANCE["sgd"]
