"""The squares that a run measures on two real ranks, against whole gradients; and the training, which must not notice.

Every case is trained twice, with and without measuring, from the same seed.
"""

import json
from pathlib import Path

import pytest
from rank_jobs import torchrun

from launcher import load_recipe
from launcher.api import plan as make_plan

pytestmark = [pytest.mark.real, pytest.mark.torch]

SCRIPT = Path(__file__).parent / "scripts" / "noise_ranks.py"
STEPS = 5


def case_of(
    engine="torchrun", *, way=None, micro=2, batch=16, stage=None, precision="fp32", clip=None, **more
):
    return {
        "engine": engine,
        "way": way,
        "micro": micro,
        "batch": batch,
        "stage": stage,
        "precision": precision,
        "clip": clip,
        **more,
    }


MICRO, RANKS = "micro-batches", "ranks"
RAMP = {"length": "104 samples"}  # two steps of 16, three of 24
WIDER = [{"until": "32 samples"}, {"global_batch_size": 24, "micro_batch_size": 12}]
LONGER = [{"until": "32 samples"}, {"global_batch_size": 24}]
OVERLAP = {"zero": {"overlap_comm": True, "contiguous_gradients": True}}
SMALL_BUCKETS = {"zero": {"reduce_bucket_size": 50, "overlap_comm": False}}
CASES = {
    "ddp, accumulating": case_of(way=MICRO),
    "ddp, accumulating, clipped": case_of(way=MICRO, clip=0.1),
    "ddp, idle slots": case_of(way=MICRO, batch=13),
    "ddp, against ranks": case_of(way=RANKS, micro=8),
    "ddp, against ranks, accumulating and clipped": case_of(way=RANKS, clip=0.1),
    "ddp, against ranks, uneven": case_of(way=RANKS, micro=4, batch=14),
    "ddp, gradients in buckets": case_of(way=RANKS, ddp={"gradient_as_bucket_view": True}),
    "ddp, many buckets": case_of(way=RANKS, ddp={"bucket_cap_mb": 0.0002}),
    "ddp, static graph": case_of(way=RANKS, micro=8, ddp={"static_graph": True}),
    "ddp, bf16": case_of(way=MICRO, precision="bf16", clip=0.1),
    "accelerate, accumulating": case_of("accelerate", way=MICRO),
    "accelerate, against ranks, clipped": case_of("accelerate", way=RANKS, clip=0.1),
    "zero 0": case_of("deepspeed", stage=0),
    "zero 0, clipped": case_of("deepspeed", stage=0, clip=0.1),
    "zero 0, added up": case_of("deepspeed", stage=0, config={"gradient_allreduce_op": "sum"}),
    "zero 1": case_of("deepspeed", stage=1, clip=0.1),
    "zero 1, overlapping": case_of("deepspeed", stage=1, **OVERLAP),
    "zero 1, idle slots": case_of("deepspeed", stage=1, batch=13),
    "zero 2": case_of("deepspeed", stage=2),
    "zero 2, clipped and overlapping": case_of("deepspeed", stage=2, clip=0.1, **OVERLAP),
    "zero 2, small buckets": case_of("deepspeed", stage=2, **SMALL_BUCKETS),
    "zero 2, idle slots": case_of("deepspeed", stage=2, batch=13),
    "zero 0, bf16": case_of("deepspeed", stage=0, precision="bf16"),
    "zero 1, bf16": case_of("deepspeed", stage=1, precision="bf16"),
    "zero 2, bf16": case_of("deepspeed", stage=2, precision="bf16"),
    "ddp, from accumulation to ranks": case_of(stages=WIDER, **RAMP),
    "accelerate, more accumulation": case_of("accelerate", stages=LONGER, **RAMP),
    "zero 1, more accumulation": case_of("deepspeed", stage=1, stages=LONGER, **RAMP),
    "zero 2, more accumulation": case_of("deepspeed", stage=2, stages=LONGER, **RAMP),
    # DeepSpeed has no fp16 on a CPU; its loss scaler works in any format
    "zero 1, scaled": case_of("deepspeed", stage=1, scale=128.0),
    "zero 2, scaled and clipped": case_of("deepspeed", stage=2, clip=0.1, scale=128.0),
}


def plan_of(case, *, measures):
    parallel = {} if case["stage"] is None else {"data": {"strategy": "zero", "stage": case["stage"]}}
    return make_plan(
        load_recipe(
            {
                "name": "noise",
                "global_batch_size": case["batch"],
                "sequence_length": 12,
                "hidden_size": 64,
                "data": {"num_samples": 64},
                "schedule": {"length": case.get("length", f"{STEPS} steps")},
                "stages": case.get("stages", []),
                "optimizer": {"name": "sgd", **({"gradient_clipping": case["clip"]} if case["clip"] else {})},
                "micro_batch_size": case["micro"],
                "parallel": parallel,
                "precision": case["precision"],
                "gradient_noise": (case["way"] or "auto") if measures else "off",
                "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
                "launch": {"engine": case["engine"], "script": "train.py", "runtime": True},
            }
        )
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of every case, measured and not, after one launch for all of them."""
    pytest.importorskip("deepspeed")
    root = tmp_path_factory.mktemp("noise")
    cases = []
    for name, case in CASES.items():
        for measures in (True, False):
            folder = root / f"{name.replace(' ', '-')}-{measures}"
            folder.mkdir()
            plan = plan_of(case, measures=measures)
            (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
            cases.append({**case, "folder": str(folder), "check": measures})
    (root / "cases.json").write_text(json.dumps(cases))
    code, text = torchrun(SCRIPT, root / "cases.json", environ={}, seconds=400)
    assert code == 0, text[-6000:]
    return {
        (name, measures): root / f"{name.replace(' ', '-')}-{measures}"
        for name in CASES
        for measures in (True, False)
    }


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", CASES)
def test_the_squares_are_those_of_whole_gradients(folders, name):
    """S, P, b and Q of every step, to 1e-5: ragged tokens, idle slots, shards, buckets, clipping; bf16 as far as it goes."""
    folder = folders[name, True]
    found, wanted = lines(folder / "noise.jsonl"), json.loads((folder / "by-hand.json").read_text())
    assert len(found) == len(wanted) == STEPS
    exact = CASES[name]["precision"] == "fp32"
    for measured, expected in zip(found, wanted, strict=True):
        for key in ("small_square", "big_square"):
            assert measured[key] == pytest.approx(expected[key], rel=1e-5 if exact else 0.03), key
        for key in ("small_size", "weight_square"):
            assert measured[key] == pytest.approx(expected[key], rel=1e-12), key
    if exact:
        assert any(abs(each["weight_square"] - 1) > 1e-3 for each in found)  # tokens do weigh


@pytest.mark.parametrize("name", CASES)
def test_measuring_changes_no_bit(folders, name):
    """Losses, norms and parameters with and without measuring are equal to the last bit."""
    import torch

    on, off = (folders[name, measures] for measures in (True, False))
    assert not (off / "noise.jsonl").exists()
    for key in ("loss", "gradient_norm", "learning_rate"):
        assert [each[key] for each in lines(on / "log.jsonl")] == [
            each[key] for each in lines(off / "log.jsonl")
        ]
    for mine, its in zip(torch.load(on / "trained.pt"), torch.load(off / "trained.pt"), strict=True):
        assert torch.equal(mine, its)


def test_a_checkpoint_carries_the_means(folders):
    """state_dict holds them where they were measured, and nothing of them where they were not."""
    on, off = (
        json.loads((folders["ddp, accumulating", each] / "state.json").read_text()) for each in (True, False)
    )
    last = lines(folders["ddp, accumulating", True] / "noise.jsonl")[-1]
    assert on["noise"]["count"] == last["measurements"] == STEPS
    assert on["noise"]["noise"] / on["noise"]["information"] == pytest.approx(last["trace"])
    assert "noise" not in off
