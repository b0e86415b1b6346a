"""Placeholders in arguments and environment."""

from dataclasses import replace

import pytest

from launcher.planning.placeholders import NAMES, fill, placeholder_values
from launcher.spec.bundle import RUN_DIR
from launcher.testing import HOSTILE, changed, sample_plans

PLAN = replace(
    sample_plans()["cpu-1x2"],
    evaluation={"every_steps": 100, "batch_size": None},
    checkpoint={"every_steps": 200, "directory": "checkpoints", "keep": None},
    optimizer=replace(sample_plans()["cpu-1x2"].optimizer, weight_average_decay=0.9995),
)
VALUES = placeholder_values(PLAN, files=("deepspeed.json", "accelerate.json"))

CONTRACT = """{micro_batch_size} {gradient_accumulation_steps} {gradient_accumulation_steps_all_ranks} {global_batch_size}
{data_parallel_size} {world_size} {sequence_length} {hidden_size} {micro_batch_tokens} {global_batch_tokens} {total_steps}
{warmup_steps} {peak_learning_rate} {final_learning_rate} {weight_decay} {gradient_clipping} {precision}
{beta1} {beta2} {epsilon} {weight_average_decay}
{activation_checkpointing} {seed} {plan} {run_dir} {deepspeed_config} {accelerate_config} {latest_checkpoint}
{checkpoint_directory} {checkpoint_every_steps} {evaluation_every_steps}
{scheduler_name} {scheduler_warmup_steps} {scheduler_total_steps} {scheduler_arguments}"""


def filled(text, values=VALUES):
    result = fill(text, values, path="launch.args.0")
    assert not result.problems
    return result.text


def problem(text, values=VALUES):
    (found,) = fill(text, values, path="launch.args.0").problems
    assert found.path == "launch.args.0"
    return found


def test_the_placeholders_are_those_of_the_contract():
    """Names are neither added nor dropped by accident."""
    assert sorted(f"{{{name}}}" for name in NAMES) == sorted(CONTRACT.split())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("micro_batch_size", "2"),
        ("gradient_accumulation_steps", "3"),
        ("gradient_accumulation_steps_all_ranks", str(3 * 2)),
        ("global_batch_size", str(2 * 3 * 2)),
        ("data_parallel_size", "2"),
        ("world_size", "2"),
        ("sequence_length", "128"),
        ("hidden_size", "64"),
        ("micro_batch_tokens", str(2 * 128)),
        ("global_batch_tokens", str(12 * 128)),
        ("total_steps", "400"),
        ("warmup_steps", "10"),
        ("peak_learning_rate", "0.30000000000000004"),
        ("final_learning_rate", "3e-05"),
        ("weight_decay", "0.1"),
        ("beta1", "0.9"),
        ("beta2", "0.95"),
        ("epsilon", "1e-08"),
        ("weight_average_decay", "0.9995"),
        ("gradient_clipping", "1.0"),
        ("precision", "fp32"),
        ("activation_checkpointing", "none"),
        ("seed", "17"),
        ("plan", f"{RUN_DIR}/plan.json"),
        ("run_dir", RUN_DIR),
        ("checkpoint_directory", f"{RUN_DIR}/checkpoints"),
        ("checkpoint_every_steps", "200"),
        ("evaluation_every_steps", "100"),
        ("deepspeed_config", f"{RUN_DIR}/deepspeed.json"),
        ("accelerate_config", f"{RUN_DIR}/accelerate.json"),
    ],
)
def test_each_placeholder_is_its_number(name, text):
    """A placeholder becomes the plan's number, floats in their shortest exact form."""
    assert filled(f"<{{{name}}}>") == f"<{text}>"


def test_floats_read_back_as_the_same_number():
    """No digit of a learning rate is lost on the way to the script."""
    for rate in (1e-4, 0.1 + 0.2, 5e-324, 1 / 3, 6.25e-05):
        plan = changed(PLAN, learning_rate={"peak_learning_rate": rate})
        text = fill("{peak_learning_rate}", placeholder_values(plan, files=()), path="").text
        assert float(text) == rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{", "{"),
        ("}}", "}"),
        ("{{seed}}", "{seed}"),
        ("{{{seed}}}", "{17}"),
        ('{{"a": {seed}}}', '{"a": 17}'),
        ("{seed}{seed}", "1717"),
        ("", ""),
    ],
)
def test_double_braces_are_braces(text, expected):
    """`{{` and `}}` stand for themselves, and a filled text is not read again."""
    assert filled(text) == expected


def test_hostile_text_arrives_byte_for_byte():
    """Nothing but braces means anything: shells, quotes and line breaks are not ours to read."""
    for text in HOSTILE:
        assert filled(text) == text.replace("{{", "{").replace("}}", "}")


def test_a_misspelt_placeholder_names_the_nearest():
    """An unknown name is refused, with its neighbour."""
    found = problem("--lr={peak_learning_rat}")
    assert (found.code, found.hint) == ("unknown-placeholder", "did you mean `{peak_learning_rate}`?")
    assert problem("{ seed }").hint == "did you mean `{seed}`?"


@pytest.mark.parametrize("text", ['{"a": 1}', "{}", "{seed:.2e}", "{seed:03d}", "{lr}"])
def test_anything_else_in_braces_is_refused(text):
    """Format specifications and JSON are no placeholders."""
    found = problem(text)
    assert (found.code, found.hint) == ("unknown-placeholder", "write `{{` and `}}` for braces")


@pytest.mark.parametrize(("text", "brace"), [("{seed", "{"), ("seed}", "}"), ("{seed}}", "}"), ("{{}", "}")])
def test_a_single_brace_is_refused(text, brace):
    """A brace that belongs to nothing is a typing mistake."""
    found = problem(text)
    assert found.code == "unbalanced-brace"
    assert found.hint == f"write `{brace}{brace}` for a brace"


def test_every_fault_of_a_text_is_reported():
    """Problems are collected, not raised one by one."""
    found = fill("{a} {seed} } {latest_checkpoint}", VALUES, path="p").problems
    assert [p.code for p in found] == ["unknown-placeholder", "unbalanced-brace", "placeholder-unset"]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("peak_learning_rate", "write optimizer.learning_rate"),
        ("gradient_clipping", "write optimizer.gradient_clipping"),
        ("sequence_length", "write sequence_length"),
        ("total_steps", "write schedule.length"),
        ("deepspeed_config", "use launch.engine: deepspeed"),
        ("accelerate_config", "use launch.engine: accelerate"),
        ("latest_checkpoint", "leave it to resume.args"),
        ("checkpoint_directory", "write checkpoint.directory"),
        ("checkpoint_every_steps", "write checkpoint.every"),
        ("evaluation_every_steps", "write evaluation.every"),
    ],
)
def test_a_number_the_plan_lacks_is_refused_not_guessed(name, cure):
    """No placeholder becomes `None`, an empty word or a zero."""
    plan = changed(
        PLAN,
        optimizer={"gradient_clipping": None},
        batch={"sequence_length": None, "tokens_per_step": None},
    )
    plan = replace(plan, learning_rate=None, data={}, checkpoint=None, evaluation=None)
    found = problem(f"{{{name}}}", placeholder_values(plan, files=()))
    assert found.code == "placeholder-unset"
    assert found.hint.startswith(cure)


def test_a_checkpoint_directory_may_be_anywhere():
    """It lies in the run folder unless it is absolute."""
    plan = replace(PLAN, checkpoint={"every_steps": None, "directory": "/scratch/me", "keep": 3})
    assert filled("{checkpoint_directory}", placeholder_values(plan, files=())) == "/scratch/me"


def test_lengths_are_known_without_a_learning_rate():
    """Steps of the run come from the data block where no learning rate is planned."""
    plan = replace(PLAN, learning_rate=None, data={"total_steps": 7, "warmup_steps": 0})
    assert filled("{total_steps} {warmup_steps}", placeholder_values(plan, files=())) == "7 0"


def test_a_nul_character_is_refused():
    """No process can be given one, and our own tokens hold them."""
    assert problem(f"x{RUN_DIR}").code == "engine-cannot"
