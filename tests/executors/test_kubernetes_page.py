"""What docs/how-to/run-on-kubernetes.md shows is what its recipe renders, and its manifests are accepted."""

import re
from pathlib import Path

import yaml

from launcher.api import load_recipe, plan, render
from launcher.executors.kubernetes import MANIFEST_FILE

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/run-on-kubernetes.md").read_text()
RECIPE, SERVICE, JOB, SITE, TRAIN_JOB = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
RUN = "/home/me/runs/small-llama-20261122-081500-7f3a"


def rendered(folder, *overrides):
    (folder / "pretrain.yaml").write_text(RECIPE)
    recipe = load_recipe(folder / "pretrain.yaml", overrides=overrides)
    return render(recipe, plan(recipe)).placed(RUN).files[MANIFEST_FILE]


def test_the_page_shows_what_is_rendered(tmp_path):
    """Service and Job letter by letter."""
    service, _, job = rendered(tmp_path).split("---\n")
    assert (service, job) == (SERVICE, JOB)


def test_the_templates_of_the_page_are_accepted(tmp_path):
    """The site's job keeps its queue and namespace; two lines make a TrainJob."""
    (tmp_path / "site.yaml").write_text(SITE)
    _, _, job = yaml.safe_load_all(rendered(tmp_path, "launch.container=null", "launch.template=site.yaml"))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["metadata"]["namespace"] == "research"
    (tmp_path / "site.yaml").write_text(TRAIN_JOB)
    _, job = yaml.safe_load_all(rendered(tmp_path, "launch.template=site.yaml"))
    assert job["kind"] == "TrainJob"
