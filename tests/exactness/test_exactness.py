"""Law 4: the same recipe trains the same on any split of its global batch, under every engine."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import pytest
from exactness_cases import BATCH, CLIPPING, TOTAL_STEPS, Case, cases_of, launch, resuming

pytestmark = [pytest.mark.real, pytest.mark.torch]

LAUNCHES = (("torchrun", 1), ("torchrun", 2), ("accelerate", 2), ("deepspeed", 1), ("deepspeed", 2))
TOLERANCE = {"sgd": 1e-5, "clipped": 1e-5, "partial": 1e-5, "adamw": 1e-3}  # AdamW magnifies rounding
SAVING = Case(engine="torchrun", ranks=2, micro=2, accumulation=3, variant="sgd", save=2)
CASES = [case for engine, ranks in LAUNCHES for case in cases_of(engine, ranks)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of a case, from the one launch that trains all cases of its engine and world size."""
    folders = {}

    def result(case):
        key = (case.engine, case.ranks)
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(f"{case.engine}-{case.ranks}")
            cases = cases_of(*key)
            if key == (SAVING.engine, SAVING.ranks):
                cases.append(SAVING)
            if key == ("torchrun", 1):
                cases.append(resuming_case(result(SAVING).folder))
            launch(cases, folders[key])
        return read_result(case, folders[key] / case.name)

    return result


def resuming_case(folder):
    return resuming(SAVING, micro=3, accumulation=4, ranks=1, state=folder / "state.pt")


def read_result(case, folder):
    import torch

    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    ranks = [json.loads((folder / f"order-{rank}.json").read_text()) for rank in range(case.ranks)]
    return SimpleNamespace(
        folder=folder,
        parameters=torch.load(folder / "trained.pt"),
        log=log,
        rates=[entry["learning_rate"] for entry in log],
        # slots fill micro step by micro step, rank by rank
        order=[
            [index for micro_step in zip(*step, strict=True) for share in micro_step for index in share]
            for step in zip(*ranks, strict=True)
        ],
    )


@pytest.fixture(scope="module")
def reference():
    """Parameters of a variant by formula, with the order of the samples as it was found."""
    kept = {}

    def result(variant, order, steps=None):
        from exactness_reference import train_reference

        key = (variant, steps)
        if key not in kept:
            kept[key] = train_reference(order, variant=variant, steps=steps or len(order))
        return kept[key]

    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_split_trains_the_same(case, trained, reference):
    """Parameters after all steps are those of the formula, within rounding."""
    from exactness_reference import distance

    found = trained(case)
    expected, _ = reference(case.variant, found.order)
    assert distance(found.parameters, expected) < TOLERANCE[case.variant]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_split_sees_the_same_samples_at_the_same_rate(case, trained):
    """Sample order and learning rates are equal to the last bit on every split."""
    base = trained(
        Case(engine="torchrun", ranks=2, micro=2, accumulation=3, variant=case.variant, scalar=case.scalar)
    )
    found = trained(case)
    assert found.order == base.order
    assert found.rates == base.rates
    assert [entry["samples"] for entry in found.log] == [entry["planned_samples"] for entry in base.log]


def test_the_order_is_a_permutation_of_each_epoch(trained):
    """The first 30 positions hold each of the 30 samples once, across the ends of steps."""
    found = trained(SAVING)
    stream = [index for step in found.order for index in step]
    assert len(stream) == TOTAL_STEPS * BATCH
    assert sorted(stream[:30]) == list(range(30))
    assert stream[:30] != list(range(30))


def test_rates_and_losses_are_those_of_the_formula(trained):
    """The log holds the planned curve: half the peak, the peak, then down to a quarter of it."""
    from exactness_reference import reference_rate

    log = trained(SAVING).log
    total = TOTAL_STEPS * BATCH
    assert [entry["learning_rate"] for entry in log] == pytest.approx(
        [reference_rate(samples, total) for samples in range(BATCH, total + 1, BATCH)], rel=1e-12
    )
    assert log[-1]["loss"] < log[0]["loss"]


def test_clipping_was_active(trained, reference):
    """The clipped variant is not the unclipped one in disguise: every norm is above the bound, and logged."""
    found = trained(Case(engine="torchrun", ranks=2, micro=2, accumulation=3, variant="clipped", scalar=True))
    _, norms = reference("clipped", found.order)
    assert min(norms) > CLIPPING
    assert [entry["gradient_norm"] for entry in found.log] == pytest.approx(norms, rel=1e-4)


def test_the_last_step_of_an_epoch_is_partial(trained):
    """A run of one epoch of 30 ends with a step of 6, weighted as 6."""
    found = trained(Case(engine="torchrun", ranks=2, micro=2, accumulation=3, variant="partial", scalar=True))
    assert [len(step) for step in found.order] == [12, 12, 6]


def test_a_run_resumes_at_another_split(trained, reference):
    """Two steps on 2x3x2, the rest on 3x4x1: the parameters of an uninterrupted run."""
    from exactness_reference import distance

    whole = trained(SAVING)
    trained(
        Case(engine="torchrun", ranks=1, micro=1, accumulation=12, variant="sgd")
    )  # its launch resumes too
    rest = trained(resuming_case(whole.folder))
    assert rest.order == whole.order[2:]
    assert rest.rates == whole.rates[2:]
    assert distance(rest.parameters, whole.parameters) < 1e-5
    assert distance(rest.parameters, reference("sgd", whole.order)[0]) < 1e-5


def test_the_mean_of_means_fails_this(trained, reference):
    """The same check tells a loop that averages micro-batch means: ragged lengths weigh wrong."""
    from exactness_reference import distance, train_naive

    order = trained(SAVING).order
    expected, _ = reference("sgd", order)
    splits = product((2, 6), (1,))
    found = [distance(train_naive(order, micro=m, accumulation=6 // m, ranks=2), expected) for m, _ in splits]
    assert min(found) > 100 * TOLERANCE["sgd"]
