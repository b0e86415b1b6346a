"""Tables of the pages on learning rate and batch are what the functions give."""

import re
from pathlib import Path

import pytest
from published_rates import LLAMA_405B

from launcher.planning import conventions
from launcher.planning.accumulation import loss_scale, slot_of

PAGES = Path(__file__).resolve().parents[2] / "docs" / "explanation"


def table_after(page, words):
    """Rows of the first table below these words, header left out; cells without backticks."""
    text = (PAGES / page).read_text()
    assert text.count(words) == 1, words
    lines = text.split(words)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return rows


def test_shares_of_the_peak():
    """The table for a warmup of 4 steps is what each stack's function gives, in hundredths."""
    functions = {
        "this project": lambda step, warmup_steps: min(1.0, step / warmup_steps),
        "Hugging Face": conventions.hugging_face_warmup,
        "DeepSpeed, linear": conventions.deepspeed_linear_warmup,
        "DeepSpeed, log": conventions.deepspeed_log_warmup,
        "GPT-NeoX": conventions.gpt_neox_warmup,
        "nanoGPT": conventions.nanogpt_warmup,
    }
    rows = table_after("learning-rate.md", "in hundredths of the peak:")
    assert {row[0] for row in rows} == set(functions)
    for name, *shares in rows:
        given = [functions[name](step=step, warmup_steps=4) for step in range(1, len(shares) + 1)]
        assert shares == [f"{100 * share:.0f}" for share in given], name


def test_where_each_warmup_reaches_its_peak():
    """Steps at 0 and the step of the peak, as the table of stacks has them."""
    functions = {
        "Hugging Face": conventions.hugging_face_warmup,
        "DeepSpeed, linear": conventions.deepspeed_linear_warmup,
        "DeepSpeed, log (its default)": conventions.deepspeed_log_warmup,
        "GPT-NeoX": conventions.gpt_neox_warmup,
        "nanoGPT": conventions.nanogpt_warmup,
        "nanoGPT-mup": conventions.nanogpt_mup_warmup,
    }
    rows = {row[0]: row for row in table_after("learning-rate.md", "for a linear warmup of W\nsteps:")}
    for name, share in functions.items():
        shares = [share(step=step, warmup_steps=10) for step in range(1, 20)]
        zeros, peak = shares.count(0), shares.index(1.0) + 1
        words = {0: "none", 1: "1 step", 2: "2 steps"}[zeros]
        assert rows[name][2:4] == [words, f"W + {peak - 10}"], name


def test_mlperf_rows():
    """Batches, rates and warmup steps of MLPerf's 405B are those that the plans are tested with."""
    rows = table_after("scaling.md", "Llama 3.1 405B, AdamW,")
    shown = {(int(batch), float(rate), int(steps)) for batch, rate, steps, _ in rows}
    assert shown == set(LLAMA_405B)


def test_loss_factors():
    """Every reducer that the planner knows is in the table, with its factor as a formula."""
    rows = table_after("accumulation.md", "A summed loss must be multiplied by")
    names = re.findall(r'"([\w-]+)"', Path(loss_scale.__code__.co_filename).read_text().split("Literal[")[1])
    assert [row[2] for row in rows] == names[: len(rows)]
    ranks, accumulation, weight = 3, 5, 7.0
    for _, formula, name in rows:
        value = eval(formula, {"R": ranks, "G": accumulation, "W": weight})
        assert value == pytest.approx(
            loss_scale(
                reducer=name,
                data_parallel_size=ranks,
                gradient_accumulation_steps=accumulation,
                total_weight=weight,
            )
        )


def test_slots():
    """Ten sequences on 2 ranks, micro-batch 2: where the table puts each of them."""
    rows = table_after("batch.md", "Ten sequences on 2 ranks")
    for index in range(10):
        slot = slot_of(index=index, micro_batch_size=2, data_parallel_size=2)
        assert rows[slot.micro_step][1 + slot.rank].split(", ")[slot.position] == str(index)
    assert sum(cell.count("idle") for row in rows for cell in row) == 2
