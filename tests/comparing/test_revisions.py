"""Files as they were at a revision: named from anywhere, put where a recipe finds them, and in words where not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from recipe_pairs import CPU
from repositories import ENVIRON, Repository, call

from launcher.discovery.revisions import open_revision, split_revision
from launcher.errors import RecipeError

NAMED = CPU.replace(
    "cluster: {nodes: 1, devices_per_node: 2, device: cpu, host_memory: 16 GiB}", "cluster: two"
)


def opened(name="HEAD", directory="."):
    """A revision of the repository of a folder."""
    return open_revision(name, directory=str(directory), environ=ENVIRON)


def code_of(name, directory="."):
    """Code and words of a revision that cannot be opened."""
    with pytest.raises(RecipeError) as refused:
        opened(name, directory)
    (problem,) = refused.value.problems
    return problem.code, str(problem)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("HEAD~1:a/b.yaml", ("HEAD~1", "a/b.yaml")),
        ("HEAD^{/fix: it}:a:b.yaml", ("HEAD^{/fix: it}", "a:b.yaml")),
        ("main@{2 days ago}:x", ("main@{2 days ago}", "x")),
        ("plain.yaml", None),
        (":x", None),
        ("HEAD:", ("HEAD", "")),
    ],
)
def test_a_revision_and_a_path(text, parts):
    """The first colon parts them, unless it stands in braces."""
    assert split_revision(text) == parts


def test_paths_count_from_the_top_or_from_here(repo, monkeypatch):
    """As in git itself; what starts with a dot is meant from here."""
    repo.write("r.yaml", CPU)
    repo.write("sub/r.yaml", CPU)
    repo.write("sub/only.yaml", CPU)
    repo.commit()
    here = str(repo.folder / "sub")
    revision = opened(directory=here)
    assert revision.find("r.yaml", directory=here) == "r.yaml"
    assert revision.find("./r.yaml", directory=here) == "sub/r.yaml"
    assert revision.find("sub/r.yaml", directory=here) == "sub/r.yaml"
    assert revision.find("only.yaml", directory=here) == "sub/only.yaml"
    assert revision.find("../r.yaml", directory=here) == "r.yaml"
    assert revision.find(str(repo.folder / "sub" / "r.yaml"), directory=here) == "sub/r.yaml"
    assert revision.find("none.yaml", directory=here) is None
    assert revision.find("/etc/passwd", directory=here) is None
    monkeypatch.chdir(here)
    assert call("diff", "HEAD:sub/r.yaml", "r.yaml")[0] == 0
    assert call("diff", "HEAD:only.yaml")[0] == 0


@pytest.mark.parametrize(
    "name", ["a b.yaml", "it's.yaml", 'q"q.yaml', "ä.yaml", "a\nb.yaml", "-r.yaml", "$(id).yaml"]
)
def test_odd_names(repo, name):
    """Names reach git as they are, and come back so."""
    repo.write(f"dir/{name}", CPU)
    repo.commit()
    repo.write(f"dir/{name}", CPU.replace("size: 32", "size: 48"))
    code, out, err = call("diff", f"HEAD:dir/{name}", f"dir/{name}")
    assert (code, err) == (0, "")
    assert out.startswith("semantics changed: yes (batch)")


def test_messages_name_the_revision_not_the_folder(repo):
    """A recipe that is refused there is refused by the name that the person typed."""
    repo.write("recipes/r.yaml", NAMED.replace("size: 32", "size: 33"))
    repo.write("recipes/clusters/two.yaml", "nodes: 1\ndevices_per_node: 2\ndevice: cpu\nnods: 2\n")
    repo.commit()
    repo.write("recipes/clusters/two.yaml", "nodes: 1\ndevices_per_node: 2\ndevice: cpu\n")
    repo.write("recipes/r.yaml", NAMED)
    code, out, err = call("diff", "HEAD:recipes/r.yaml", "recipes/r.yaml")
    assert (code, out) == (1, "")
    assert "HEAD:recipes/clusters/two.yaml:4:1: unknown key `nods`" in err
    assert "recipes/r.yaml: has a plan (" in err
    assert "batchwright-" not in err


def test_what_a_recipe_needs_comes_with_it(repo):
    """Clusters above, a config.json elsewhere, a hostfile that the cluster names, a catalog of one's own."""
    repo.write("clusters/two.yaml", "nodes: 2\nhostfile: ../hosts\ndevice: mine\n")
    repo.write("hosts", "a slots=2\nb slots=2\n")
    repo.write(
        "catalog/devices.yaml", "devices:\n  mine: {kind: cuda, memory_gib: 40, source: measured here}\n"
    )
    config = '{"model_type": "gpt2", "n_embd": 128, "n_layer": 2, "n_head": 2, "vocab_size": 512}'
    repo.write("configs/a b.json", config)
    repo.write(
        "team/r.yaml",
        'global_batch_size: 32\nsequence_length: 64\nmodel: {config: "../configs/a b.json"}\ncluster: two\n',
    )
    repo.commit()
    shutil.rmtree(repo.folder / "configs")
    shutil.rmtree(repo.folder / "clusters")
    repo.write("team/r.yaml", CPU)
    code, out, err = call("diff", "HEAD:team/r.yaml", "team/r.yaml")
    assert (code, err) == (0, "")
    assert re.search(r"^device +mine -> cpu$", out, re.MULTILINE)


def test_links_are_followed(repo):
    """To a file, and of a folder."""
    repo.write("real/r.yaml", CPU)
    (repo.folder / "link.yaml").symlink_to("real/r.yaml")
    (repo.folder / "folder").symlink_to("real")
    (repo.folder / "loop").symlink_to("loop")
    repo.commit()
    assert call("diff", "HEAD:link.yaml", "real/r.yaml")[1].startswith("semantics changed: no")
    assert (
        call("diff", "HEAD:folder/r.yaml", "real/r.yaml")[1]
        == "semantics changed: no, and nothing else differs\n"
    )
    assert not opened().has("loop")


def test_revisions_that_are_not_there(repo):
    """No commit of that name, an option for a name, a shallow clone: each with what to do."""
    repo.write("r.yaml", CPU)
    repo.commit()
    repo.commit()
    assert "`git fetch origin main`, or name a commit" in code_of("origin/main")[1]
    for name in ("--all", "-x", "a b", "HEAD~99", "\n", "", "HEAD:r.yaml", "x" * 5000):
        assert code_of(name)[0] == "unknown-revision"
    clone = repo.folder.parent / "shallow"
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.folder}", str(clone))
    assert "the clone is shallow: `git fetch origin release`" in code_of("release", clone)[1]


def test_no_repository(tmp_path, monkeypatch):
    """Outside of any repository, and without git."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(CPU)
    code, text = code_of("HEAD")
    assert code == "no-repository"
    assert "not a git repository" in text
    with pytest.raises(RecipeError) as refused:
        open_revision("HEAD", directory=".", environ={"PATH": str(tmp_path)})
    assert "git is not installed" in str(refused.value)
    exit_code, out, err = call("diff", "HEAD:r.yaml", "r.yaml")
    assert (exit_code, out) == (1, "")
    assert "[no-repository]" in err


def test_an_empty_repository(repo):
    """No commit yet."""
    repo.write("r.yaml", CPU)
    assert code_of("HEAD")[0] == "unknown-revision"


def test_worktrees_bare_clones_and_hooks(repo, monkeypatch):
    """A linked working tree, a bare repository, and the variables that git sets for its hooks."""
    repo.write("recipes/r.yaml", CPU)
    repo.commit()
    tree = repo.folder.parent / "tree"
    repo.git("worktree", "add", "-q", "-b", "other", str(tree))
    assert opened(directory=tree).find("recipes/r.yaml", directory=str(tree)) == "recipes/r.yaml"
    bare = repo.folder.parent / "bare.git"
    repo.git("clone", "-q", "--bare", str(repo.folder), str(bare))
    found = opened("main", bare)
    assert (found.top, found.find("recipes/r.yaml", directory=str(bare))) == (None, "recipes/r.yaml")
    monkeypatch.chdir(bare)
    assert call("diff", "main:recipes/r.yaml", "main:recipes/r.yaml")[0] == 0
    monkeypatch.chdir(repo.folder / "recipes")
    hook = {**ENVIRON, "GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_WORK_TREE": "."}
    assert call("diff", "HEAD:recipes/r.yaml", "r.yaml", environ=hook)[0] == 0
    outside = {**ENVIRON, "GIT_DIR": str(bare)}
    monkeypatch.chdir(repo.folder.parent)
    assert call("diff", "main:recipes/r.yaml", "repo/recipes/r.yaml", environ=outside)[0] == 0


def test_a_file_goes_before_a_revision(repo):
    """A file with a colon in its name is that file."""
    repo.write("HEAD:r.yaml", CPU)
    repo.write("r.yaml", CPU.replace("size: 32", "size: 48"))
    repo.commit()
    assert call("diff", "HEAD:r.yaml", "r.yaml")[1].startswith("semantics changed: yes")


def test_files_that_are_not_in_a_revision(repo):
    """A folder, a path that is not there, no path at all."""
    repo.write("a/r.yaml", CPU)
    repo.commit()
    for text, words in (
        ("HEAD:a", "this is a folder"),
        ("HEAD:b.yaml", "the revision has no such file"),
        ("HEAD:", "the revision has no such file"),
    ):
        code, out, err = call("diff", text, "a/r.yaml")
        assert (code, out) == (1, "")
        assert f"{words} [not-in-revision]" in err


def test_nothing_is_left_behind(repo, monkeypatch, tmp_path):
    """No file in the repository, none in the folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    repo.write("r.yaml", CPU)
    repo.commit()
    assert call("diff", "HEAD:r.yaml", "r.yaml")[0] == 0
    assert list(folder.iterdir()) == []
    assert repo.git("status", "--porcelain") == ""
    assert isinstance(repo, Repository)
    assert Path("r.yaml").read_text() == CPU
