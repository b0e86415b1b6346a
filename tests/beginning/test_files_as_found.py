"""Files in the shape in which they lie in public repositories, and what init makes of each.

Shapes: transformers docs/source/en/deepspeed.md and tests/deepspeed/ds_config_zero3.json; accelerate
examples/deepspeed_config_templates, examples/fsdp; axolotl deepspeed_configs/zero2.json; Megatron-LM
examples/gpt3/train_gpt3_175b_distributed.sh; alpaca's README.
"""

import io
import json
from pathlib import Path

import pytest
from round_trips import at, begun

from launcher.api import load_recipe, plan
from launcher.cli.main import main
from launcher.reporting.recipe_text import recipe_text

AUTO = {
    "bf16": {"enabled": "auto"},
    "fp16": {"enabled": "auto", "loss_scale": 0, "initial_scale_power": 16, "loss_scale_window": 1000, "hysteresis": 2},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"}},
    "scheduler": {"type": "WarmupLR", "params": {"warmup_min_lr": "auto", "warmup_max_lr": "auto", "warmup_num_steps": "auto"}},
    "zero_optimization": {
        "stage": 3,
        "offload_optimizer": {"device": "cpu", "pin_memory": True},
        "overlap_comm": True,
        "contiguous_gradients": True,
        "sub_group_size": 1e9,
        "reduce_bucket_size": "auto",
        "stage3_max_live_parameters": 1e9,
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "steps_per_print": 2000,
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
}  # fmt: skip
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    "tie_word_embeddings": True, "hidden_act": "silu", "max_position_embeddings": 131072,
    "rope_scaling": {"rope_type": "llama3", "factor": 32.0}, "torch_dtype": "bfloat16",
}  # fmt: skip
ALPACA = """\
#!/bin/bash
torchrun --nproc_per_node=4 --master_port=29501 train.py \\
    --model_name_or_path models/llama-7b \\
    --data_path ./alpaca_data.json --bf16 True --output_dir out \\
    --num_train_epochs 3 --per_device_train_batch_size 4 --per_device_eval_batch_size 4 \\
    --gradient_accumulation_steps 8 --evaluation_strategy "no" \\
    --save_strategy "steps" --save_steps 2000 --save_total_limit 1 \\
    --learning_rate 2e-5 --weight_decay 0. --warmup_ratio 0.03 \\
    --lr_scheduler_type "cosine" --logging_steps 1 --model_max_length 512
"""
MEGATRON = """\
#!/bin/bash
export CUDA_DEVICE_MAX_CONNECTIONS=1
GPUS_PER_NODE=8
MASTER_ADDR=node-a    # change for multinode
NUM_NODES=${NUM_NODES:-2}
DISTRIBUTED_ARGS=(
    --nproc_per_node $GPUS_PER_NODE
    --nnodes $NUM_NODES
    --master_addr $MASTER_ADDR
)
MODEL_ARGS=( --num-layers 96 --tensor-model-parallel-size 8 )
torchrun ${DISTRIBUTED_ARGS[@]} pretrain_gpt.py "${MODEL_ARGS[@]}" --data-path $DATA_PATH
"""
FSDP = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
fsdp_config:
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_backward_prefetch: BACKWARD_PRE
  fsdp_offload_params: false
  fsdp_sharding_strategy: FULL_SHARD
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_transformer_layer_cls_to_wrap: BertLayer
machine_rank: 0
main_process_ip: 10.0.0.1
main_process_port: 29500
main_training_function: main
mixed_precision: bf16
num_machines: 2
num_processes: 16
rdzv_backend: static
same_network: true
tpu_env: []
use_cpu: false
"""
SIMPLE = {"train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": 2, "gradient_clipping": 1.0,
          "bf16": {"enabled": True}, "zero_optimization": {"stage": 2, "reduce_bucket_size": 500000000}}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, content in files.items():
            stem, _, kind = name.rpartition("_")
            text = content if isinstance(content, str) else json.dumps(content)
            Path(f"{stem}.{kind}").write_text(text)

    return write


def dropped(found):
    return {each["key"]: each["why"] for each in found["not_carried"]}


def test_a_deepspeed_file_of_autos(here):
    """Each "auto" is said to be left open; what is a number is carried; nothing is made up for the rest."""
    here(ds_json=AUTO)
    found = begun("ds.json")
    recipe = found["recipe"]
    assert recipe["parallel"]["data"] == {"strategy": "zero", "stage": 3, "offload": "optimizer"}
    assert recipe["launch"]["engine"] == "deepspeed"
    assert recipe["optimizer"] == {"name": "adamw", "owner": "engine"}
    assert recipe["schedule"] == {"owner": "engine:WarmupLR", "decay": "constant", "warmup_shape": "log"}
    assert set(dropped(found)) == {
        "train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping",
        "fp16.enabled", "bf16.enabled", "optimizer.params.lr", "optimizer.params.betas", "optimizer.params.eps",
        "optimizer.params.weight_decay", "scheduler.params.warmup_min_lr", "scheduler.params.warmup_max_lr",
        "scheduler.params.warmup_num_steps", "zero_optimization.reduce_bucket_size",
    }  # fmt: skip
    assert {each["path"] for each in found["missing"] if each["needed"]} == {
        "global_batch_size", "sequence_length", "hidden_size",
    }  # fmt: skip


def test_a_trainers_command_line_answers_the_autos(here):
    """Batch from the arguments and the ranks, the file it names is read, its numbers become placeholders."""
    here(
        ds_json=AUTO,
        config_json=LLAMA,
        run_sh="export WANDB_PROJECT=x\nN=8\ndeepspeed --num_gpus=$N train.py --deepspeed ds.json --bf16 "
        "--per_device_train_batch_size 2 --gradient_accumulation_steps 4 --learning_rate 2e-5 --max_steps 500 "
        "--max_grad_norm 1.0 --weight_decay 0.1 --warmup_steps 20 --block_size 1024 --output_dir out --seed 3\n",
    )
    found = begun("run.sh", "config.json")
    recipe = found["recipe"]
    assert (recipe["global_batch_size"], recipe["micro_batch_size"]) == (2 * 4 * 8, 2)
    assert recipe["precision"] == "bf16"
    assert recipe["schedule"]["warmup"] == "20 steps"
    assert recipe["schedule"]["length"] == "500 steps"
    assert recipe["launch"]["env"] == {"WANDB_PROJECT": "x"}
    args = recipe["launch"]["args"]
    assert args[:2] == ["--deepspeed", "{deepspeed_config}"]
    assert args[args.index("--per_device_train_batch_size") + 1] == "{micro_batch_size}"
    assert args[args.index("--learning_rate") + 1] == "{peak_learning_rate}"
    assert args[args.index("--seed") + 1] == "{seed}"
    assert set(dropped(found)) == {
        "optimizer.params.betas", "optimizer.params.eps", "scheduler.params.warmup_min_lr", "rope_scaling", "torch_dtype",
        "zero_optimization.reduce_bucket_size",
    }  # fmt: skip
    assert [each["path"] for each in found["missing"] if each["needed"]] == ["cluster.device"]
    recipe["cluster"]["device"] = "a100-sxm-80gb"
    Path("r.yaml").write_text(recipe_text(recipe))
    made = plan(load_recipe("r.yaml"), environ={})
    assert made.batch.slots_per_step == 64
    assert made.model.num_parameters > 1.2e9


def test_a_schedule_that_the_file_overrules_is_told(here):
    """--lr_scheduler_type cosine beside a WarmupLR block: DeepSpeed's is the one that runs, so nobody may choose."""
    here(
        ds_json=AUTO,
        run_sh="deepspeed --num_gpus 8 t.py --deepspeed ds.json --per_device_train_batch_size 1 --learning_rate 1e-4 "
        "--lr_scheduler_type cosine\n",
    )
    said, told = io.StringIO(), io.StringIO()
    assert main(["init", "run.sh"], environ={}, stdout=said, stderr=told) == 1
    assert (
        "`schedule.decay` is cosine in run.sh:1: --lr_scheduler_type, and constant in ds.json: scheduler.type"
        in told.getvalue()
    )


def test_torchrun_with_the_trainers_arguments(here):
    """Alpaca's command line: 4 x 8 x 4 = 128 sequences of 512 tokens, 3 % warmup, cosine, as the Trainer draws it."""
    here(run_sh=ALPACA)
    recipe = begun("run.sh")["recipe"]
    assert recipe["global_batch_size"] == 128
    assert recipe["sequence_length"] == 512
    assert recipe["optimizer"] == {"learning_rate": 2e-5}
    assert recipe["schedule"] == {
        "warmup": "3 %", "decay": "cosine", "length": "3 epochs", "owner": "script:trainer",
    }  # fmt: skip
    assert recipe["checkpoint"] == {"every": "2000 steps", "keep": 1}
    assert "evaluation" not in recipe
    assert recipe["launch"]["network"] == {"port": 29501}


def test_a_script_with_lists_and_variables(here):
    """Megatron's way of writing: what the file sets is filled in, what only a shell knows is told."""
    here(run_sh=MEGATRON)
    found = begun("run.sh")
    recipe = found["recipe"]
    assert recipe["cluster"] == {"nodes": 2, "devices_per_node": 8}
    assert recipe["launch"]["args"] == [
        "--num-layers", "96", "--tensor-model-parallel-size", "8", "--data-path", "$DATA_PATH",
    ]  # fmt: skip
    assert recipe["launch"]["network"] == {"main_address": "node-a"}
    assert recipe["launch"]["env"] == {"CUDA_DEVICE_MAX_CONNECTIONS": "1"}
    assert dropped(found)["argument 6"] == "a shell fills this in; here it would be handed on as it stands"
    hints = {each["key"]: each["hint"] for each in found["not_carried"]}
    assert hints["--tensor-model-parallel-size"] == "here that is `parallel.tensor`"


def test_an_accelerate_file(here):
    """num_processes is the total; version 1 is what an FSDP file without a version means."""
    here(acc_yaml=FSDP)
    recipe = begun("acc.yaml")["recipe"]
    assert recipe["cluster"] == {"nodes": 2, "devices_per_node": 8}
    assert recipe["parallel"]["data"] == {"strategy": "fsdp", "stage": 3, "version": 1}
    assert recipe["launch"]["network"] == {"main_address": "10.0.0.1", "port": 29500}
    native = recipe["launch"]["native"]["accelerate"]
    assert native["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"] == "BertLayer"
    assert native.keys() == {"fsdp_config"}


def test_flags_of_accelerate_launch_overrule_its_file(here):
    """As accelerate launch itself takes them; each value names where it stands."""
    here(
        acc_yaml=FSDP,
        run_sh="accelerate launch --config_file acc.yaml --num_processes 8 --num_machines=1 t.py\n",
    )
    found = begun("run.sh")
    assert found["recipe"]["cluster"] == {"nodes": 1, "devices_per_node": 8}
    places = {each["path"]: f"{each['source']} {each['key']}" for each in found["carried"]}
    assert places["cluster.nodes"] == "run.sh:1 --num_machines"
    assert places["parallel.data.stage"].startswith("acc.yaml")


def test_accelerate_with_deepspeeds_own_words(here):
    """zero_stage, offload and clipping of the questionnaire's short form."""
    here(
        acc_yaml="compute_environment: LOCAL_MACHINE\ndistributed_type: DEEPSPEED\ndeepspeed_config:\n"
        "  gradient_accumulation_steps: 4\n  gradient_clipping: 1.0\n  offload_optimizer_device: cpu\n"
        "  offload_param_device: none\n  zero3_init_flag: false\n  zero_stage: 2\nmixed_precision: fp16\n"
        "num_machines: 1\nnum_processes: 4\n"
    )
    recipe = begun("acc.yaml")["recipe"]
    assert recipe["parallel"]["data"] == {"strategy": "zero", "stage": 2, "offload": "optimizer"}
    assert recipe["gradient_accumulation_steps"] == 4
    assert recipe["optimizer"] == {"gradient_clipping": 1.0}
    assert recipe["precision"] == "fp16"


def test_numbers_of_a_deepspeed_file_and_its_launcher(here):
    """Axolotl's kind of file: the batch follows from the ranks, keys without words go on to DeepSpeed."""
    here(ds_json={**SIMPLE, "aio": {"queue_depth": 32}, "elasticity": {"enabled": True}})
    found = begun(
        "ds.json", "--", "deepspeed", "--include", "localhost:4,5", "t.py", "--deepspeed", "ds.json"
    )
    recipe = found["recipe"]
    assert recipe["global_batch_size"] == 4 * 2 * 2
    assert recipe["cluster"] == {"nodes": 1, "devices": [4, 5]}
    assert recipe["launch"]["native"]["deepspeed"]["aio"] == {"queue_depth": 32}
    assert recipe["launch"]["native"]["deepspeed"]["zero_optimization"] == {"reduce_bucket_size": 500000000}
    assert dropped(found) == {
        "elasticity.enabled": "the plan decides this, and a recipe has other words for it"
    }


def test_torchrun_with_a_deepspeed_file(here):
    """Only two engines render DeepSpeed's JSON: that torchrun is given up is said, with the way to keep it."""
    here(ds_json=SIMPLE)
    found = begun("--", "torchrun", "--nproc-per-node=2", "t.py", "--deepspeed", "ds.json")
    assert found["recipe"]["launch"]["engine"] == "deepspeed"
    assert "deepspeed starts it now" in dropped(found)["torchrun"]


def test_training_arguments_as_json(here):
    """to_json_string's whole list: what a plan depends on is carried, the rest is the script's own, each by name."""
    here(
        args_json={
            "output_dir": "out", "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "max_steps": -1,
            "learning_rate": 5e-05, "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
            "warmup_steps": 0.05, "num_train_epochs": 3.0, "optim": "adamw_torch_fused", "weight_decay": 0.0,
            "adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-08, "max_grad_norm": 1.0, "bf16": True,
            "fp16": False, "gradient_checkpointing": True, "seed": 42, "eval_strategy": "steps", "eval_steps": 100,
            "per_device_eval_batch_size": 4, "save_strategy": "epoch", "deepspeed": None, "logging_steps": 500,
            "push_to_hub": False,
        }
    )  # fmt: skip
    found = begun("args.json")
    recipe = found["recipe"]
    assert recipe["optimizer"] == {
        "name": "adamw", "learning_rate": 5e-05, "betas": [0.9, 0.95], "epsilon": 1e-08, "gradient_clipping": 1.0,
    }  # fmt: skip
    assert recipe["schedule"] == {
        "warmup": "5 %", "decay": "cosine", "length": "3 epochs", "final_learning_rate_ratio": 0.1,
        "owner": "script:trainer",
    }  # fmt: skip
    assert recipe["evaluation"] == {"every": "100 steps", "batch_size": 4}
    assert recipe["checkpoint"] == {"every": "1 epoch"}
    assert recipe["activation_checkpointing"] == "full"
    assert "global_batch_size" not in recipe
    assert set(dropped(found)) == {"output_dir", "logging_steps", "push_to_hub"}
    with_ranks = begun("args.json", "--", "torchrun", "--nproc_per_node", "2", "t.py")["recipe"]
    assert with_ranks["global_batch_size"] == 8 * 2 * 2


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("python -m torch.distributed.run --nnodes=2 --nproc-per-node=4 t.py", "cluster.nodes", 2),
        ("python3.11 -u -m torch.distributed.launch --use_env --nproc_per_node 4 t.py", "cluster.devices_per_node", 4),
        ("torchrun --nnodes 1:4 --nproc_per_node 4 t.py", "cluster.nodes", "1..4"),
        ("CUDA_VISIBLE_DEVICES=2,3 torchrun --nproc_per_node 2 t.py", "cluster.devices", [2, 3]),
        ("CUDA_VISIBLE_DEVICES=0,1,2,3 torchrun --nproc_per_node 2 t.py", "cluster.devices", [0, 1]),
        ("torchrun --rdzv_backend c10d --rdzv_endpoint h:29400 --nnodes 2 --nproc_per_node 4 t.py", "launch.network.port", 29400),
        ("torchrun --nproc_per_node 2 -m pkg.train --x", "launch.module", "pkg.train"),
        ("srun torchrun --nproc_per_node 2 t.py", "launch.script", "t.py"),
        ("accelerate launch --multi_gpu --num_processes 4 --mixed_precision fp16 t.py", "precision", "fp16"),
        ("accelerate launch --use_fsdp --fsdp_version 2 --num_processes 4 t.py", "parallel.data.version", 2),
        ("accelerate launch --cpu --num_processes 4 t.py", "cluster.device", "cpu"),
        ("deepspeed --num_nodes 2 --num_gpus 8 t.py", "cluster.nodes", 2),
        ("deepspeed --hostfile hosts --num_gpus 8 --num_nodes 2 t.py", "cluster.hostfile", "hosts"),
        ("torchrun --nproc_per_node 2 --tee 3 t.py", "launch.native.argv", ["--tee", "3"]),
        ("""torchrun t.py --kwargs '{"a": 1}'""", "launch.args", ["--kwargs", '{{"a": 1}}']),
        ("cd /data/run && torchrun t.py", "launch.workdir", "/data/run"),
    ],
)  # fmt: skip
def test_command_lines(words, path, value, here):
    """What stands on a command line, in quotes or in a script."""
    here(run_sh=words + "\n")
    for found in (begun("run.sh"), begun("--", words)):
        assert at(found["recipe"], path) == value


def test_without_an_output_the_recipe_goes_to_stdout(here):
    """It loads as it is, comments and lists included; the rest is on stderr."""
    here(ds_json=SIMPLE)
    said, told = io.StringIO(), io.StringIO()
    assert main(["init", "ds.json"], environ={}, stdout=said, stderr=told) == 0
    Path("r.yaml").write_text(said.getvalue())
    assert load_recipe("r.yaml").micro_batch_size == 4
    assert "micro_batch_size: 4 " in said.getvalue()
    assert "# ds.json: train_micro_batch_size_per_gpu" in said.getvalue()
    assert told.getvalue().startswith("not a plan yet\n")


def test_a_value_that_no_recipe_takes_is_left_out(here):
    """With the reader's own words for it."""
    here(ds_json={**SIMPLE, "gradient_clipping": -1, "train_micro_batch_size_per_gpu": 0})
    found = begun("ds.json")
    assert dropped(found) == {
        "train_micro_batch_size_per_gpu": "expected a whole number of at least 1, or `auto`",
        "gradient_clipping": "expected a number above 0",
    }
    assert "micro_batch_size" not in found["recipe"]


def test_a_folder_of_everything(here):
    """Files of no kind that is read are named, and a pickle among them is no obstacle."""
    here(ds_json=SIMPLE, notes_md="# notes\nhello\n", tokenizer_json={"version": "1.0"})
    Path("training_args.bin").write_bytes(b"PK\x03\x04")
    found = begun(".")
    assert found["recipe"]["micro_batch_size"] == 4
    assert [each.partition(":")[0] for each in found["skipped"]] == [
        "notes.md", "tokenizer.json", "training_args.bin",
    ]  # fmt: skip


def test_a_scripts_own_words_are_pointed_at(here):
    """`--lr 3e-4` may be the learning rate: it is told, kept in launch.args, and not taken for it."""
    found = begun("--", "torchrun", "--nproc_per_node", "8", "train.py", "--lr", "3e-4", "--batch_size=4")
    told = {each["key"]: (each["value"], each["hint"]) for each in found["not_carried"]}
    assert told["--lr"] == ("3e-4", "here that is `optimizer.learning_rate`")
    assert told["--batch_size"][0] == "4"
    assert "optimizer" not in found["recipe"]
