"""`batchwright run` where Kubernetes starts the job: handed over, read and ended through kubectl, nothing of ours here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """\
global_batch_size: 16
sequence_length: 128
hidden_size: 128
model: {num_layers: 2, num_attention_heads: 2}
cluster: {nodes: 2, devices_per_node: 4, device: a100-sxm-80gb}
launch:
  executor: kubernetes
  script: train.py
  workdir: /workspace of the image
  pass_env: [WANDB_API_KEY]
  container: {image: "registry.example/train:1"}
"""
KUBECTL = """\
#!/bin/sh
printf '%s\\n' "$@" > "$0.args"
printf '%s' "$KUBECONFIG" > "$0.config"
echo "$1 done"
exit $(cat "$0.exit" 2>/dev/null || echo 0)
"""


@pytest.fixture
def person(tmp_path):
    """Types a command in a folder with the recipe, and with a kubectl that writes down what it was asked."""
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    (tmp_path / "r.yaml").write_text(RECIPE)

    def types(*words):
        environ = {
            "PATH": f"{kubectl.parent}:/usr/bin:/bin",
            "KUBECONFIG": "/home/me/.kube/config",
            "HOME": str(tmp_path),
        }
        command = [Path(sys.executable).with_name("batchwright"), *words]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        args = kubectl.with_name("kubectl.args")
        return ran, args.read_text().splitlines() if args.exists() else None

    types.folder = tmp_path
    return types


def test_a_run_is_handed_over(person):
    """Neither workdir, script nor secret has to be on this machine; kubectl has the person's own variables."""
    ran, asked = person("run", "r.yaml", "--run-dir", "run")
    assert ran.returncode == 0, ran.stderr
    assert "submitted" in ran.stderr
    assert asked == ["create", "--filename", str(person.folder / "run" / "kubernetes.yaml")]
    assert (person.folder / "bin" / "kubectl.config").read_text() == "/home/me/.kube/config"
    assert json.loads((person.folder / "run" / "status.json").read_text())["state"] == "submitted"


def test_nothing_of_the_caller_is_promised_to_pods(person):
    """What an image brings is what a pod has: no list of the caller's variables is written, or shown before."""
    person("run", "r.yaml", "--run-dir", "run")
    assert not (person.folder / "run" / "launch.json").exists()
    assert "KUBECONFIG" not in (person.folder / "run" / "environment.txt").read_text()
    ran, _ = person("run", "r.yaml", "--dry-run")
    assert "from the caller" not in ran.stdout


def test_a_cluster_that_refuses_ends_the_run(person):
    """In kubectl's own words, with the code of what was never started."""
    (person.folder / "bin" / "kubectl.exit").write_text("1")
    ran, _ = person("run", "r.yaml", "--run-dir", "run")
    assert ran.returncode == 78
    assert "nothing was started: `kubectl` ended with exit code 1 before any node had begun" in ran.stderr
    assert "| create done" in ran.stderr
    assert json.loads((person.folder / "run" / "status.json").read_text())["state"] == "failed"


def test_logs_are_the_pods(person):
    """All of them, or the pod of one rank; --follow and --tail are kubectl's."""
    person("run", "r.yaml", "--run-dir", "run")
    name = json.loads((person.folder / "run" / "bundle.json").read_text())["stop"][0][3]
    _, asked = person("logs", "run")
    assert asked == [
        "logs",
        "--selector",
        f"batchwright-run={name}",
        "--prefix",
        "--tail=-1",
        "--max-log-requests=2",
    ]
    ran, asked = person("logs", "run", "--rank", "5", "--follow", "--tail", "3")
    index = "batch.kubernetes.io/job-completion-index=1"
    assert asked[1:] == [
        "--selector",
        f"batchwright-run={name},{index}",
        "--prefix",
        "--tail=3",
        "--max-log-requests=2",
        "--follow",
    ]
    assert ran.stdout == "logs done\n"


def test_the_cluster_is_asked_how_it_goes(person):
    """`status` of a run that goes on without us says how to look."""
    person("run", "r.yaml", "--run-dir", "run")
    name = json.loads((person.folder / "run" / "bundle.json").read_text())["stop"][0][3]
    ran, _ = person("status", "run")
    assert ran.returncode == 0
    assert f"kubectl get pods --selector batchwright-run={name}" in ran.stdout


def test_a_run_is_ended_by_its_name(person):
    """Everything of the run, and nothing else."""
    person("run", "r.yaml", "--run-dir", "run")
    ran, asked = person("stop", "run")
    assert ran.returncode == 0, ran.stderr
    name = json.loads((person.folder / "run" / "bundle.json").read_text())["stop"][0][3]
    assert asked == ["delete", "job,configmap,service", name, "--ignore-not-found", "--cascade=foreground"]
    assert json.loads((person.folder / "run" / "status.json").read_text())["state"] == "interrupted"
