"""A site's own job file: its text as it is, and its content where it is a Kubernetes manifest."""

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.loading.templates import with_template


def made(folder, text, executor="slurm"):
    (folder / "site").write_bytes(text.encode())
    (folder / "recipe.yaml").write_text(
        f"global_batch_size: 8\nhidden_size: 64\nlaunch:\n  executor: {executor}\n  template: site\n"
    )
    return load_recipe(folder / "recipe.yaml")


def refused(recipe):
    with pytest.raises(RecipeError) as caught:
        with_template(recipe)
    return caught.value.problems


def test_a_text_is_taken_as_it_is(tmp_path):
    """What another executor's template holds is its own business: no YAML is read."""
    text = "#!/bin/bash\r\n#SBATCH -p gpu\n: {unclosed [\n\tx\n"
    template = with_template(made(tmp_path, text)).template
    assert (template.name, template.text, template.manifest) == ("site", text, None)


def test_a_manifest_is_read_for_kubernetes(tmp_path):
    """Its content is plain values."""
    text = (
        "kind: Job\nspec:\n  template:\n    spec: {tolerations: [{key: gpu, value: 'yes'}], priority: 10}\n"
    )
    template = with_template(made(tmp_path, text, "kubernetes")).template
    assert template.manifest["spec"]["template"]["spec"] == {
        "tolerations": [{"key": "gpu", "value": "yes"}],
        "priority": 10,
    }
    assert template.text == text


@pytest.mark.parametrize(
    ("text", "code", "place", "hint"),
    [
        ("", "template-unreadable", "site", "start with `kind: Job`"),
        ("- kind: Job\n", "template-unreadable", "site", "start with `kind: Job`"),
        ("kind: {Job\n", "template-unreadable", "site:1:", ""),
        ("kind: Job\n---\nkind: Service\n", "several-documents", "site:2:1", "keep the Job"),
        ("kind: Job\nkind: Pod\n", "duplicate-key", "site:2:1", "delete one"),
        ("spec: &a {b: 1}\n", "yaml-tag", "site:1:7", "drop it"),
        ("defaultMode: 0644\n", "leading-zero", "site:1:14", "0644 is 420"),
    ],
)
def test_a_manifest_is_read_strictly(tmp_path, text, code, place, hint):
    """Each problem stands at its place in the site's file."""
    problem = refused(made(tmp_path, text, "kubernetes"))[0]
    assert problem.code == code
    assert problem.where.removeprefix(f"{tmp_path}/").startswith(place)
    assert hint in problem.hint


def test_a_file_that_is_no_text(tmp_path):
    """The byte that is not UTF-8 is named."""
    recipe = made(tmp_path, "")
    (tmp_path / "site").write_bytes(b"#SBATCH\n# caf\xe9\n")
    (problem,) = refused(recipe)
    assert problem.where == f"{tmp_path}/site:2:6"


def test_without_a_template_nothing_changes(tmp_path):
    """A recipe that names none is the same object."""
    recipe = load_recipe({"global_batch_size": 1, "hidden_size": 64})
    assert with_template(recipe) is recipe
