"""The cases that two real ranks run in scripts/rank_bytes.py, as the memory model sees them."""

from launcher.planning.memory.formats import formats_of
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Buffers, Layout, Setting
from launcher.spec.plan import PrecisionPlan

__all__ = ["NUMBERS", "PARTS", "PLAIN", "ZERO", "case_of", "setting_of"]

WIDTH, INNER, WORDS, LAYERS = 128, 1024, 4096, 4
PARTS = (
    Part(name="words", place="first", weights=(Weights(count=WORDS * WIDTH, largest=WORDS * WIDTH),)),
    Part(name="layer", repeat=LAYERS, weights=(Weights(count=2 * WIDTH * INNER, largest=WIDTH * INNER),)),
    Part(name="head", place="last", weights=(Weights(count=WIDTH * WIDTH, largest=WIDTH * WIDTH),)),
)
NUMBERS = sum(part.repeat * weights.count for part in PARTS for weights in part.weights)
ZERO = [
    *(("zero", stage, "") for stage in range(4)),
    *(("zero", stage, "fp32 gradients") for stage in (1, 2, 3)),
    *(("zero", stage, "as rendered") for stage in range(4)),
    *(("zero", stage, "accumulating") for stage in (1, 2)),
    ("zero", 2, "fp32"),
    *(("zero", stage, "small bucket") for stage in (2, 3)),
]
PLAIN = [("ddp", 0, ""), ("ddp", 0, "accumulating"), ("full", 3, ""), ("grad-op", 2, "")]


def setting_of(strategy, stage, how):
    zero = strategy == "zero"
    precision = PrecisionPlan(
        compute="fp32" if how == "fp32" or strategy == "ddp" else "bf16",
        gradient_dtype="fp32" if how == "fp32 gradients" or (how == "as rendered" and stage) else None,
        reduce_dtype="fp32" if how == "as rendered" else None,
    )
    kind = "zero" if zero else "ddp" if strategy == "ddp" else "fsdp"
    engine = "deepspeed" if zero else "torchrun"
    return Setting(
        device_kind="cpu",
        engine=engine,
        gradient_accumulation_steps=2 if how == "accumulating" else 1,
        optimizer_implementation="for-loop",
        formats=formats_of(precision=precision, engine=engine, strategy=kind, zero_stage=stage),
        layout=Layout(data=2, strategy=kind, zero_stage=stage),
        buffers=Buffers(reduce_bucket=600_000 if how == "small bucket" else 2_000_000),
    )


def case_of(strategy, stage, how):
    return f"{strategy} {stage} {how}".strip() if strategy == "zero" else f"{strategy} {how}".strip()
