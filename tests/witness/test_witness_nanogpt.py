"""A script in the manner of nanoGPT under the witness: own batches without a DataLoader, own learning rate."""

import pytest
from launching import SCRIPTS, recipe, start_engine, typed

pytestmark = pytest.mark.real

SCRIPT = SCRIPTS / "nanogpt.py"
ARGS = (
    *(
        "--batch_size={micro_batch_size}",
        "--gradient_accumulation_steps={gradient_accumulation_steps_all_ranks}",
    ),
    *(
        "--block_size={sequence_length}",
        "--learning_rate={peak_learning_rate}",
        "--min_lr={final_learning_rate}",
    ),
    *("--warmup_iters={warmup_steps}", "--lr_decay_iters={total_steps}", "--max_iters=5"),
)


@pytest.mark.parametrize("engine", ["torchrun", "accelerate"])
def test_trains_as_planned(engine, tmp_path):
    """Samples are counted where they enter the model, and nanoGPT's own warmup is known."""
    ended = start_engine(recipe(engine, SCRIPT, ARGS, data={"packing": "packed"}), tmp_path / "run")
    assert ended.code == 0, ended.output
    assert ended.witness == {
        "optimizer_steps": 5,
        "samples_per_step": 8,
        "counted_at": "the model's input",
        "learning_rate": "as planned, with a warmup of one step more",
        "unseen": [],
        "departures": [],
    }


TYPED = {
    "learning rate": (
        "learning_rate = 2e-3",
        "planned learning rate 0.00025 at optimizer step 1, found 0.0004 [learning-rate-differs]",
    ),
    "accumulation": (
        "gradient_accumulation_steps = 8",
        "planned 8 samples per optimizer step, found 16 [samples-differ]",
    ),
    "sequence length": ("block_size = 8", "planned 128 tokens per optimizer step, found 64 [samples-differ]"),
    "a model of its own on each rank": (
        "model = model.module",
        "planned gradients averaged over 2 ranks, found 2 different models after optimizer step 3 [gradients-not-reduced]",
    ),
    "world size": ("os.environ['WORLD_SIZE'] = '4'", "planned 2 ranks, found 4 [world-differs]"),
}


@pytest.mark.parametrize("what", TYPED)
def test_typed_into_the_script(what, tmp_path):
    """A wrong number stops both ranks within three optimizer steps, naming planned and found."""
    line, message = TYPED[what]
    before = "optimizer = " if line.startswith("model") else "init_process_group"
    script = typed(SCRIPT, before, line, tmp_path)
    ended = start_engine(recipe("torchrun", script, ARGS, data={"packing": "packed"}), tmp_path / "run")
    assert ended.code != 0
    assert message in ended.output
    assert ended.ranks
    assert all(rank["exit"] == 1 and message in rank["error"] for rank in ended.ranks)
    assert len(ended.log) <= 4
    assert "iter 3" not in ended.output
