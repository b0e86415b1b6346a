"""The real kubectl takes what is rendered: its own reader of YAML, its own requests, to a server that writes them down."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launcher.api import load_recipe, plan, render
from launcher.executors.kubernetes import MANIFEST_FILE
from launcher.testing import HOSTILE

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

SERVER = Path(__file__).parent / "scripts" / "api_server.py"
RECIPE = {
    "global_batch_size": 16,
    "sequence_length": 128,
    "hidden_size": 128,
    "model": {"num_layers": 2, "num_attention_heads": 2},
    "cluster": {"nodes": 2, "devices_per_node": 4, "device": "a100-sxm-80gb"},
    "launch": {
        "executor": "kubernetes",
        "script": "train.py",
        "args": list(HOSTILE),
        "env": {
            f"VALUE_{number}": word
            for number, word in enumerate((*HOSTILE, "yes", "1e3", "\U0001f600\x85\u2028"))
        },
        "container": {"image": "registry.example/train:1"},
    },
}


@pytest.fixture
def server(tmp_path):
    """Environment of a person whose cluster it is, and the folder where it writes."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stdout.readline())
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "", "namespace": "research"}}],
            "current-context": "c",
        }
        (tmp_path / "config").write_text(json.dumps(config))
        yield (
            {
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "KUBECONFIG": str(tmp_path / "config"),
                "HOME": str(tmp_path),
            },
            tmp_path,
        )
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("kind", ["Job", "TrainJob"])
def test_kubectl_reads_what_was_written(server, kind):
    """Every object arrives as it was rendered, hostile values byte for byte; and is deleted by its name."""
    environ, folder = server
    recipe = json.loads(json.dumps(RECIPE))
    if kind == "TrainJob":
        (folder / "site.yaml").write_text("apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n")
        recipe["launch"]["template"] = str(folder / "site.yaml")
    made = load_recipe(recipe)
    placed = render(made, plan(made)).placed(str(folder))
    (folder / MANIFEST_FILE).write_text(placed.files[MANIFEST_FILE])
    # the server has no schemas to check against
    words = [*placed.commands[0].argv, "--validate=false"]
    ran = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    for document in yaml.safe_load_all(placed.files[MANIFEST_FILE]):
        sent = json.loads((folder / f"{document['kind']}.json").read_text())
        # kubectl says where to
        assert sent["metadata"].pop("namespace") == "research"
        assert sent == document
    ran = subprocess.run(placed.stop[0], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    asked = (folder / "requests.txt").read_text().splitlines()
    name = placed.stop[0][3]
    deleted = {
        line.split("/")[-2]
        for line in asked
        if line.startswith("DELETE") and line.partition("?")[0].endswith(f"/{name}")
    }
    assert (
        deleted == {"trainjobs", "configmaps"} if kind == "TrainJob" else {"jobs", "configmaps", "services"}
    )
