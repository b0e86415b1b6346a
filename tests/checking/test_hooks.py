"""The real pre-commit with our hooks on a repository of somebody else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipes_to_check import GOOD

ROOT = Path(__file__).parents[2]
CONFIG = """\
repos:
  - repo: {hooks}
    rev: {rev}
    hooks:
      - id: batchwright-check
      - id: batchwright-locked
        args: [recipes, --strict]
"""
CLUSTER = "nodes: 1\ndevices_per_node: 2\ndevice: cpu\n"
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Nobody"), ("EMAIL", "nobody@example.org"))
}


def environment(home):
    """Variables that keep git and pre-commit away from this user's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT"))}
    return {
        **kept,
        **IDENTITY,
        "HOME": str(home),
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ALLOW_PROTOCOL": "file",
        # HOME is where pip would look for its settings
        "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", str(Path.home() / ".config/pip/pip.conf")),
    }


def git(folder, *words, env):
    return subprocess.run(
        ["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Somebody's repository that uses a clone of ours, as it is in the working tree, for its hooks."""
    home = tmp_path_factory.mktemp("home")
    env = environment(home)
    hooks = home / "hooks"
    tracked = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", env=env).split("\0")
    wanted = ("launcher/", "batchwright_", "recipes/", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
    for name in tracked:
        if name.startswith((*wanted, ".pre-commit-hooks.yaml")) and (ROOT / name).exists():
            target = hooks / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    git(home, "init", "--quiet", "hooks", env=env)
    git(hooks, "add", ".", env=env)
    git(hooks, "commit", "--quiet", "-m", "hooks", env=env)
    project = home / "a project"
    (project / "recipes" / "clusters").mkdir(parents=True)
    rev = git(hooks, "rev-parse", "HEAD", env=env)
    (project / ".pre-commit-config.yaml").write_text(CONFIG.format(hooks=hooks.as_uri(), rev=rev))
    (project / "recipes/clusters/lab.yaml").write_text(CLUSTER)
    (project / "recipes/a b.yaml").write_text(
        GOOD.replace("{nodes: 1, devices_per_node: 2, device: cpu}", "lab")
    )
    git(home, "init", "--quiet", str(project), env=env)
    git(project, "add", ".", env=env)
    return project, env


def hooks_on(repository, *words):
    project, env = repository
    ran = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--color=never", *words],
        cwd=project,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return ran.returncode, ran.stdout


def locked(repository):
    """The lock that the installed hook's own command writes."""
    project, env = repository
    (command,) = Path(env["PRE_COMMIT_HOME"]).glob("repo*/py_env-*/bin/batchwright")
    subprocess.run([command, "lock", "recipes/a b.yaml"], cwd=project, env=env, check=True, timeout=60)
    git(project, "add", ".", env=env)


@pytest.mark.timeout(300)
def test_the_hooks(repository):
    """Good recipes pass; a changed cluster file fails the recipe that uses it, a moved meaning its lock."""
    project, env = repository
    code, said = hooks_on(repository, "batchwright-check", "--all-files")
    assert code == 0, said
    assert "batchwright check" in said
    assert "Passed" in said

    code, said = hooks_on(repository, "batchwright-locked")
    assert (code, "[not-locked]" in said) == (1, True), said
    locked(repository)
    code, said = hooks_on(repository)
    assert (code, said.count("Passed")) == (0, 2), said

    (project / "recipes/clusters/lab.yaml").write_text(CLUSTER.replace("2", "5"))
    git(project, "commit", "--quiet", "--no-verify", "-m", "all", env=env)
    git(project, "add", ".", env=env)  # the cluster file alone is changed
    code, said = hooks_on(repository, "batchwright-check")
    assert code == 1, said
    assert "recipes/a b.yaml:2:20: `global_batch_size: 32` cannot be split over 5 data-parallel ranks" in said
    assert said.rstrip().endswith("1 recipe, 1 cluster: 1 problem in 1 file")

    (project / "recipes/clusters/lab.yaml").write_text(CLUSTER)
    recipe = project / "recipes/a b.yaml"
    recipe.write_text(recipe.read_text().replace("learning_rate: 1e-3", "learning_rate: 2e-3"))
    git(project, "add", ".", env=env)
    code, said = hooks_on(repository)
    assert (code, said.count("Passed"), said.count("Failed")) == (1, 1, 1), said
    assert "[lock-moved]" in said


@pytest.mark.timeout(300)
def test_a_commit_without_yaml_runs_nothing(repository):
    """Only changes of YAML and JSON files start the hooks."""
    project, env = repository
    git(project, "add", ".", env=env)
    git(project, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", "rest", env=env)
    (project / "notes.txt").write_text("a note\n")
    git(project, "add", ".", env=env)
    code, said = hooks_on(repository)
    assert (code, said.count("no files to check")) == (0, 2), said
