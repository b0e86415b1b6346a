"""What a Hugging Face Trainer writes over "auto" in a DeepSpeed file, and what it leaves for DeepSpeed to decide."""

import pytest
from driving import rates_used

from launcher.planning.conventions import deepspeed_linear_warmup, deepspeed_log_warmup

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("fresh_accelerate")]

STEPS, WARMUP = 40, 10


def test_auto_is_filled_but_for_the_shape_of_the_warmup(tmp_path):
    """Batch, clipping, optimizer and lengths come from the arguments; warmup_type does not, so it stays log.

    Source: transformers@5.23.0 integrations/deepspeed.py:HfTrainerDeepSpeedConfig.trainer_config_process,
    trainer_config_finalize. Why a rendered file holds no "auto" and no scheduler.
    """
    from deepspeed.runtime.lr_schedules import WarmupDecayLR

    arguments = arguments_in(tmp_path)
    filled = filled_by_trainer(arguments, auto_config())
    assert "auto" not in str(filled)
    assert filled["train_micro_batch_size_per_gpu"] == arguments.per_device_train_batch_size
    assert filled["gradient_accumulation_steps"] == arguments.gradient_accumulation_steps
    assert filled["train_batch_size"] == (
        arguments.world_size * arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    )
    assert filled["gradient_clipping"] == arguments.max_grad_norm
    assert filled["optimizer"]["params"] == {
        "lr": arguments.learning_rate,
        "betas": [arguments.adam_beta1, arguments.adam_beta2],
        "eps": arguments.adam_epsilon,
        "weight_decay": arguments.weight_decay,
    }
    schedule = filled["scheduler"]["params"]
    assert schedule == {
        "warmup_min_lr": 0,
        "warmup_max_lr": arguments.learning_rate,
        "warmup_num_steps": WARMUP,
        "total_num_steps": STEPS,
    }
    used = rates_used(
        lambda optimizer: WarmupDecayLR(optimizer, **schedule), steps=WARMUP, peak=arguments.learning_rate
    )
    for shape, same in ((deepspeed_log_warmup, True), (deepspeed_linear_warmup, False)):
        shares = [shape(step=step, warmup_steps=WARMUP) for step in range(1, WARMUP + 1)]
        assert (used == pytest.approx([arguments.learning_rate * share for share in shares])) is same


def test_no_warmup_is_filled_as_one_step(tmp_path):
    """Without a warmup the filled warmup_num_steps is 1, which DeepSpeed accepts and takes for 2.

    Source: transformers@5.23.0 integrations/deepspeed.py:HfTrainerDeepSpeedConfig.trainer_config_finalize.
    """
    filled = filled_by_trainer(arguments_in(tmp_path, warmup_steps=0), auto_config())
    assert filled["scheduler"]["params"]["warmup_num_steps"] == 1


def test_ratios_of_a_cosine_are_left_as_auto(tmp_path):
    """WarmupCosineLR has ratios in place of rates: the Trainer fills its lengths and leaves "auto" in the ratios.

    Source: transformers@5.23.0 integrations/deepspeed.py:HfTrainerDeepSpeedConfig.trainer_config_finalize.
    """
    params = dict.fromkeys(
        ("total_num_steps", "warmup_num_steps", "warmup_min_ratio", "cos_min_ratio"), "auto"
    )
    filled = filled_by_trainer(
        arguments_in(tmp_path), {**auto_config(), "scheduler": {"type": "WarmupCosineLR", "params": params}}
    )
    assert filled["scheduler"]["params"] == {
        **params,
        "total_num_steps": STEPS,
        "warmup_num_steps": WARMUP,
    }


def test_a_number_that_differs_is_refused(tmp_path):
    """A number in the file that is not the argument's stops the Trainer, naming both.

    Source: transformers@5.23.0 integrations/deepspeed.py:HfTrainerDeepSpeedConfig.fill_match.
    """
    config = {**auto_config(), "gradient_accumulation_steps": 7}
    with pytest.raises(
        ValueError, match=r"gradient_accumulation_steps=7 vs hf gradient_accumulation_steps=3"
    ):
        filled_by_trainer(arguments_in(tmp_path), config)


def auto_config():
    """Everything that can be left to the Trainer."""
    return {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "gradient_clipping": "auto",
        "optimizer": {
            "type": "AdamW",
            "params": dict.fromkeys(("lr", "betas", "eps", "weight_decay"), "auto"),
        },
        "scheduler": {
            "type": "WarmupDecayLR",
            "params": dict.fromkeys(
                ("warmup_min_lr", "warmup_max_lr", "warmup_num_steps", "total_num_steps"), "auto"
            ),
        },
    }


def arguments_in(folder, **changes):
    from transformers import TrainingArguments

    options = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
        "learning_rate": 7e-5,
        "weight_decay": 0.01,
        "max_grad_norm": 0.7,
        "warmup_steps": WARMUP,
    }
    return TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], **{**options, **changes})


def filled_by_trainer(arguments, config):
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    filled = HfTrainerDeepSpeedConfig(config)
    filled.trainer_config_process(arguments)
    filled.trainer_config_finalize(arguments, model=None, num_training_steps=STEPS)
    return filled.config
