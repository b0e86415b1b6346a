"""Names that people bring along from other tools, with what to write here instead. Hints only: nothing is renamed.

Source: argument names of nanoGPT@3adf61e train.py, Megatron-LM@d98e8a64 arguments.py, DeepSpeed@edaa7221 config keys,
transformers TrainingArguments and model configs, torchrun and accelerate launch.
"""

from __future__ import annotations

__all__ = ["OTHER_NAMES"]


def _is(path: str) -> str:
    return f"here that is `{path}`"


OTHER_NAMES: dict[str, str] = {
    # the batch
    "batch_size": "say which: `global_batch_size` (whole job) or `micro_batch_size` (one forward pass of one rank)",
    "train_batch_size": _is("global_batch_size"),
    "global_train_batch_size": _is("global_batch_size"),
    "per_device_train_batch_size": _is("micro_batch_size"),
    "train_micro_batch_size_per_gpu": _is("micro_batch_size"),
    "device_train_microbatch_size": _is("micro_batch_size"),
    "grad_accum": _is("gradient_accumulation_steps"),
    "grad_accumulation_steps": _is("gradient_accumulation_steps"),
    # the model
    "seq_length": _is("sequence_length"),
    "seq_len": _is("sequence_length"),
    "max_seq_len": _is("sequence_length"),
    "block_size": _is("sequence_length"),
    "context_length": _is("sequence_length"),
    "d_model": _is("hidden_size"),
    "n_embd": _is("hidden_size"),
    "n_layer": _is("model.num_layers"),
    "num_hidden_layers": _is("model.num_layers"),
    "n_head": _is("model.num_attention_heads"),
    "ffn_hidden_size": _is("model.intermediate_size"),
    # optimizer and schedule
    "lr": _is("optimizer.learning_rate"),
    "peak_learning_rate": _is("optimizer.learning_rate"),
    "max_lr": _is("optimizer.learning_rate"),
    "min_lr": "here that is `optimizer.learning_rate` x `schedule.final_learning_rate_ratio`",
    "grad_clip": _is("optimizer.gradient_clipping"),
    "clip_grad": _is("optimizer.gradient_clipping"),
    "max_grad_norm": _is("optimizer.gradient_clipping"),
    "lr_scaling": _is("optimizer.scaling"),
    "ema_decay": _is("optimizer.weight_average_decay"),
    "warmup_steps": "write `schedule.warmup: 2000 steps`",
    "lr_warmup_samples": "write `schedule.warmup: 183105 samples`",
    "num_warmup_steps": "write `schedule.warmup: 2000 steps`",
    "warmup_ratio": "write `schedule.warmup: 3 %`",
    "lr_scheduler_type": _is("schedule.decay"),
    "lr_decay_style": _is("schedule.decay"),
    "lr_decay_iters": "write `schedule.decay_ends: 320000 steps`",
    "lr_decay_samples": "write `schedule.decay_ends: 200000000 samples`",
    "lr_wsd_decay_iters": "write `schedule.decay_length: 10000 steps`",
    "lr_wsd_decay_style": _is("schedule.decay_shape"),
    "power": _is("schedule.decay_power"),
    "timescale": "here that is `schedule.decay_length`, with `schedule.decay: inverse-sqrt`",
    "milestones": "write `schedule.decay_at: [30 epochs, 60 epochs]`",
    "lr_steps": "write `schedule.decay_at: [30 epochs, 60 epochs]`",
    "gamma": "here that is `schedule.decay_factor`, beside `schedule.decay_at`",
    "lr_gamma": "here that is `schedule.decay_factor`, beside `schedule.decay_at`",
    "max_steps": "write `schedule.length: 10000 steps`",
    "total_steps": "write `schedule.length: 10000 steps`",
    "train_iters": "write `schedule.length: 10000 steps`",
    "max_iters": "write `schedule.length: 10000 steps`",
    "num_epochs": "write `schedule.length: 3 epochs`",
    "num_train_epochs": "write `schedule.length: 3 epochs`",
    "epochs": "write `schedule.length: 3 epochs`",
    # precision, memory and layout
    "bf16": "write `precision: bf16`",
    "fp16": "write `precision: fp16`",
    "mixed_precision": _is("precision"),
    "dtype": _is("precision"),
    "gradient_checkpointing": "write `activation_checkpointing: full`",
    "attn_implementation": _is("attention"),
    "zero_stage": "here that is `parallel.data.stage`, with `strategy: zero`",
    "zero_optimization": "here that is `parallel.data`, with `strategy: zero`",
    "tensor_parallel_size": _is("parallel.tensor"),
    "tensor_model_parallel_size": _is("parallel.tensor"),
    "pipeline_parallel_size": _is("parallel.pipeline"),
    "pipeline_model_parallel_size": _is("parallel.pipeline"),
    "context_parallel_size": _is("parallel.context"),
    "expert_parallel_size": _is("parallel.expert"),
    # machines
    "num_nodes": _is("cluster.nodes"),
    "nnodes": _is("cluster.nodes"),
    "num_machines": _is("cluster.nodes"),
    "num_gpus": _is("cluster.devices_per_node"),
    "nproc_per_node": _is("cluster.devices_per_node"),
    "num_processes": "say how many per machine: `cluster.devices_per_node`",
    "world_size": "it follows from `cluster.nodes` x `cluster.devices_per_node`",
    "data_parallel_size": "it follows from the devices and the other axes of `parallel`",
}
