"""The executor for Kubernetes: valid manifests, one pod per node, nothing that a shell or Kubernetes would read."""

import json
import re
from dataclasses import replace

import kubernetes_validate
import pytest
import yaml
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob

from launcher.discovery.plugins import find_plugin
from launcher.errors import EngineError
from launcher.executors.formats.pods import FOLDER, SECRET
from launcher.executors.kubernetes import EXECUTOR, MANIFEST_FILE
from launcher.spec.bundle import MAIN_ADDRESS
from launcher.spec.place import ContainerPlan, TemplatePlan
from launcher.testing import HOSTILE, changed, sample_plans

PLANS = sample_plans()
IMAGE = ContainerPlan(image="registry.example/train:1", mounts=(), runtime="docker")
RUN = "/home/me/runs/quickstart-20261122-063013-7f3a"
NAME = "batchwright-quickstart-20261122-0630-d84577e4"
VERSION = "1.34"
TRAIN_JOB = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}


def on_pods(plan, **launch):
    """The plan as Kubernetes can carry it out."""
    auto = {"main_address": "auto"} if plan.layout.num_nodes > 1 else {}
    return changed(
        plan,
        launch={"executor": "kubernetes", "container": IMAGE, **auto, **launch},
        layout={"devices": None},
    )


def on_two_pods(**launch):
    """Sixteen GPUs."""
    return on_pods(changed(PLANS["gpu-8x8"], layout={"num_nodes": 2, "world_size": 16}), **launch)


def site(manifest, **launch):
    """A plan with a site's manifest."""
    template = TemplatePlan(name="site.yaml", text="", manifest=manifest)
    return on_two_pods(template=template, **launch)


def rendered(plan, engine=None):
    """The bundle of a plan as it lies in its run folder, and its manifests by kind."""
    hosts = (
        ["localhost"]
        if plan.layout.num_nodes == 1
        else [MAIN_ADDRESS, *(f"node-{n}" for n in range(1, plan.layout.num_nodes))]
    )
    bundle = find_plugin("launcher.engines", engine or plan.launch.engine).render(plan, hosts)
    placed = EXECUTOR.render(plan, bundle).placed(RUN)
    documents = list(yaml.safe_load_all(placed.files[MANIFEST_FILE]))
    return placed, {each["kind"]: each for each in documents}


def pod_of(manifests):
    return manifests["Job"]["spec"]["template"]["spec"]


def expanded(text):
    """What Kubernetes makes of a word: `$(NAME)` of a variable that is not set stays, `$$` is `$`."""
    return re.sub(
        r"\$(\$|\([^)]*\)|.?)", lambda match: "$" if match[1] == "$" else match[0], text, flags=re.DOTALL
    )


def engines_of(plan):
    """Engines that can render a plan."""
    every = (find_plugin("launcher.engines", name) for name in ("torchrun", "accelerate", "deepspeed"))
    return [engine.name for engine in every if not any(p.severity == "error" for p in engine.check(plan))]


CASES = [(name, engine) for name, plan in PLANS.items() for engine in engines_of(on_pods(plan))]


@pytest.mark.parametrize(("case", "engine"), CASES)
def test_every_plan_is_valid_for_kubernetes(case, engine):
    """Service, ConfigMap and Job of every sample plan and engine agree with the official schemas, strictly."""
    plan = on_pods(PLANS[case])
    _, manifests = rendered(plan, engine)
    assert set(manifests) == {"Service", "ConfigMap", "Job"}
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    spec = manifests["Job"]["spec"]
    assert (spec["completions"], spec["parallelism"]) == (plan.layout.num_nodes,) * 2
    assert (spec["completionMode"], spec["backoffLimit"]) == ("Indexed", 0)


@pytest.mark.parametrize(("case", "engine"), CASES)
def test_every_plan_is_a_valid_train_job(case, engine):
    """Kubeflow's own models take the second form, and give every field back."""
    plan = on_pods(PLANS[case], template=TemplatePlan(name="t", text="", manifest=TRAIN_JOB))
    _, manifests = rendered(plan, engine)
    assert set(manifests) == {"ConfigMap", "TrainJob"}
    kubernetes_validate.validate(manifests["ConfigMap"], VERSION, strict=True)
    written = manifests["TrainJob"]
    assert TrainerV1alpha1TrainJob.from_dict(written).to_dict() == written


def test_every_engine_is_rendered_on_several_pods():
    """None of them is left out of the two tests above."""
    several = {engine for case, engine in CASES if PLANS[case].layout.num_nodes > 1}
    assert several == {"torchrun", "accelerate", "deepspeed"}


def test_the_papers_in_the_config_map_are_those_of_the_pods():
    """plan.json is the plan, bundle.json has one command per pod in the pod's own folder, and no placeholder is left."""
    plan = on_two_pods()
    placed, manifests = rendered(plan)
    data = manifests["ConfigMap"]["data"]
    assert json.loads(data["plan.json"]) == json.loads(json.dumps(plan.to_dict()))
    bundle = json.loads(data["bundle.json"])
    assert [node["host"] for node in bundle["nodes"]] == [f"{NAME}-0", f"{NAME}-1"]
    assert [node["argv"] for node in bundle["nodes"]] == [list(node.argv) for node in placed.nodes]
    assert all(node["env"]["BATCHWRIGHT_RUN"] == FOLDER for node in bundle["nodes"])
    assert bundle["main_address"] == f"{NAME}-0.{NAME}"
    assert bundle["main_port"] == 6000
    assert "\\u0000" not in placed.files[MANIFEST_FILE]
    assert manifests["ConfigMap"]["immutable"] is True


def test_pods_find_the_first_one_by_name():
    """Job, subdomain, Service and the address the ranks meet at are one name, and the label joins them."""
    _, manifests = rendered(on_two_pods())
    pod = pod_of(manifests)
    assert {each["metadata"]["name"] for each in manifests.values()} == {NAME}
    assert pod["subdomain"] == NAME
    labels = manifests["Job"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"] == labels == {"batchwright-run": NAME}
    assert manifests["Service"]["spec"]["publishNotReadyAddresses"] is True
    env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert env["BATCHWRIGHT_MAIN_ADDRESS"] == f"{NAME}-0.{NAME}"
    assert env["BATCHWRIGHT_MAIN_PORT"] == "6000"


def test_a_pod_alone_meets_nobody():
    """One node keeps to itself."""
    placed, _ = rendered(on_pods(PLANS["cpu-1x2"]))
    assert NAME not in " ".join(placed.nodes[0].argv)


def test_hostile_words_arrive_byte_for_byte():
    """Values pass through JSON and YAML, and through Kubernetes' own `$(NAME)` where they are variables of the container."""
    env = {f"V{at}": word.replace("{{", "{").replace("}}", "}") for at, word in enumerate(HOSTILE)}
    plan = on_pods(
        PLANS["cpu-1x2-hostile"],
        env={name: text.replace("{", "{{").replace("}", "}}") for name, text in env.items()},
    )
    _, manifests = rendered(plan)
    node = json.loads(manifests["ConfigMap"]["data"]["bundle.json"])["nodes"][0]
    assert tuple(node["argv"][-len(HOSTILE) :]) == tuple(
        w.replace("{{", "{").replace("}}", "}") for w in HOSTILE
    )
    assert {name: node["env"][name] for name in env} == env
    container = pod_of(manifests)["containers"][0]
    assert {
        entry["name"]: expanded(entry["value"]) for entry in container["env"] if entry["name"] in env
    } == env


def test_kubernetes_puts_nothing_into_a_value():
    """`$(NAME)` of a variable that is there, and `$$`, are the two things that it reads."""
    plan = on_two_pods(env={"NOTE": "$(BATCHWRIGHT_MAIN_PORT) $$ $"})
    env = {entry["name"]: entry.get("value") for entry in pod_of(rendered(plan)[1])["containers"][0]["env"]}
    assert env["NOTE"] == "$$(BATCHWRIGHT_MAIN_PORT) $$$$ $$"


@pytest.mark.parametrize("engine", ["torchrun", "accelerate", "deepspeed"])
def test_every_engine_meets_at_the_first_pod(engine):
    """By its name and at one port, in the command of each pod."""
    placed, _ = rendered(on_two_pods(main_port=None), engine)
    for node in placed.nodes:
        words = " ".join(node.argv)
        assert f"{NAME}-0.{NAME}" in words
        assert "29500" in words


def test_the_program_of_a_pod():
    """The job's interpreter starts the node program on the pod's folder; no shell, unless the site's commands need one."""
    plan = on_two_pods(python="/opt/py/bin/python")
    assert pod_of(rendered(plan)[1])["containers"][0]["command"] == [
        "/opt/py/bin/python",
        "-m",
        "batchwright_node",
        FOLDER,
    ]
    plan = on_two_pods(python="python3", setup=(("module", "load", "cuda/12.8"), ("echo", "$(id) it's")))
    words = [expanded(word) for word in pod_of(rendered(plan)[1])["containers"][0]["command"]]
    assert words[:2] == ["bash", "-lc"]
    assert "&& module load cuda/12.8 && echo '$(id) it'\"'\"'s' && " in words[2]
    assert words[3:] == ["python3", "python3", "-m", "batchwright_node", FOLDER]


@pytest.mark.parametrize(
    ("kind", "name"), [("cuda", "nvidia.com/gpu"), ("rocm", "amd.com/gpu"), ("hpu", "habana.ai/gaudi")]
)
def test_devices_are_asked_for_by_their_vendor(kind, name):
    """As many as the plan has on a node."""
    plan = changed(on_two_pods(), layout={"device_kind": kind})
    pods = replace(rendered(on_two_pods())[0], commands=())
    bundle = replace(pods, commands=pods.nodes, nodes=())
    text = EXECUTOR.render(plan, bundle).placed(RUN).files[MANIFEST_FILE]
    assert yaml.safe_load_all(text)
    container = list(yaml.safe_load_all(text))[2]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"limits": {name: 8}}


def test_cores_are_asked_for_on_cpu():
    """Processes of a pod times threads of each."""
    plan = changed(on_pods(PLANS["cpu-1x2"]), launch={"threads_per_process": 3})
    assert pod_of(rendered(plan)[1])["containers"][0]["resources"] == {"requests": {"cpu": 6}}


def test_secrets_go_by_reference():
    """No value of launch.pass_env is in any file; its name is a key of a Secret that must be there."""
    _, manifests = rendered(on_two_pods(pass_env=("HF_TOKEN",)))
    entry = pod_of(manifests)["containers"][0]["env"][-1]
    assert entry == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "HF_TOKEN"}}}


def test_the_run_folder_is_made_of_the_config_map():
    """Each paper is a read-only file in a folder that can be written to."""
    _, manifests = rendered(on_two_pods(), "accelerate")
    pod = pod_of(manifests)
    mounts = {each["mountPath"]: each for each in pod["containers"][0]["volumeMounts"]}
    papers = set(manifests["ConfigMap"]["data"])
    assert papers == {"plan.json", "bundle.json", "accelerate.json"}
    for name in papers:
        assert mounts[f"{FOLDER}/{name}"]["subPath"] == name
        assert mounts[f"{FOLDER}/{name}"]["readOnly"] is True
    kinds = {each["name"]: each for each in pod["volumes"]}
    assert kinds[mounts[FOLDER]["name"]] == {"name": mounts[FOLDER]["name"], "emptyDir": {}}
    assert kinds[mounts["/dev/shm"]["name"]]["emptyDir"] == {"medium": "Memory"}


def test_mounts_of_the_recipe():
    """A claim, a folder of the host, and one that is only read."""
    plan = on_two_pods(container=replace(IMAGE, mounts=("data:/data:ro", "/scratch:/fast")))
    pod = pod_of(rendered(plan)[1])
    volumes = {each["name"]: each for each in pod["volumes"]}
    first, second = pod["containers"][0]["volumeMounts"][-2:]
    assert (first["mountPath"], first["readOnly"]) == ("/data", True)
    assert volumes[first["name"]]["persistentVolumeClaim"] == {"claimName": "data"}
    assert second["mountPath"] == "/fast"
    assert "readOnly" not in second
    assert volumes[second["name"]]["hostPath"] == {"path": "/scratch"}


def test_the_kubelet_waits_longer_than_the_job():
    """launch.timeouts.grace, and time to write down how it ended."""
    assert pod_of(rendered(on_two_pods(grace_seconds=90.0))[1])["terminationGracePeriodSeconds"] == 120


def test_started_once_and_ended_by_name():
    """`create` refuses what exists; `delete` takes everything of this run and nothing else."""
    placed, _ = rendered(on_two_pods())
    assert placed.attached is False
    assert placed.hosts == ()
    assert placed.commands[0].argv == ("kubectl", "create", "--filename", f"{RUN}/{MANIFEST_FILE}")
    assert placed.stop == (
        ("kubectl", "delete", "job,configmap,service", NAME, "--ignore-not-found", "--cascade=foreground"),
    )


SITE_JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"namespace": "research", "labels": {"kueue.x-k8s.io/queue-name": "gpus"}},
    "spec": {
        "suspend": True,
        "template": {
            "metadata": {"annotations": {"team": "vision"}},
            "spec": {
                "serviceAccountName": "trainer",
                "automountServiceAccountToken": True,
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "nodeSelector": {"pool": "h100"},
                "containers": [
                    {
                        "name": "main",
                        "image": "registry.example/site:7",
                        "env": [
                            {
                                "name": "HF_TOKEN",
                                "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
                            },
                            {"name": "NCCL_IB_HCA", "value": "mlx5"},
                        ],
                        "resources": {"limits": {"memory": "512Gi", "nvidia.com/gpu": "8", "rdma/hca": 1}},
                        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
                    },
                    {"name": "sidecar", "image": "registry.example/proxy:1"},
                ],
                "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}],
            },
        },
    },
}


def test_a_site_s_job_keeps_what_it_says():
    """Queue, tolerations, image, sidecar, its own /dev/shm and its own Secret; the plan's fields beside them."""
    placed, manifests = rendered(site(SITE_JOB, container=None, pass_env=("HF_TOKEN", "WANDB_API_KEY")))
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)
        assert manifest["metadata"]["namespace"] == "research"
    job, pod = manifests["Job"], pod_of(manifests)
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpus", "batchwright-run": NAME}
    assert job["spec"]["suspend"] is True
    assert pod["nodeSelector"] == {"pool": "h100"}
    assert pod["automountServiceAccountToken"] is True
    main, sidecar = pod["containers"]
    assert sidecar == {"name": "sidecar", "image": "registry.example/proxy:1"}
    assert (main["name"], main["image"]) == ("main", "registry.example/site:7")
    assert main["resources"]["limits"] == {"memory": "512Gi", "nvidia.com/gpu": 8, "rdma/hca": 1}
    assert [each["mountPath"] for each in main["volumeMounts"]].count("/dev/shm") == 1
    names = [each["name"] for each in main["env"]]
    assert len(names) == len(set(names))
    assert main["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "hub"
    assert placed.commands[0].argv[2:4] == placed.stop[0][4:6] == ("--namespace", "research")


def test_a_site_s_pod_is_what_the_job_s_pods_are_like():
    """Labels and annotations of the pod go to the pods, its namespace to everything."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "research", "annotations": {"k8s.v1.cni.cncf.io/networks": "rdma"}},
        "spec": {"priorityClassName": "high", "containers": [{"name": "t", "image": "i:1"}]},
    }
    _, manifests = rendered(site(pod, container=None))
    job = manifests["Job"]
    kubernetes_validate.validate(job, VERSION, strict=True)
    assert job["metadata"]["namespace"] == "research"
    assert job["spec"]["template"]["metadata"]["annotations"] == {"k8s.v1.cni.cncf.io/networks": "rdma"}
    assert pod_of(manifests)["priorityClassName"] == "high"


def test_a_site_s_train_job_keeps_its_runtime():
    """A runtime of the site's own, its labels and resources; its image, so that the recipe needs none."""
    manifest = {
        **TRAIN_JOB,
        "spec": {
            "runtimeRef": {"name": "site-torch"},
            "trainer": {"resourcesPerNode": {"limits": {"memory": "64Gi"}}},
        },
    }
    plan = site(manifest, container=None)
    placed, manifests = rendered(plan)
    job = manifests["TrainJob"]
    assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    assert job["spec"]["runtimeRef"] == {"name": "site-torch"}
    assert job["spec"]["trainer"]["resourcesPerNode"] == {"limits": {"memory": "64Gi", "nvidia.com/gpu": 8}}
    assert job["spec"]["trainer"]["numNodes"] == 2
    bundle = json.loads(manifests["ConfigMap"]["data"]["bundle.json"])
    assert bundle["main_address"] == f"{NAME}-node-0-0.{NAME}"
    assert placed.stop[0][2] == "trainjob,configmap"


@pytest.mark.parametrize(
    "limits",
    [{"nvidia.com/mig-3g.40gb": 8}, {"nvidia.com/gpu.shared": 8}],
)
def test_a_site_may_name_devices_its_own_way(limits):
    """Slices and shared devices have names of their own; so do claims of dynamic allocation."""
    pod = {
        "kind": "Pod",
        "spec": {"containers": [{"name": "t", "image": "i", "resources": {"limits": limits}}]},
    }
    container = pod_of(rendered(site(pod, container=None))[1])["containers"][0]
    assert container["resources"] == {"limits": limits}
    pod["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpus"}]}
    container = pod_of(rendered(site(pod, container=None))[1])["containers"][0]
    assert container["resources"] == {"claims": [{"name": "gpus"}]}


@pytest.mark.parametrize(
    "manifest",
    [
        *(
            {"kind": "Job", "spec": wrong}
            for wrong in (3, [], {"template": 4}, {"template": {"spec": {"containers": {}}}})
        ),
        {"kind": "Job", "spec": {"template": {"spec": {"containers": [3]}}}},
        *({"kind": kind} for kind in ("Deployment", 3, None, ["Job"])),
        {},
    ],
)
def test_a_manifest_of_another_form_is_refused(manifest):
    """In words, never with a traceback."""
    problems = EXECUTOR.check(site(manifest))
    codes = {problem.code for problem in problems if problem.severity == "error"}
    assert codes <= {"template-conflict", "missing-image"}
    assert codes or manifest == {"kind": "Job", "spec": {"template": {"spec": {"containers": [3]}}}}


def test_an_engine_that_reaches_the_nodes_itself_is_refused():
    """One command for two pods would leave one of them without."""
    plan = on_two_pods()
    bundle = find_plugin("launcher.engines", "torchrun").render(plan, [MAIN_ADDRESS, "node-1"])
    with pytest.raises(EngineError, match="reaches other nodes itself"):
        EXECUTOR.render(plan, replace(bundle, commands=bundle.commands[:1]))


def test_a_config_map_has_its_limit():
    """More than a MiB of papers is refused before anything is started."""
    plan = on_two_pods(args=("x" * 2**19,))
    with pytest.raises(EngineError, match=r"a ConfigMap holds 1,048,576"):
        rendered(plan)


@pytest.mark.parametrize(
    "folder", ["/runs/7B_Modell (neu)", "/r/" + "x" * 200, "/r/\u4e2d", "/", "/a/run", "/b/run"]
)
def test_names_are_dns_labels(folder):
    """Whatever the run folder is called; and two folders of one name are two names."""
    plan = on_two_pods()
    bundle = find_plugin("launcher.engines", "torchrun").render(plan, [MAIN_ADDRESS, "node-1"])
    name = EXECUTOR.render(plan, bundle).placed(folder).stop[0][3]
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])", name)
    assert len(f"{name}-node-0-999-abcde") <= 63
    other = EXECUTOR.render(plan, bundle).placed(f"/other{folder}").stop[0][3]
    assert other != name


def test_the_same_plan_gives_the_same_bytes():
    """Executors are pure."""
    assert rendered(on_two_pods()) == rendered(on_two_pods())


@pytest.mark.parametrize(("seconds", "codes"), [(60.0, ["short-handshake"]), (900.0, [])])
def test_pods_need_patience(seconds, codes):
    """A handshake shorter than an image's way is legal and rarely meant."""
    problems = EXECUTOR.check(on_two_pods(handshake_seconds=seconds))
    assert [(problem.code, problem.severity) for problem in problems] == [(code, "warning") for code in codes]
    assert list(EXECUTOR.check(on_pods(PLANS["cpu-1x2"], handshake_seconds=seconds))) == []


@pytest.mark.parametrize(("seconds", "refused"), [(30, True), (90, False), (600, False)])
def test_a_site_may_wait_longer_not_shorter(seconds, refused):
    """A kubelet that kills within launch.timeouts.grace would cut off a checkpoint."""
    pod = {
        "kind": "Pod",
        "spec": {"terminationGracePeriodSeconds": seconds, "containers": [{"name": "t", "image": "i"}]},
    }
    plan = site(pod, container=None, grace_seconds=90.0, handshake_seconds=900.0)
    assert [problem.code for problem in EXECUTOR.check(plan)] == ["template-conflict"] * refused
    if not refused:
        assert pod_of(rendered(plan)[1])["terminationGracePeriodSeconds"] == seconds
