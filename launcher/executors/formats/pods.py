"""What a pod of the job holds: its command, environment, devices and volumes.

The run folder is an empty volume; the files that the plan comes to lie in it as single read-only mounts of one
ConfigMap, so that nothing has to be copied and no shell has to be in the image.

Kubernetes replaces `$(NAME)` in commands and in values of variables, and reads `$$` as `$`: every `$` is doubled.
Source: kubernetes@v1.34 third_party/forked/golang/expansion/expand.go:Expand.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from launcher.executors.formats.site import setup_script
from launcher.spec.bundle import LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = [
    "CLAIM",
    "DEVICES",
    "FOLDER",
    "SECRET",
    "SHARED_MEMORY",
    "Mount",
    "command",
    "config_volume",
    "environment",
    "mounts_of",
    "resources",
    "volume_mounts",
    "volumes",
]

FOLDER = "/run/batchwright"
"""The run folder inside a pod."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a mount of the pod
"""A container's own has 64 MiB; NCCL and data loaders of PyTorch need more."""
SECRET = "batchwright-env"  # noqa: S105 - its name
"""The Secret whose keys are the variables of launch.pass_env."""
DEVICES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu", "hpu": "habana.ai/gaudi"}
"""What device plugins call their devices."""
CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""Name of a PersistentVolumeClaim."""

_RUN, _PLAN, _SHM = "batchwright-run", "batchwright-plan", "batchwright-shm"
_MAIN_PORT = "BATCHWRIGHT_MAIN_PORT"
_MAIN_ADDRESS = "BATCHWRIGHT_MAIN_ADDRESS"


class Mount(NamedTuple):
    """One entry of launch.container.mounts: `claim:/path` or `/host:/path`, with `:ro` where it is only read."""

    source: str
    path: str
    read_only: bool

    @property
    def is_claim(self) -> bool:
        """Whether the source is a PersistentVolumeClaim and no folder of the host."""
        return not self.source.startswith("/")


def mounts_of(plan: RunPlan) -> tuple[Mount | None, ...]:
    """The recipe's mounts in their order; None for one that is none."""
    return tuple(_mount(text) for text in (plan.launch.container.mounts if plan.launch.container else ()))


def _mount(text: str) -> Mount | None:
    parts = text.split(":")
    read_only = parts[-1] in {"ro", "rw"} and len(parts) == 3
    if len(parts) != (3 if read_only else 2) or not posixpath.isabs(parts[1]):
        return None
    source, path = parts[0], posixpath.normpath(parts[1])
    if not (posixpath.isabs(source) or (CLAIM.fullmatch(source) and len(source) < 254)):
        return None
    return Mount(source, path, parts[-1] == "ro")


def command(plan: RunPlan) -> list[str]:
    """What the container starts: the node program, in one login shell with the site's commands where there are any."""
    launch = plan.launch
    python = posixpath.join(launch.workdir, launch.python) if "/" in launch.python else launch.python
    shell = ("bash", "-lc", setup_script(launch.setup), python) if launch.setup else ()
    return [_doubled(word) for word in (*shell, python, "-m", "batchwright_node", FOLDER)]


def environment(plan: RunPlan, pods: LaunchBundle | None, given: Sequence[str]) -> list[dict[str, Any]]:
    """Variables of the container: where the nodes meet, launch.env as it is filled, launch.pass_env by reference.

    pods: the bundle as it lies in a pod; None while it is not rendered. given: names that the site's own manifest sets.
    """
    found = {}
    if pods is not None:
        rendered = pods.nodes[0].env
        found = {_MAIN_ADDRESS: pods.hosts[0], _MAIN_PORT: str(pods.main_port)}
        found |= {name: rendered[name] for name in plan.launch.env}
    passed = [name for name in plan.launch.pass_env if name not in given]
    return [
        *({"name": name, "value": _doubled(value)} for name, value in found.items()),
        *({"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}} for name in passed),
    ]


def resources(plan: RunPlan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Devices of a pod; cores on CPU. given: what the site's manifest asks for, maybe under a name of its own."""
    layout = plan.layout
    if layout.device_kind == "cpu":
        cores = layout.devices_per_node * plan.launch.threads_per_process
        return {} if given else {"requests": {"cpu": cores}}
    name = DEVICES[layout.device_kind]
    limits = given.get("limits")
    asked = [str(key) for key in limits] if isinstance(limits, Mapping) else []
    vendor = f"{name.partition('/')[0]}/"
    if given.get("claims") or any(key.startswith(vendor) and key != name for key in asked):
        return {}
    return {"limits": {name: layout.devices_per_node}}


def volume_mounts(plan: RunPlan, names: Sequence[str], taken: Sequence[str]) -> list[dict[str, Any]]:
    """Where the container sees its volumes. names: files of the ConfigMap. taken: paths that the site mounts itself."""
    found: list[dict[str, Any]] = [{"name": _RUN, "mountPath": FOLDER}]
    found += [
        {"name": _PLAN, "mountPath": f"{FOLDER}/{name}", "subPath": name, "readOnly": True} for name in names
    ]
    if SHARED_MEMORY not in taken:
        found.append({"name": _SHM, "mountPath": SHARED_MEMORY})
    for at, mount in enumerate(mounts_of(plan)):
        if mount is not None:
            entry = {"name": f"batchwright-mount-{at}", "mountPath": mount.path}
            found.append({**entry, "readOnly": True} if mount.read_only else entry)
    return found


def volumes(
    plan: RunPlan, *, config: str, names: Sequence[str], taken: Sequence[str]
) -> list[dict[str, Any]]:
    """The pod's volumes. config: name of the ConfigMap; names, taken: as for volume_mounts."""
    found: list[dict[str, Any]] = [{"name": _RUN, "emptyDir": {}}, config_volume(config, names)]
    if SHARED_MEMORY not in taken:
        found.append({"name": _SHM, "emptyDir": {"medium": "Memory"}})
    for at, mount in enumerate(mounts_of(plan)):
        if mount is not None:
            where = (
                {"persistentVolumeClaim": {"claimName": mount.source}}
                if mount.is_claim
                else {"hostPath": {"path": mount.source}}
            )
            found.append({"name": f"batchwright-mount-{at}", **where})
    return found


def config_volume(config: str, names: Sequence[str]) -> dict[str, Any]:
    """The ConfigMap's keys as files of their names."""
    items = [{"key": config_key(name), "path": name} for name in names]
    return {"name": _PLAN, "configMap": {"name": config, "items": items}}


def config_key(name: str) -> str:
    """A file's name as a key of a ConfigMap, which takes letters, digits, `-`, `_` and `.` only."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _doubled(text: str) -> str:
    return text.replace("$", "$$")
