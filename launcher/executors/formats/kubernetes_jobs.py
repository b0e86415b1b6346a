"""The two forms of a job on Kubernetes: an Indexed Job, which needs no operator, and Kubeflow's TrainJob.

The whole job ends with its first pod that fails: a pod that was started again could not join ranks that have met.

Source: kubernetes.io/docs/concepts/workloads/controllers/job (completionMode, backoffLimit), .../services-networking/
dns-pod-service (hostname and subdomain of a pod); kubeflow/trainer@v2.3 pkg/apis/trainer/v1alpha1/trainjob_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.executors.formats.merging import ABSENT, Conflict, inside, merged
from launcher.executors.formats.pods import (
    command,
    config_key,
    environment,
    resources,
    volume_mounts,
    volumes,
)
from launcher.spec.bundle import RUN_ID, LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = [
    "KINDS",
    "LABEL",
    "config_map",
    "headless_service",
    "is_train_job",
    "job",
    "namespace_words",
    "pod_names",
    "site_container",
    "site_pod",
]

KINDS = ("Job", "Pod", "TrainJob")
"""What a site's manifest may be."""
LABEL = "batchwright-run"
"""On everything of a run; its value is the run's name."""
_MARGIN = 30
"""Seconds beyond launch.timeouts.grace until the kubelet kills a pod: the last records are written in them."""
_RUNTIME = "torch-distributed"
"""The runtime that Kubeflow's trainer brings for PyTorch; its job and its container are called `node`."""
_NODE = "node"


def is_train_job(plan: RunPlan) -> bool:
    """Whether the site's manifest asks for Kubeflow's form."""
    return _site(plan).get("kind") == "TrainJob"


def pod_names(plan: RunPlan) -> tuple[str, ...]:
    """DNS names of the pods by node number, inside the job's namespace."""
    middle = f"-{_NODE}-0" if is_train_job(plan) else ""
    return tuple(f"{RUN_ID}{middle}-{node}.{RUN_ID}" for node in range(plan.layout.num_nodes))


def site_pod(plan: RunPlan) -> Mapping[str, Any]:
    """What the site's manifest says of a pod; empty for a TrainJob, whose runtime says it."""
    site = _site(plan)
    found = inside(site, "spec") if site.get("kind") == "Pod" else inside(site, "spec", "template", "spec")
    return found if isinstance(found, Mapping) else {}


def site_container(plan: RunPlan) -> Mapping[str, Any]:
    """The first container of the site's manifest, which is the one that trains."""
    found = (
        inside(_site(plan), "spec", "trainer")
        if is_train_job(plan)
        else inside(site_pod(plan), "containers", 0)
    )
    return found if isinstance(found, Mapping) else {}


def job(plan: RunPlan, *, pods: LaunchBundle | None) -> tuple[dict[str, Any], tuple[Conflict, ...]]:
    """The job itself with the site's manifest in it, and where the two differ.

    pods: the bundle as it lies in a pod, with the files of the ConfigMap; None while it is not rendered.
    """
    names = () if pods is None else tuple(pods.files)
    ours = _train_job(plan, pods, names) if is_train_job(plan) else _indexed_job(plan, pods, names)
    site = _site(plan)
    if site.get("kind") == "Pod":
        site = _of_pod(site)
    result, conflicts = merged(site, ours)
    return result, conflicts


def namespace_words(plan: RunPlan) -> tuple[str, ...]:
    """Options of kubectl: the namespace that the site's manifest names."""
    namespace = inside(_site(plan), "metadata", "namespace")
    return ("--namespace", str(namespace)) if namespace else ()


def headless_service(plan: RunPlan) -> dict[str, Any]:
    """Gives each pod of an Indexed Job a name; also while it does not answer yet, since nodes look for one another."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(plan),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL: RUN_ID},
        },
    }


def config_map(plan: RunPlan, files: Mapping[str, str]) -> dict[str, Any]:
    """The plan and everything rendered from it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(plan),
        "immutable": True,
        "data": {config_key(name): text for name, text in files.items()},
    }


def _metadata(plan: RunPlan) -> dict[str, Any]:
    namespace = inside(_site(plan), "metadata", "namespace")
    placed = {"namespace": namespace} if namespace else {}
    return {"name": RUN_ID, **placed, "labels": {LABEL: RUN_ID}}


def _site(plan: RunPlan) -> Mapping[str, Any]:
    template = plan.launch.template
    return template.manifest if template is not None and template.manifest is not None else {}


def _of_pod(site: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a Job whose pods are like this one."""
    metadata = inside(site, "metadata")
    inner = {key: value for key, value in metadata.items() if key in {"labels", "annotations"}}
    outer = {key: value for key, value in metadata.items() if key not in inner}
    return {"metadata": outer, "spec": {"template": {"metadata": inner, "spec": inside(site, "spec")}}}


def _indexed_job(plan: RunPlan, pods: LaunchBundle | None, names: Sequence[str]) -> dict[str, Any]:
    nodes = plan.layout.num_nodes
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(plan),
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": 0,
            "backoffLimitPerIndex": ABSENT,
            "template": {"metadata": {"labels": {LABEL: RUN_ID}}, "spec": _pod(plan, pods, names)},
        },
    }


def _pod(plan: RunPlan, pods: LaunchBundle | None, names: Sequence[str]) -> dict[str, Any]:
    site = site_container(plan)
    taken = _mounted(site)
    # what a site may well want otherwise
    ours = {
        "terminationGracePeriodSeconds": int(plan.launch.grace_seconds) + _MARGIN,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
    }
    return {
        "restartPolicy": "Never",
        "subdomain": RUN_ID,
        **{key: value for key, value in ours.items() if key not in site_pod(plan)},
        "containers": [
            {
                "name": site.get("name", "train"),
                **_started(plan, pods, site),
                "resources": resources(plan, inside(site, "resources")),
                "volumeMounts": volume_mounts(plan, names, taken),
            }
        ],
        "volumes": volumes(plan, config=RUN_ID, names=names, taken=taken),
    }


def _train_job(plan: RunPlan, pods: LaunchBundle | None, names: Sequence[str]) -> dict[str, Any]:
    site = site_container(plan)
    spec = inside(_site(plan), "spec")
    pod = {
        "containers": [{"name": _NODE, "volumeMounts": volume_mounts(plan, names, ())}],
        "volumes": volumes(plan, config=RUN_ID, names=names, taken=()),
    }
    labelled = {"metadata": {"labels": {LABEL: RUN_ID}}, "spec": pod}
    job_set = {"replicatedJobs": [{"name": _NODE, "template": {"spec": {"template": labelled}}}]}
    runtime = {} if _written(spec, "runtimeRef") else {"runtimeRef": {"name": _RUNTIME}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": _metadata(plan),
        "spec": {
            **runtime,
            "trainer": {
                **_started(plan, pods, site),
                "numNodes": plan.layout.num_nodes,
                "numProcPerNode": plan.layout.devices_per_node,
                "resourcesPerNode": resources(plan, inside(site, "resourcesPerNode")),
            },
            "runtimePatches": [
                {"manager": "batchwright/launcher", "trainingRuntimeSpec": {"template": {"spec": job_set}}}
            ],
        },
    }


def _started(plan: RunPlan, pods: LaunchBundle | None, site: Mapping[str, Any]) -> dict[str, Any]:
    image = {"image": plan.launch.container.image} if plan.launch.container else {}
    given = [str(entry.get("name")) for entry in _entries(site, "env")]
    return {**image, "command": command(plan), "args": ABSENT, "env": environment(plan, pods, given)}


def _mounted(container: Mapping[str, Any]) -> list[str]:
    return [str(entry.get("mountPath")) for entry in _entries(container, "volumeMounts")]


def _entries(container: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = container.get(key)
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list | tuple) else []


def _written(values: Any, key: str) -> bool:
    return isinstance(values, Mapping) and key in values
