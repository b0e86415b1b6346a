"""Arguments and variables that a shell, pdsh or a scheduler would read arrive byte for byte on every executor."""

import json
import sys

import pytest
from hosts_jobs import HERE, Job

from launcher.testing import HOSTILE

pytestmark = pytest.mark.real

WRITTEN = (*HOSTILE, " spaces before and after ", "%h%u%%n", "trailing\\", "a,b=c", "'", '"', "!$", "\t")
GIVEN = [word.replace("{{", "{").replace("}}", "}") for word in WRITTEN]
SECRET = "s3cret $(id)\n'\"\\"


@pytest.mark.parametrize("executor", ["local", "ssh", "slurm"])
def test_values_arrive_byte_for_byte(executor, lab, tmp_path):
    """Script arguments, variables of the recipe and one handed on by reference; the folders have odd names too."""
    folder = tmp_path / "a 'run' $(id) %n"
    folder.mkdir()
    (folder / "show it.py").write_bytes((HERE / "scripts" / "show_values.py").read_bytes())
    recipe = {
        "global_batch_size": 8,
        "sequence_length": 16,
        "hidden_size": 64,
        "cluster": {"nodes": 2, "devices_per_node": 1, "device": "cpu"},
        "launch": {
            "executor": executor,
            "script": "show it.py",
            "args": list(WRITTEN),
            "env": {f"VALUE_{number}": word for number, word in enumerate(WRITTEN)},
            "pass_env": ["LAB_SECRET"],
            "python": sys.executable,
        },
    }
    environ = lab.slurm_environ() if executor == "slurm" else lab.ssh_environ()
    if executor == "ssh":
        recipe["cluster"]["hostfile"] = lab.hostfile(folder).name
    if executor == "local":
        recipe["cluster"] = {"nodes": 1, "devices_per_node": 2, "device": "cpu"}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    with Job(
        ["recipe.yaml"], environ={**environ, "LAB_SECRET": SECRET}, folder=folder, run="it's a run"
    ) as job:
        job.end(within=90)
        assert job.exit == 0, job.told()
    seen = [json.loads(path.read_text()) for path in sorted(job.run.glob("seen.*.json"))]
    assert [each["rank"] for each in seen] == [0, 1]
    for each in seen:
        assert each["argv"] == GIVEN
        assert [each["env"][f"VALUE_{number}"] for number in range(len(GIVEN))] == GIVEN
        assert each["env"]["LAB_SECRET"] == SECRET
    hosts = {each["host"] for each in seen}
    assert hosts == ({"node-a", "node-b"} if executor != "local" else hosts)
    assert len(hosts) == (1 if executor == "local" else 2)
    kept = [path for path in job.run.rglob("*") if path.is_file() and path.name.startswith("seen.") is False]
    assert [path for path in kept if b"s3cret" in path.read_bytes()] == []
    lab.wait_empty()
