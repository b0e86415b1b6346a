"""Codes about batches, learning rates, schedules, stages and what is measured of them."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["BATCH_CODES"]

BATCH_CODES: dict[str, CodeInfo] = {
    "warmup-conventions-differ": CodeInfo(
        "the batch is not the reference batch, and publications differ on what a warmup then keeps",
        "write schedule.warmup_keeps: samples, tokens, steps, or unit for as written",
    ),
    "rescale-without-reference": CodeInfo(
        "betas or weight decay are to follow the batch, and what they were tuned with is not written",
        "write the reference batch and its learning rate, or the values of this batch",
    ),
    "rescaled-too-far": CodeInfo(
        "a beta would be 0 or less: the rule that rescales it ends below 1 / (1 - beta1) times the reference batch",
        "use a smaller batch, a larger reference, or betas: token-half-life",
    ),
    "sde-without-sqrt": CodeInfo(
        "betas follow Adam's square-root rule and the learning rate follows another one",
        "write optimizer.scaling: sqrt, or leave rescale.betas out",
    ),
    "scaling-saturates": CodeInfo(
        "the published runs like this one are better described by a rule that levels off at a critical batch",
        "write optimizer.scaling: {rule: saturating, critical_batch_tokens: auto}, or leave it",
    ),
    "dataset-of-one-length": CodeInfo(
        "stages change the sequence length, and run.steps was given a dataset of one length",
        "give it a function of the length",
    ),
    "state-pins-samples": CodeInfo(
        "a recurrent model carries its state from step to step, so each slot of the batch reads consecutive samples",
        "nothing to do; resume on the same micro-batch and number of ranks",
    ),
    "state-needs-one-batch": CodeInfo(
        "carried state belongs to one slot of one batch, and stages change the batch",
        "train without stages, or without model.carry_state",
    ),
    "state-needs-whole-epochs": CodeInfo(
        "with carried state an epoch has to be a whole number of steps",
        "write the data.num_samples of the hint",
    ),
    # stages
    "bad-ramp": CodeInfo(
        "a step schedule or a ramp of three numbers that Megatron would not take either",
        "begin a step schedule at 0, and let increments end at global_batch_size",
    ),
    "stage-without-end": CodeInfo(
        "a stage that is not the last one does not say where it ends", "write until: 250B tokens"
    ),
    "stages-out-of-order": CodeInfo(
        "a stage ends before the one in front of it; marks count from the start of the run",
        "put the stages in order",
    ),
    "stage-holds-no-step": CodeInfo(
        "the step with which the stage before it ends is already at or past the stage's own end",
        "drop the stage, or end it later",
    ),
    # schedules that another stack owns
    "schedule-owner": CodeInfo(
        "the scheduler named by schedule.owner does not exist here, or not together with another key",
        "write one of the owners of the hint",
    ),
    "schedule-not-drawn": CodeInfo(
        "the scheduler named by schedule.owner has no curve of the shape asked for",
        "write one of the owners of the hint; the runtime draws every schedule",
    ),
    "schedule-differs": CodeInfo(
        "simulated step by step, the scheduler named by schedule.owner draws another curve than the one asked for",
        "leave schedule.arguments out, or write one of the owners of the hint",
    ),
    "schedule-argument": CodeInfo(
        "schedule.arguments, or launch.native.deepspeed.scheduler, gives a scheduler what it cannot take",
        "leave it out: the plan fills it in",
    ),
    "schedule-steps": CodeInfo(
        "the script is handed optimizer steps for a schedule that Accelerate advances once per process",
        "use {scheduler_warmup_steps} and {scheduler_total_steps}, or multiply in the script",
    ),
    # gradient noise
    "noise-not-measurable": CodeInfo(
        "the gradient noise scale cannot be measured in the way that was asked for",
        "write gradient_noise: auto, which measures where it can",
    ),
    "noise-not-measured": CodeInfo(
        "the ranks' strategy keeps the gradients out of reach, so the gradient noise scale is not measured",
        "nothing to do; DDP and ZeRO 0 to 2 can be measured",
    ),
    # advice
    "neither-recipe-nor-run": CodeInfo(
        "what is to be advised on is neither a recipe nor the folder of a run",
        "name a YAML file, or the folder that `batchwright run` printed",
    ),
    "last-stage-ends": CodeInfo(
        "the last stage has an end that is not the end of the run",
        "drop its until, or make it the length of the run",
    ),
    "stage-not-reached": CodeInfo(
        "the run is over before a stage begins", "train longer, or drop the stages that are not reached"
    ),
    "batch-of-no-stage": CodeInfo(
        "every stage has another batch than the one at the top, for which the learning rate's peak is meant",
        "write the batch of the longest stage at the top, if that was meant",
    ),
    "stages-keep-the-rate": CodeInfo(
        "a written learning rate does not follow the batch from stage to stage, as in published ramps",
        "nothing; or write reference_learning_rate with its batch",
    ),
    "stages-scale-the-rate": CodeInfo(
        "the learning rate of each stage follows its batch by the recipe's rule",
        "nothing; or write learning_rate to keep it",
    ),
    "clock-ignores-length": CodeInfo(
        "the learning rate goes by samples although stages change their length", "drop schedule.clock"
    ),
    "two-ramps": CodeInfo(
        "batch and sequence length grow in one run, so that the first steps hold few tokens",
        "grow one of them",
    ),
    "lengths-need-one-stream": CodeInfo(
        "stages change the sequence length of data that are not one row of tokens",
        "pack the data, or train each length by a recipe of its own",
    ),
    "lengths-out-of-step": CodeInfo(
        "stages read the data in pieces of their longest sequence, and another length does not divide it",
        "use lengths that divide the longest",
    ),
    "placeholder-of-one-batch": CodeInfo(
        "an argument of the script is filled in once, and stages change the number",
        "let the script read step.batch",
    ),
    "interval-of-one-batch": CodeInfo(
        "an interval in samples, tokens or epochs becomes steps of one batch, and stages have others",
        "write the interval in steps",
    ),
    "stages-need-the-runtime": CodeInfo(
        "nothing but the runtime can change the batch, the sequence length or the rate of a job that runs",
        "use launcher.runtime in the script, and write launch.runtime: true; for a script that changes them itself, as "
        "Megatron's, write launch.script_applies: [stages]",
    ),
    "stages-need-data-parallel": CodeInfo(
        "the runtime changes the batch of data-parallel ranks only",
        "use parallel.data alone, one run per stage, or launch.script_applies: [stages] for a script that changes them",
    ),
    "stage-needs-a-restart": CodeInfo(
        "a stage changes what a running job cannot change: machines, layout, recomputation, engine and the like",
        "batchwright run goes from part to part; elsewhere name the part with --stage N",
    ),
    "stage-changes-the-training": CodeInfo(
        "a stage would change what training means (model, data, optimizer, schedule, precision, loss, seed) or which "
        "script and executor carry it out",
        "write it for the whole run, or train a recipe of its own from these parameters",
    ),
    "checkpoint-of-another-layout": CodeInfo(
        "a stage goes on from a checkpoint that DeepSpeed cannot read on the stage's own layout",
        "let the script save whole states, or convert the checkpoint with DeepSpeed's ds_to_universal.py",
    ),
    "part-needs-its-checkpoint": CodeInfo(
        "a part of a run in stages begins where the part before it ended, and there is no checkpoint of that step",
        "save at step.is_last, and resume with --resume RUN",
    ),
    "split-dependent": CodeInfo(
        "a layer or loss looks at the other samples of a micro-batch, or dropout draws masks by it: another "
        "micro-batch or number of ranks trains something else, and is part of the semantics hash",
        "write micro_batch_size, so that other machines keep it; the page on batch-coupled layers says what each sees",
    ),
    "batch-norm-too-small": CodeInfo(
        "batch norm would take its statistics over one sample",
        "a larger micro-batch, SyncBatchNorm, group norm or frozen statistics",
    ),
    "batch-norm-small": CodeInfo(
        "batch norm takes its statistics over few samples: below 16 they are noisy, below 8 accuracy falls by percents",
        "a larger micro-batch, SyncBatchNorm, group norm or frozen statistics",
    ),
    "batch-norm-accumulates": CodeInfo(
        "batch norm sees one micro-batch at a time, and updates its running averages in every forward pass",
        "set its momentum to the number named, or use a norm that sees one sample",
    ),
    "stages-change-the-model": CodeInfo(
        "the micro-batch of a batch-coupled model changes from stage to stage, so that each trains another model",
        "write one micro_batch_size for all stages",
    ),
    "sync-batch-norm-needs-gpu": CodeInfo(
        "torch's SyncBatchNorm has no kernels for CPU ranks", "group norm, or batch norm of each rank"
    ),
    "unknown-coupling": CodeInfo(
        "a word of model.batch_coupled that the plan knows nothing of",
        "use one of the words listed, where it is one of them; else nothing",
    ),
    "coupling-unstated": CodeInfo(
        "a mixture of experts is mostly trained with a balancing loss, which sees one micro-batch at a time",
        "write model.batch_coupled: [moe_auxiliary] where the script has one",
    ),
    "on-policy-batch": CodeInfo(
        "with reinforcement learning the plan's batch is the minibatch of one optimizer step",
        "nothing, or the key of the hint; the page on reinforcement learning says more",
    ),
    "odd-dimension": CodeInfo(
        "a dimension is no multiple of the group of numbers that Tensor Cores load",
        "the nearest larger multiple, where the model is not trained yet",
    ),
    "idle-multiprocessors": CodeInfo(
        "a large share of the device idles in the last wave of the largest matrix product",
        "another micro-batch; smaller tiles may hide some of it",
    ),
    "stage-ends-inside-a-sequence": CodeInfo(
        "the next stage has longer sequences, and no step of this one ends where one of them begins",
        "use another batch in the stage, or move the mark before it",
    ),
}
