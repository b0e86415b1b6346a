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
    # a run that is over, or was never one
    "run-not-found": CodeInfo("the folder is not one that `batchwright run` wrote", "name a run's folder"),
}
