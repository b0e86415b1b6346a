"""Codes of hosts that are examined before a job starts on them."""

from __future__ import annotations

from launcher.errors.code_info import CodeInfo

__all__ = ["HOST_CODES"]

HOST_CODES: dict[str, CodeInfo] = {
    "host-unreachable": CodeInfo(
        "no shell of the host answers; the message holds ssh's own words",
        "try `ssh HOST true` by hand until it works without a question",
    ),
    "device-memory-busy": CodeInfo(
        "other processes hold so much of a device's memory that the plan does not fit beside them",
        "end them, or leave the device or the host out",
    ),
    "clock-differs": CodeInfo(
        "the clock of a host is seconds away from this machine's: logs of hosts do not line up, and files that are "
        "built on a shared file system look older or newer than they are",
        "let ntp or chrony set it",
    ),
    "disk-full": CodeInfo(
        "run folders lie on a file system with too little room",
        "make room, or start from a folder on another file system",
    ),
    "folder-not-writable": CodeInfo(
        "a host cannot make run folders where the job would have its own",
        "give the user of that host the right to write there, or start from another folder",
    ),
    "limit-too-low": CodeInfo(
        "a limit of the host is known to end jobs: open files, locked memory, or the size of /dev/shm",
        "raise it as the hint says",
    ),
    "check-unanswered": CodeInfo(
        "one check of a host found nothing out, or took longer than its time-out; the others count",
        "a file system that hangs is the usual reason: look at the host",
    ),
    "interface-not-found": CodeInfo(
        "launch.network.interface names a network interface that a host does not have",
        "write the one that `batchwright doctor` shows, or `auto`",
    ),
    "collective-failed": CodeInfo(
        "the short all-reduce did not end in time, ended with an error, or gave a wrong sum",
        "the message holds the first error; NCCL_DEBUG=INFO in launch.env tells more",
    ),
    "scheduler-refuses": CodeInfo(
        "Slurm or Kubernetes does not answer, or would not take the job; the message holds its own words",
        "correct what the words name: partition, account, quota, context",
    ),
}
