"""An unmodified Hugging Face Trainer script under the witness, and the same with a wrong number typed into it."""

import pytest
from launching import SCRIPTS, recipe, start_engine, typed

pytestmark = pytest.mark.real

SCRIPT = SCRIPTS / "hf_trainer.py"
ARGS = (
    *("--output_dir", "{run_dir}/out", "--use_cpu", "true", "--report_to", "none", "--save_strategy", "no"),
    *("--per_device_train_batch_size", "{micro_batch_size}"),
    *("--gradient_accumulation_steps", "{gradient_accumulation_steps}"),
    *("--learning_rate", "{peak_learning_rate}", "--lr_scheduler_type", "cosine"),
    *(
        "--warmup_steps",
        "{warmup_steps}",
        "--max_steps",
        "{total_steps}",
        "--max_grad_norm",
        "{gradient_clipping}",
    ),
)
ZERO_2 = {"parallel": {"data": {"strategy": "zero", "stage": 2}}}


@pytest.mark.parametrize(
    ("engine", "args", "more"),
    [
        ("torchrun", ("--eval_strategy", "steps", "--eval_steps", "1"), {}),
        ("accelerate", ("--dataloader_num_workers", "1"), {}),
        ("deepspeed", ("--deepspeed", "{deepspeed_config}"), ZERO_2),
    ],
    ids=["torchrun", "accelerate", "deepspeed ZeRO-2"],
)
def test_trains_as_planned(engine, args, more, tmp_path):
    """All eight steps are seen, with the planned samples over both ranks and the plan's curve one step late."""
    ended = start_engine(recipe(engine, SCRIPT, (*ARGS, *args), **more), tmp_path / "run")
    assert ended.code == 0, ended.output
    assert [rank["exit"] for rank in ended.ranks] == [0, 0]
    assert ended.witness == {
        "optimizer_steps": 8,
        "samples_per_step": 8,
        "counted_at": "the DataLoader",
        "learning_rate": "one step behind the plan",
        "unseen": [],
        "departures": [],
    }
    steps = ended.log[:-1]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["samples"] for line in steps] == list(range(8, 72, 8))
    late = [line["planned_learning_rate"] for line in steps]
    assert [line["learning_rate"] for line in steps] == pytest.approx([0.0, *late[:-1]], rel=1e-9)


TYPED = {
    "learning rate": (
        "    torch.manual_seed",
        "    arguments.learning_rate = 2e-3",
        (
            "planned learning rate 0.00025 at optimizer step 2, found 0.0005 [learning-rate-differs]\n"
            "  found is 2x planned: the script multiplies by the number of processes"
        ),
        2,
    ),
    "accumulation": (
        "    torch.manual_seed",
        "    arguments.gradient_accumulation_steps = 1",
        "planned 8 samples per optimizer step, found 4 [samples-differ]",
        3,
    ),
    "world size": (
        "import torch",
        "import os; os.environ['WORLD_SIZE'] = '1'; os.environ['RANK'] = '0'",
        "planned 2 ranks, found 1",
        0,
    ),
}


@pytest.mark.parametrize("what", TYPED)
def test_typed_into_the_script(what, tmp_path):
    """A wrong number stops both ranks within three optimizer steps, naming planned and found."""
    before, line, message, step = TYPED[what]
    script = typed(SCRIPT, before, line, tmp_path)
    ended = start_engine(recipe("torchrun", script, ARGS), tmp_path / "run")
    assert ended.code != 0
    assert message in ended.output
    assert all(rank["exit"] == 1 and message in rank["error"] for rank in ended.ranks)
    assert 0 < len(ended.ranks) <= 2
    assert max((line["step"] for line in ended.log if "step" in line), default=0) <= step
