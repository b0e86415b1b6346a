"""Codes about hosts, sites and running jobs."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["JOB_CODES"]

JOB_CODES: dict[str, CodeInfo] = {
    # a recipe's other files
    "hostfile-unreadable": CodeInfo(
        "the hostfile does not exist or is no text", "the path is taken from the recipe's folder"
    ),
    "hostfile-syntax": CodeInfo(
        "a line of the hostfile is not `name slots=N`, or the file names no host",
        "one host a line; `#` starts a comment",
    ),
    "hostfile-duplicate": CodeInfo("a host stands twice in the hostfile", "delete one of the two"),
    "hostfile-slots": CodeInfo(
        "a host of the hostfile has fewer slots than the plan has devices on a node, or slots differ and nothing "
        "says how many count",
        "write cluster.devices_per_node, or leave the host out",
    ),
    "hostfile-too-short": CodeInfo(
        "the hostfile names fewer hosts than the recipe has nodes", "add hosts, or use fewer nodes"
    ),
    "template-unreadable": CodeInfo(
        "launch.template does not exist, is no text, or is no manifest where Kubernetes starts the job",
        "the path is taken from the recipe's folder; a manifest is one YAML document",
    ),
    # this machine
    "machine-differs": CodeInfo(
        "the plan is for another machine than this one, where `launch.executor: local` would start it",
        "nothing, when it is to be started elsewhere; batchwright run checks again",
    ),
    # executors
    "executor-cannot": CodeInfo(
        "the executor cannot carry out what the recipe asks", "the message says which key, and why"
    ),
    "restart-without-resume": CodeInfo(
        "a job is to be started again and nothing tells the script to go on where it was",
        "write resume.args",
    ),
    "scheduler-line": CodeInfo(
        "a line for Slurm cannot stand in a script, or sets what another key of the recipe sets",
        "one option a line in launch.slurm.extra; the hint names the key",
    ),
    "template-without-mark": CodeInfo(
        "nothing in the site's batch script says where the training starts",
        "a bash script with the line #BATCHWRIGHT",
    ),
    "allocation-differs": CodeInfo(
        "the Slurm job that we are in has fewer nodes, or less on a node, than the plan",
        "salloc what the plan needs, or unset SLURM_JOB_ID to submit a job of its own",
    ),
    "allocation-unreadable": CodeInfo(
        "SLURM_JOB_ID is set and the variables beside it are none of Slurm's", "unset SLURM_JOB_ID"
    ),
    "no-hostfile": CodeInfo(
        "several nodes are to be reached over ssh and nothing names them",
        "write cluster.hostfile; without it each node would train alone",
    ),
    "missing-image": CodeInfo(
        "Kubernetes starts images and nobody names one",
        "write launch.container.image, or let launch.template name it",
    ),
    "short-handshake": CodeInfo(
        "pods of one job start minutes apart where images are pulled or nodes are busy, and the first gives up",
        "write launch.timeouts.handshake: 15 min, or have the job queued as a whole (Kueue)",
    ),
    "template-conflict": CodeInfo(
        "the site's job file sets a field or an option to something else than the plan, which owns it",
        "leave the field out of launch.template",
    ),
    # while it trains
    "loss-not-finite": CodeInfo(
        "the loss has been nan or infinite for several steps, or the parameters were about to be saved "
        "after such a step",
        "go on from the checkpoint that the message names, past the samples that did it or at a lower rate",
    ),
    "steps-skipped": CodeInfo(
        "a loss scaler has left out many optimizer steps in a row: gradients overflow at any scale",
        "use precision: bf16, or find the values that fp16 cannot hold",
    ),
    # a run that is over, or was never one
    "checkpoint-not-found": CodeInfo(
        "a job is to go on from the checkpoint of another one, and that left none",
        "let the script save to checkpoint.directory at its last step",
    ),
    "run-not-found": CodeInfo("the folder is not one that `batchwright run` wrote", "name a run's folder"),
    # the nodes of a job meet
    "node-number": CodeInfo(
        "a node does not know which one it is, or two say that they are the same one",
        "start one node program on each host, by the rendered command",
    ),
    "node-papers": CodeInfo(
        "the run folder is not there, or not whole, on one of the nodes",
        "share the folder between the nodes, or let batchwright copy it",
    ),
    "nodes-absent": CodeInfo(
        "nodes did not come to the main node within timeouts.handshake; nothing was started",
        "see what those nodes printed; `batchwright doctor` checks the way",
    ),
    "main-unreachable": CodeInfo(
        "a node cannot connect to the main node: refused, no answer, or a name that it does not know",
        "write launch.network.main_address and launch.network.port, or open the port",
    ),
    "main-is-loopback": CodeInfo(
        "on another node the main address stands for that node itself",
        "write an address that every node reaches into launch.network.main_address",
    ),
    "other-launch": CodeInfo(
        "the port of the main node belongs to another launch", "end that one, or choose another port"
    ),
    "nodes-differ": CodeInfo(
        "two nodes have different plans or versions, or one has fewer devices than the plan wants",
        "make them the same: the message names both",
    ),
    "host-lost": CodeInfo("a node went away before the job was started", "see what it printed"),
}
