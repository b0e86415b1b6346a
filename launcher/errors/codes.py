"""Every code a problem may carry, with its meaning and its cure; docs/reference/errors.md is printed from here."""

from __future__ import annotations

from launcher.errors.batch_codes import BATCH_CODES
from launcher.errors.code_info import CodeInfo
from launcher.errors.host_codes import HOST_CODES
from launcher.errors.job_codes import JOB_CODES
from launcher.errors.memory_codes import MEASURING_CODES, MEMORY_CODES
from launcher.errors.recipe_codes import RECIPE_CODES

__all__ = ["CODES", "CodeInfo"]


CODES: dict[str, CodeInfo] = {
    # reading a file
    "file-not-found": CodeInfo(
        "the recipe or a file it names does not exist or cannot be read", "check the path"
    ),
    "not-utf8": CodeInfo("the file is not UTF-8 text", "save it as UTF-8"),
    "yaml-syntax": CodeInfo(
        "the file is not YAML", "the place named is where the reader gave up; look at the line above too"
    ),
    "empty-recipe": CodeInfo("the file holds no keys", "start with the three numbers"),
    "several-documents": CodeInfo("the file holds more than one YAML document", "keep one recipe per file"),
    "not-a-mapping": CodeInfo(
        "keys were expected and something else stands there", "write `key: value` lines"
    ),
    "duplicate-key": CodeInfo(
        "a key stands twice in one mapping; YAML readers keep one of them without a word", "delete one"
    ),
    "unknown-key": CodeInfo(
        "the key is not part of a recipe", "the hint names the nearest key; the reference lists all"
    ),
    "missing-key": CodeInfo("a key that cannot be derived is absent", "write it"),
    "wrong-type": CodeInfo("the value is of another type than the key takes", "write it as the message says"),
    "bad-choice": CodeInfo("the value is not one of the words the key takes", "use one of the words listed"),
    "bad-unit": CodeInfo(
        "a number without its unit, with an unknown unit, or with one that makes no sense here",
        "write number and unit, `2000 steps`",
    ),
    "out-of-range": CodeInfo(
        "the number is outside what the key can mean", "use a number in the range named"
    ),
    "leading-zero": CodeInfo(
        "a number with a leading zero is octal to one reader and decimal to the next",
        "drop the zero, or quote it to mean text",
    ),
    "not-finite": CodeInfo("infinity and not-a-number are no settings", "write a finite number"),
    "yaml-tag": CodeInfo(
        "YAML tags, anchors and aliases are not read: a recipe is complete in itself", "write the value out"
    ),
    "schema-too-new": CodeInfo(
        "the recipe is written for a schema this version does not know",
        "upgrade batchwright, or write `schema: 1`",
    ),
    "bad-override": CodeInfo(
        "a `--set` is not of the form path=value, or names no key of a recipe",
        "write --set optimizer.learning_rate=3e-4",
    ),
    "cluster-not-found": CodeInfo(
        "no cluster file has that name",
        "write the path of the file, put it under recipes/clusters/, or use a name of `batchwright recipes clusters`",
    ),
    "unknown-preset": CodeInfo(
        "the catalog has no model of that name", "use one of the names, or write the dimensions"
    ),
    "bad-config": CodeInfo(
        "the file is no Hugging Face configuration of a model whose dimensions can be read",
        "name a config.json of a supported model_type, or write the dimensions",
    ),
    # what is asked contradicts itself
    "ambiguous-batch": CodeInfo("a batch is written in sequences and in tokens", "keep one"),
    "ambiguous-learning-rate": CodeInfo(
        "both learning_rate and reference_learning_rate are written",
        "keep one: the first is applied as written, the second is scaled",
    ),
    "ambiguous-data-size": CodeInfo("both data.num_tokens and data.num_samples are written", "keep one"),
    "ambiguous-model": CodeInfo("a preset, a config file and a module exclude one another", "keep one"),
    "ambiguous-script": CodeInfo("both launch.script and launch.module are written", "keep one"),
    "ambiguous-devices": CodeInfo(
        "cluster.devices_per_node and cluster.devices say different numbers, or a device is listed twice",
        "keep one",
    ),
    "missing-reference-batch": CodeInfo(
        "a reference learning rate is only a number together with the batch it was tuned at",
        "write optimizer.reference_batch_size, or use learning_rate",
    ),
    "missing-scaling-parameter": CodeInfo(
        "the scaling rule needs a number that is not written", "write it under optimizer.scaling"
    ),
    "schedule-needs-length": CodeInfo(
        "a decay or a share of the run needs to know how long the run is",
        "write schedule.length, or data.num_tokens",
    ),
    "schedule-needs-decay-length": CodeInfo(
        "a warmup-stable-decay schedule needs the length of its decay, an inverse square root without a warmup its "
        "time scale",
        "write schedule.decay_length",
    ),
    "schedule-needs-decay-at": CodeInfo(
        "a decay in steps needs the places where the rate falls",
        "write schedule.decay_at: [30 epochs, 60 epochs, 80 epochs]",
    ),
    "decay-marks": CodeInfo(
        "the marks of a decay are out of order or inside the warmup, or their factors are not as many",
        "write the marks in order behind the warmup, and one factor for all or one for each",
    ),
    "decay-ends-early": CodeInfo(
        "the decay is to end where it has not begun", "write a later schedule.decay_ends"
    ),
    "decay-behind-the-run": CodeInfo(
        "the run ends before its decay begins, or before a mark of it",
        "nothing, if a short run is meant; else write a longer schedule.length",
    ),
    "decay-longer-than-run": CodeInfo(
        "the decay starts before the warmup has ended", "shorten the decay or the warmup"
    ),
    "epochs-need-data-size": CodeInfo(
        "an epoch is only a length when the number of samples is known", "write data.num_samples"
    ),
    "tokens-need-sequence-length": CodeInfo(
        "tokens become samples through the sequence length, which is absent",
        "write sequence_length, or use samples",
    ),
    "warmup-longer-than-run": CodeInfo(
        "the peak learning rate is never reached", "shorten schedule.warmup if that is not meant"
    ),
    # the batch
    "batch-not-divisible": CodeInfo(
        "the global batch cannot be cut into equal parts",
        "take one of the alternatives, or launch.runtime: true",
    ),
    "batch-triad-mismatch": CodeInfo(
        "micro-batch, accumulation and ranks are written and do not multiply to the global batch",
        "drop one of them",
    ),
    "batch-tokens-not-whole": CodeInfo(
        "global_batch_tokens is not a whole number of sequences", "use one of the exact values named"
    ),
    "batch-larger-than-data": CodeInfo(
        "one step needs more samples than an epoch holds", "a smaller batch, or more data"
    ),
    "poor-micro-batch": CodeInfo(
        "the plan is legal, but the micro-batch is 1 because the share of a rank is prime",
        "take a batch with more divisors",
    ),
    "idle-slots": CodeInfo(
        "some slots of the last micro-batches hold no sequence; they weigh nothing",
        "take the nearest exact batch if the cost matters",
    ),
    # the model and its layout
    "width-not-divisible": CodeInfo(
        "depth and heads cannot be derived from this width",
        "write model.num_layers and model.num_attention_heads",
    ),
    "heads-not-dividing": CodeInfo(
        "the heads do not divide what they must", "choose a number of heads that divides"
    ),
    "parallel-not-dividing": CodeInfo(
        "tensor x pipeline x context does not divide the ranks",
        "choose axes whose product divides the world size",
    ),
    "script-must-apply": CodeInfo(
        "only the script could do this and it does not say so; ignored, it would multiply the batch",
        "write the axis into launch.script_applies once the script does it",
    ),
    "unknown-device": CodeInfo("the device is not in the catalog", "use a catalog name"),
    **MEMORY_CODES,
    # engines
    "unknown-engine": CodeInfo(
        "no installed package registers that engine", "`batchwright engines` lists them"
    ),
    "unknown-executor": CodeInfo("no installed package registers that executor", "use local"),
    "engine-clash": CodeInfo("two installed packages register the same engine name", "uninstall one of them"),
    "engine-broken": CodeInfo("the engine's package cannot be imported", "the message is the import's own"),
    "engine-cannot": CodeInfo(
        "the engine cannot express what the plan asks", "choose another engine or strategy"
    ),
    "missing-script": CodeInfo("there is nothing to launch", "write launch.script or launch.module"),
    "unknown-placeholder": CodeInfo(
        "no such placeholder", "the hint names the nearest; write {{ for a brace"
    ),
    "unbalanced-brace": CodeInfo(
        "a brace that neither opens nor closes a placeholder", "write {{ or }} for a brace"
    ),
    "placeholder-unset": CodeInfo("the placeholder has no value in this plan", "write the key it comes from"),
    "native-owns-key": CodeInfo(
        "launch.native sets a key that the plan owns", "set it in the recipe instead"
    ),
    "rendered-differs": CodeInfo(
        "a rendered file, read back, does not say what the plan says", "a bug of the engine; please report it"
    ),
    # acting
    "script-not-found": CodeInfo(
        "the training script does not exist",
        "paths are taken from launch.workdir, which is taken from the recipe's folder",
    ),
    "workdir-not-found": CodeInfo("launch.workdir is not a folder", "it is taken from the recipe's folder"),
    "executable-not-found": CodeInfo(
        "the engine's command is not installed", "pip install 'batchwright[train]'"
    ),
    "pass-env-missing": CodeInfo(
        "a variable named in launch.pass_env is not set", "export it, or drop it from the list"
    ),
    "port-in-use": CodeInfo(
        "something else listens on launch.network.port, or nobody may", "drop the key; a free port is chosen"
    ),
    "directory-not-empty": CodeInfo("the folder to write to holds something else", "name a new folder"),
    "no-compiler": CodeInfo(
        "DeepSpeed on CPU builds a small operator at its first start and finds no C++ compiler",
        "install g++, or use launch.engine: torchrun",
    ),
    **MEASURING_CODES,
    **JOB_CODES,
    **BATCH_CODES,
    **RECIPE_CODES,
    **HOST_CODES,
    # inside the job
    "plan-not-found": CodeInfo(
        "the script uses launcher.runtime and was started without a plan",
        "start it with batchwright run, or by the command that batchwright render prints",
    ),
    "plan-unreadable": CodeInfo("the plan file is damaged or from another version", "render it again"),
    "world-differs": CodeInfo(
        "the ranks that train are not the ranks that were planned", "the message names planned and found"
    ),
    "samples-differ": CodeInfo(
        "an optimizer step consumes another number of samples than planned",
        "make the script use {micro_batch_size} and {gradient_accumulation_steps}",
    ),
    "learning-rate-differs": CodeInfo(
        "the optimizer's learning rate is not the plan's",
        "make the script use {peak_learning_rate} and {warmup_steps}",
    ),
    "learning-rate-scaled-twice": CodeInfo(
        "the script has multiplied the planned rate once more: by the plan's own factor, or by the number of processes",
        "build the optimizer with the planned peak, and multiply it by nothing",
    ),
    "gradients-not-reduced": CodeInfo(
        "several ranks train and nothing averages their gradients",
        "wrap the model in DistributedDataParallel or an engine",
    ),
    "shadowed-launcher": CodeInfo(
        "the script wants launcher.runtime and a file of its own folder has that name",
        "rename the file, or leave the runtime out",
    ),
    "idle-weight-unused": CodeInfo(
        "a micro-batch has idle slots and its loss does not leave them out",
        "give backward one loss per sequence, or multiply by micro.weight",
    ),
    "loss-weights-unknown": CodeInfo(
        "the loss is weighted by tokens and nothing says how many loss tokens a sample has",
        "give run.steps(..., weight=...)",
    ),
    "loop-misused": CodeInfo(
        "the training loop calls the runtime out of order, or with a loss of another shape than it takes",
        "every micro-batch goes through run.backward once, every step ends with run.apply",
    ),
    "resume-differs": CodeInfo(
        "the checkpoint was written by a training that means something else", "resume with its own recipe"
    ),
    "dataset-too-small": CodeInfo(
        "the dataset holds fewer samples than the plan counts on", "write data.num_samples as it is"
    ),
}
