"""What Kubernetes cannot do for a plan, and what of a site's manifest contradicts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.errors import Problem
from launcher.executors.formats.kubernetes_jobs import (
    KINDS,
    is_train_job,
    job,
    site_container,
    site_pod,
)
from launcher.executors.formats.merging import ABSENT, Conflict
from launcher.executors.formats.pods import FOLDER, SHARED_MEMORY, mounts_of
from launcher.spec.plan import LaunchPlan, RunPlan

__all__ = ["cannot", "kubernetes_limits"]

_TEMPLATE = "launch.template"
_PULLING = 300
"""Seconds that an image of PyTorch takes to arrive: about 10 GB at some 50 MB/s, and its unpacking."""


def kubernetes_limits(plan: RunPlan) -> tuple[Problem, ...]:
    """Everything of the plan that no pod can be asked for."""
    return (*_places(plan), *_patience(plan), *_image(plan), *_mounts(plan), *_template(plan))


def cannot(path: str, message: str, *because: str, hint: str) -> Problem:
    """A problem [executor-cannot]."""
    return Problem(code="executor-cannot", path=path, message=message, because=because, hint=hint)


def _places(plan: RunPlan) -> Iterator[Problem]:
    launch, layout = plan.launch, plan.layout
    if launch.hosts:
        message = "`cluster.hostfile` with `launch.executor: kubernetes`: pods get names of their own"
        yield cannot("cluster.hostfile", message, hint="write cluster.nodes, and drop the hostfile")
    if layout.num_nodes > 1 and launch.main_address != "auto":
        message = (
            f"`main_address: {launch.main_address}` with `launch.executor: kubernetes`: nodes meet at pod 0"
        )
        yield cannot("launch.network.main_address", message, hint="drop launch.network.main_address")
    if layout.devices is not None and layout.device_kind != "cpu":
        message = "`cluster.devices` with `launch.executor: kubernetes`: the device plugin chooses devices"
        yield cannot("cluster.devices", message, hint=f"write devices_per_node: {layout.devices_per_node}")


def _patience(plan: RunPlan) -> Iterator[Problem]:
    """Pods come when there is room for them and their image is pulled; the first one must wait for the last."""
    seconds = plan.launch.handshake_seconds
    if plan.layout.num_nodes > 1 and seconds < _PULLING:
        yield Problem(
            code="short-handshake",
            severity="warning",
            path="launch.timeouts.handshake",
            message=f"pods wait {seconds:g} s for one another, and some may still pull their image or wait for a node",
            hint="write `timeouts: {handshake: 15 min}` under launch",
        )


def _image(plan: RunPlan) -> Iterator[Problem]:
    container = plan.launch.container
    if container is not None and container.runtime != "docker":
        message = (
            f"`runtime: {container.runtime}` with `launch.executor: kubernetes`, which starts images itself"
        )
        yield cannot("launch.container.runtime", message, hint="drop launch.container.runtime")
    if container is None and not is_train_job(plan) and not site_container(plan).get("image"):
        yield Problem(
            code="missing-image",
            path="launch.container.image",
            message="`launch.executor: kubernetes` starts an image, and none is named",
            hint="write `container: {image: registry.example/train:1}` under launch, with batchwright installed in it",
        )


def _mounts(plan: RunPlan) -> Iterator[Problem]:
    seen = {FOLDER, SHARED_MEMORY}
    written = plan.launch.container.mounts if plan.launch.container else ()
    for at, (mount, text) in enumerate(zip(mounts_of(plan), written, strict=True)):
        path = f"launch.container.mounts.{at}"
        if mount is None:
            message = (
                f"`{text}`: expected `CLAIM:/path` or `/host/folder:/path`, with `:ro` where it is only read"
            )
            yield cannot(path, message, hint="name a PersistentVolumeClaim, or a folder that every host has")
        elif mount.path in seen:
            message = f"`{text}`: something else is mounted at {mount.path}"
            yield cannot(path, message, hint="choose another path in the container")
        else:
            seen.add(mount.path)


def _template(plan: RunPlan) -> Iterator[Problem]:
    template = plan.launch.template
    if template is None or template.manifest is None:
        return
    kind = template.manifest.get("kind")
    if kind not in KINDS:
        yield Problem(
            code="template-conflict",
            path=_TEMPLATE,
            message=f"`{template.name}` is {f'of kind {kind}' if kind else 'of no kind'}; "
            f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}",
            hint="give it a `kind: Job`, or the kind of the site's own jobs",
        )
        return
    conflicts = [
        *job(plan, pods=None)[1],
        *_own_variables(plan.launch, site_container(plan)),
        *_short_grace(plan),
    ]
    for conflict in conflicts:
        yield _conflict(template.name, conflict)


def _short_grace(plan: RunPlan) -> Iterator[Conflict]:
    """A kubelet that kills before the job's own grace is over."""
    written = site_pod(plan).get("terminationGracePeriodSeconds")
    if isinstance(written, int) and written < plan.launch.grace_seconds:
        wanted = f"at least {plan.launch.grace_seconds:g} (launch.timeouts.grace)"
        yield Conflict("terminationGracePeriodSeconds", written, wanted)


def _own_variables(launch: LaunchPlan, container: Mapping[str, Any]) -> Iterator[Conflict]:
    """Variables that recipe and site both set, whatever the values."""
    ours = {*launch.env, "BATCHWRIGHT_MAIN_ADDRESS", "BATCHWRIGHT_MAIN_PORT"}
    entries = container.get("env")
    for entry in entries if isinstance(entries, list | tuple) else ():
        if isinstance(entry, Mapping) and entry.get("name") in ours:
            value = entry.get("value", "a reference")
            yield Conflict(f"env[{entry['name']}]", value, launch.env.get(entry["name"], "pod 0"))


def _conflict(name: str, conflict: Conflict) -> Problem:
    if conflict.path.endswith("metadata.name"):
        ours, hint = "a name for each run", "leave the name out"
    elif conflict.ours is ABSENT:
        ours, hint = (
            "nothing there",
            "leave the field out: a pod that is started again cannot join the others",
        )
        if conflict.path.endswith(".args"):
            hint = "leave the field out: the plan says what is started"
    else:
        ours, hint = _shown(conflict.ours), "leave the field out, or change the recipe"
    return Problem(
        code="template-conflict",
        path=_TEMPLATE,
        message=f"`{conflict.path}: {_shown(conflict.site)}` in {name}; the plan sets {ours}",
        hint=hint,
    )


def _shown(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
