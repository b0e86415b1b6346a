"""Kubernetes: an Indexed Job with a headless Service, or Kubeflow's TrainJob, and a ConfigMap with what is rendered.

`kubectl create` starts it and returns. Not `apply`: a run is one job, and where a job of that name exists already,
`apply` would leave it as it is and report success. `kubectl delete` with a cascade in the foreground returns once the
pods are gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import EngineError, Problem
from launcher.executors.formats.bundle_papers import bundle_papers
from launcher.executors.formats.kubernetes_jobs import (
    config_map,
    headless_service,
    is_train_job,
    job,
    namespace_words,
    pod_names,
)
from launcher.executors.formats.kubernetes_limits import cannot, kubernetes_limits
from launcher.executors.formats.manifest_text import manifest_text
from launcher.executors.formats.pods import FOLDER
from launcher.spec.bundle import RUN_DIR, RUN_ID, LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["EXECUTOR", "MANIFEST_FILE", "Kubernetes"]

MANIFEST_FILE = "kubernetes.yaml"
_PORT = 29_500
"""Where the ranks meet: each pod has ports of its own, and this is what PyTorch takes by itself."""
_MOST_BYTES = 2**20
"""Of a ConfigMap. Source: kubernetes.io/docs/concepts/configuration/configmap, "Motivation"."""


class Kubernetes:
    """One pod per node."""

    name = "kubernetes"

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What no pod can be asked for, and where the site's manifest contradicts the plan."""
        return kubernetes_limits(plan)

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
        """The manifests beside the engine's files, which are those of a pod; `kubectl` starts and ends the job."""
        problems = [problem for problem in self.check(plan) if problem.severity == "error"]
        if len(bundle.commands) != plan.layout.num_nodes:
            problems.append(_reaches_nodes_itself(plan))
        if problems:
            raise EngineError(problems)
        pods = _inside_pods(plan, bundle)
        papers = _papers(plan, bundle, pods)
        found, _ = job(plan, pods=replace(pods, files=papers))
        documents = [config_map(plan, papers), found]
        if not is_train_job(plan):
            documents.insert(0, headless_service(plan))
        kinds = ",".join(str(each["kind"]).lower() for each in reversed(documents))
        where = namespace_words(plan)
        start = ("kubectl", "create", *where, "--filename", f"{RUN_DIR}/{MANIFEST_FILE}")
        return LaunchBundle(
            files={**pods.files, MANIFEST_FILE: manifest_text(documents)},
            commands=(NodeCommand(node_rank=0, host="localhost", argv=start, env={}),),
            nodes=pods.nodes,
            stop=(
                ("kubectl", "delete", kinds, RUN_ID, *where, "--ignore-not-found", "--cascade=foreground"),
            ),
            attached=False,
        )


EXECUTOR = Kubernetes()


def _inside_pods(plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
    """The bundle as it lies in a pod: its folder, its interpreter, and the name of the first pod."""
    names = pod_names(plan)
    alone = len(names) == 1
    placed = replace(bundle, commands=(), nodes=bundle.commands, hosts=names).placed(
        FOLDER,
        main_port=plan.launch.main_port or _PORT,
        python=plan.launch.python,
        main_address=plan.launch.main_address if alone else names[0],
    )
    nodes = tuple(
        replace(node, host=name.partition(".")[0]) for node, name in zip(placed.nodes, names, strict=True)
    )
    return replace(placed, nodes=nodes)


def _papers(plan: RunPlan, bundle: LaunchBundle, pods: LaunchBundle) -> dict[str, str]:
    """What every pod reads. A file that names the run's pods gets their names later, so its hash is left out."""
    open_places = (RUN_ID, json.dumps(RUN_ID)[1:-1])
    final = {
        name: text for name, text in pods.files.items() if not any(place in text for place in open_places)
    }
    papers = {**pods.files, **bundle_papers(plan=plan, bundle=bundle, placed=replace(pods, files=final))}
    size = sum(len(text.encode(errors="surrogateescape")) for text in papers.values())
    if size > _MOST_BYTES:
        message = f"plan and rendered files have {size:,} bytes; a ConfigMap holds {_MOST_BYTES:,}"
        raise EngineError([cannot("launch.executor", message, hint="shorten launch.args, env or native")])
    return papers


def _reaches_nodes_itself(plan: RunPlan) -> Problem:
    message = f"`launch.engine: {plan.launch.engine}` reaches other nodes itself; pods are started one by one"
    return cannot("launch.engine", message, hint="use launch.engine: torchrun")
