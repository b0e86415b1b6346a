"""The rendered Job, started for real: two pods on two hosts as their kubelets would start them, without a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from lab.host import wait_until

from launcher.api import load_recipe, plan, render
from launcher.executors.formats.pods import FOLDER, SECRET
from launcher.executors.kubernetes import MANIFEST_FILE
from launcher.testing import HOSTILE

pytestmark = pytest.mark.real

QUICKSTART = Path(__file__).resolve().parents[2] / "recipes" / "quickstart" / "cpu-1x2.yaml"
KUBELET = Path(__file__).parent / "scripts" / "kubelet.py"
SHOW = Path(__file__).parents[1] / "across_hosts" / "scripts" / "show_values.py"
POD_FOLDERS = "pod-{}"


class Pods:
    """The pods of one Job."""

    def __init__(self, lab, folder, *overrides):
        recipe = load_recipe(
            QUICKSTART,
            overrides=["launch.executor=kubernetes", f"launch.python={sys.executable}", *overrides],
        )
        placed = render(recipe, plan(recipe)).placed(str(folder / "run"))
        manifests = {each["kind"]: each for each in yaml.safe_load_all(placed.files[MANIFEST_FILE])}
        job = manifests["Job"]
        self.lab, self.folder, self.name = lab, folder, job["metadata"]["name"]
        self.pod = job["spec"]["template"]["spec"]
        self.config = {manifests["ConfigMap"]["metadata"]["name"]: manifests["ConfigMap"]["data"]}
        (folder / "claims" / "work").mkdir(parents=True)

    def start(self, index, secrets=None, *, known=True):
        """The process of a pod; its host is the one of its number. known: whether its names are known already."""
        host = ("node-a", "node-b")[index]
        volumes = self.folder / POD_FOLDERS.format(index)
        volumes.mkdir()
        own = f"{self.name}-{index}"
        order = {
            "pod": self.pod,
            "config": self.config,
            "secrets": {SECRET: secrets or {}},
            "claims": str(self.folder / "claims"),
            "volumes": str(volumes),
            "name": own,
            "index": index,
            "addresses": {
                "localhost": "127.0.0.1",
                own: self.lab.address(host),
                **(self.names() if known else {}),
            },
        }
        place = self.folder / f"pod-{index}.json"
        place.write_text(json.dumps(order))
        spaces = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        words = self.lab.hosts[host].words([*spaces, sys.executable, str(KUBELET), str(place)])
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def names(self):
        """What the cluster's DNS says of the headless Service."""
        return {
            f"{self.name}-{at}.{self.name}": self.lab.address(host)
            for at, host in enumerate(("node-a", "node-b"))
        }

    def know(self, index):
        """A pod's names become known to it."""
        # in place: the file is mounted by its inode
        with (self.folder / POD_FOLDERS.format(index) / "hosts").open("a") as stream:
            stream.writelines(f"{address} {name}\n" for name, address in self.names().items())

    def run_folder(self, index):
        """The pod's own run folder, as the host sees it."""
        mount = next(
            each for each in self.pod["containers"][0]["volumeMounts"] if each["mountPath"] == FOLDER
        )
        return self.folder / POD_FOLDERS.format(index) / mount["name"]


def process_1(name):
    """The first process of a pod, by the number it has here."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = folder.joinpath("status").read_text().partition("NSpid:")[2].split("\n")[0].split()
            if inside[-1] == "1" and f"HOSTNAME={name}\0".encode() in folder.joinpath("environ").read_bytes():
                return int(folder.name)
        except OSError:  # ended meanwhile
            continue
    raise AssertionError(f"{name} does not run")


def ended(pods, *, seconds):
    """Exit codes and what was printed."""
    said = [pod.communicate(timeout=seconds)[0] for pod in pods]
    return [pod.returncode for pod in pods], said


TWO = (
    "cluster={nodes: 2, devices_per_node: 1, device: cpu}",
    "launch.container={image: example/train, mounts: ['work:/run/work']}",
)


@pytest.mark.parametrize("engine", ["torchrun", "accelerate", "deepspeed"])
def test_two_pods_train_the_quickstart(engine, mended_lab, tmp_path):
    """Each engine trains over two pods that know each other by name only, and both ranks leave a clean end."""
    pods = Pods(
        mended_lab,
        tmp_path,
        *TWO,
        f"launch.engine={engine}",
        "schedule.length=4 steps",
        "schedule.warmup=0 steps",
        "checkpoint.directory=/run/work",
    )
    # the first pod comes last, as it may
    second = pods.start(1)
    codes, said = ended([pods.start(0), second], seconds=150)
    assert codes == [0, 0], "\n".join(said)
    assert list((tmp_path / "claims" / "work").iterdir()), "the checkpoint lies in the claim"
    steps = [json.loads(line) for line in (pods.run_folder(0) / "log.jsonl").read_text().splitlines()]
    assert max(step.get("step", 0) for step in steps) == 4
    for index in (0, 1):
        record = json.loads((pods.run_folder(index) / "ranks" / f"{index}.json").read_text())
        assert (record["exit"], record["host"]) == (0, f"{pods.name}-{index}")
    mended_lab.wait_empty()


def test_values_and_secrets_arrive_in_pods(mended_lab, tmp_path):
    """Words that JSON, YAML, Kubernetes or a shell would read arrive byte for byte; so does a Secret's value."""
    given = [word.replace("{{", "{").replace("}}", "}") for word in HOSTILE]
    launch = {
        "script": str(SHOW),
        "runtime": False,
        "args": list(HOSTILE),
        "env": {f"VALUE_{number}": word for number, word in enumerate(HOSTILE)},
        "pass_env": ["LAB_SECRET"],
        "setup": [["export", "FROM_SETUP=$(id) it's"]],
    }
    pods = Pods(
        mended_lab, tmp_path, *TWO, *(f"launch.{key}={json.dumps(value)}" for key, value in launch.items())
    )
    secret = "s3cret $(id)\n'\"\\"
    codes, said = ended([pods.start(index, {"LAB_SECRET": secret}) for index in (0, 1)], seconds=90)
    assert codes == [0, 0], "\n".join(said)
    for index in (0, 1):
        seen = json.loads((pods.run_folder(index) / f"seen.{index}.json").read_text())
        assert seen["argv"] == given
        assert [seen["env"][f"VALUE_{number}"] for number in range(len(given))] == given
        assert seen["env"]["LAB_SECRET"] == secret
        assert seen["host"] == f"{pods.name}-{index}"
    kept = [
        path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(("seen.", "pod-"))
    ]
    assert [path for path in kept if b"s3cret" in path.read_bytes()] == []
    mended_lab.wait_empty()


def test_names_that_are_known_late(mended_lab, tmp_path):
    """A cluster's DNS learns of pods after they have started: they look again until the handshake is over."""
    launch = {"script": str(SHOW), "runtime": False, "args": [], "timeouts": {"handshake": "30 s"}}
    pods = Pods(
        mended_lab, tmp_path, *TWO, *(f"launch.{key}={json.dumps(value)}" for key, value in launch.items())
    )
    started = [pods.start(index, known=False) for index in (0, 1)]
    time.sleep(4)
    assert [pod.poll() for pod in started] == [None, None]
    for index in (1, 0):
        pods.know(index)
    codes, said = ended(started, seconds=90)
    assert codes == [0, 0], "\n".join(said)
    mended_lab.wait_empty()


def test_a_pod_that_never_comes_is_named(mended_lab, tmp_path):
    """The pod that waits says who is absent, and ends with the code of a job that was never started."""
    pods = Pods(mended_lab, tmp_path, *TWO, "launch.timeouts.handshake=3 s")
    codes, said = ended([pods.start(0)], seconds=30)
    assert codes == [78]
    assert f"{pods.name}-1 (node 1) did not come within 3 s" in said[0]
    mended_lab.wait_empty()


def test_deleted_pods_end_in_their_own_time(mended_lab, tmp_path):
    """The node program is process 1 of its container: SIGTERM, which a deletion sends, ends everything and says so."""
    pods = Pods(mended_lab, tmp_path, *TWO, "schedule.length=100000 steps", "launch.timeouts.grace=5 s")
    started = [pods.start(index) for index in (0, 1)]
    log = pods.run_folder(0) / "log.jsonl"
    wait_until(lambda: log.exists() and log.read_text().count("\n") > 3, lambda: "steps", seconds=60)
    for index in (0, 1):
        os.kill(process_1(f"{pods.name}-{index}"), signal.SIGTERM)
    codes, said = ended(started, seconds=30)
    assert codes == [143, 143], "\n".join(said)
    mended_lab.wait_empty()
