"""Trainings whose batch or sequence length changes on the way: one recipe per ramp and split."""

from __future__ import annotations

from dataclasses import replace

from exactness_cases import Case, recipe_of

# micro-batch and accumulation of the stages of 4, 8 and 12 sequences: 8 steps, the last two of an epoch and more
SPLITS = {
    ("ramp", 2): (
        (2, 1),
        (2, 2),
        (2, 3),
    ),  # after 2 x 1 and 3 x 2 micro-steps, 8 are no whole number of threes
    ("other", 2): ((1, 2), (4, 1), (4, 2)),  # the last one leaves 4 slots idle
    ("alone", 1): ((2, 2), (8, 1), (3, 4)),
}
ENDS = ("8 samples", "32 samples", None)
SIZES = (4, 8, 12)
RAMP_SAMPLES, RAMP_STEPS = 68, (2, 3, 3)

# constant tokens per step: 4 sequences of 16 tokens, then 2 of 32
LENGTHS = {("longer", 2): ((2, 1), (1, 1)), ("longer-other", 2): ((1, 2), (1, 1))}
LENGTH_STEPS = (4, 6)


def staged_recipe(case: Case) -> dict:
    """The recipe of a case with its stages in place of one batch."""
    recipe = recipe_of(replace(case, micro=1, accumulation=12))
    del recipe["micro_batch_size"], recipe["gradient_accumulation_steps"]
    key = (case.ramp, case.ranks)
    if key in LENGTHS:
        return recipe | _lengths(recipe, LENGTHS[key])
    stages = [
        {
            **({} if end is None else {"until": end}),
            "global_batch_size": size,
            "micro_batch_size": micro,
            "gradient_accumulation_steps": accumulation,
        }
        for end, size, (micro, accumulation) in zip(ENDS, SIZES, SPLITS[key], strict=True)
    ]
    return recipe | {
        "stages": stages,
        "schedule": {**recipe["schedule"], "length": f"{RAMP_SAMPLES} samples"},
    }


def _lengths(recipe: dict, splits: tuple) -> dict:
    (micro, accumulation), (later, more) = splits
    first = {"until": "256 tokens", "sequence_length": 16, "global_batch_size": 4}
    second = {"sequence_length": 32, "global_batch_size": 2}
    return {
        "sequence_length": 32,
        "global_batch_size": 2,
        "data": {"num_tokens": 480, "packing": "packed"},
        "stages": [
            {**first, "micro_batch_size": micro, "gradient_accumulation_steps": accumulation},
            {**second, "micro_batch_size": later, "gradient_accumulation_steps": more},
        ],
        "schedule": {**recipe["schedule"], "warmup": "128 tokens", "length": "640 tokens"},
    }


def cases_of(engine: str, ranks: int) -> list[Case]:
    """Every training of one launch that neither saves nor resumes."""
    plain = Case(engine=engine, ranks=ranks, micro=0, accumulation=0, variant="sgd")
    names = [name for name, many in (*SPLITS, *LENGTHS) if many == ranks]
    every = [replace(plain, ramp=name) for name in names]
    if engine == "deepspeed":
        return [replace(case, stage=stage) for stage in range(4) for case in every]
    sharded = [replace(every[0], fsdp=True)] if engine == "torchrun" and ranks > 1 else []
    return [*every, *sharded, replace(every[0], variant="adamw")]
