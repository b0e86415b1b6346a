"""Two hosts and a Slurm cluster on this machine, made of namespaces: the real components for tests across nodes."""

from lab.laboratory import HOSTS, Lab, missing

__all__ = ["HOSTS", "Lab", "missing"]
