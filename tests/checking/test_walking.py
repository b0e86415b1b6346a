"""Which files of a folder are ours, and what is said of the others."""

import os
from pathlib import Path

import pytest
from recipes_to_check import GOOD

from launcher.loading.walking import find_files

CLUSTER = "nodes: 1\ndevices_per_node: 8\ndevice: a100-sxm-80gb\n"
DEVICES = "devices:\n  mine: {kind: cuda}\n"


def write(folder, **files):
    """Files by name, `__` for a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def kinds(*paths):
    return {each.path: each.kind for each in find_files(paths).files}


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        (GOOD, True),
        ("global_batch_size: 8\n", True),
        ("# a remark\n\n---\nschema: 1\nname: x\n", True),
        ("  schema: 1\n  name: x\n", True),
        ('{"schema": 1, "name": "x"}', True),
        ("{global_batch_tokens: 1Mi}", True),
        ("global_batch_size: [8\n  broken: {", True),
        ("\tglobal_batch_size: 8\n", True),
        ("schema: one\nmodel: {}\n", True),
        ("\ufeffschema: 1\r\nname: x\r\n", True),
        ("hidden_size: 768\nsequence_length: 8\n", True),
        (b"global_batch_size: 8 # \xff\n", True),
        ("hidden_size: 768\nnum_layers: 12\n", False),
        ("model:\n  global_batch_size: 8\n", False),
        ("schema:\n  - a table\n", False),
        ("schema: public\n", False),
        ("on: push\njobs: {}\n", False),
        ("# global_batch_size: 8\n", False),
        ("", False),
        ("- global_batch_size: 8\n", False),
        ("global_batch_sizes: 8\n", False),
        (b"\x00\x01\x02", False),
    ],
)
def test_what_looks_like_a_recipe(folder, text, is_ours):
    """A recipe is told by the keys at its margin, also where it is too broken to parse."""
    write(folder, **{"here__x.yaml": text})
    walk = find_files(["here"])
    assert [each.path for each in walk.files] == (["here/x.yaml"] if is_ours else [])
    assert walk.skipped == ([] if is_ours else ["here/x.yaml"])


def test_places_tell_clusters_and_catalogs(folder):
    """Cluster files lie in `clusters`, rows in `catalog`; what lies there and is something else is passed over."""
    write(
        folder,
        **{
            "a.yaml": GOOD,
            "b.yml": GOOD,
            "clusters__lab.yaml": CLUSTER,
            "clusters__kubernetes.yaml": "apiVersion: v1\nkind: List\n",
            "clusters__gpt.yaml": GOOD,
            "machines__lab.yaml": CLUSTER,
            "catalog__devices.yaml": DEVICES,
            "catalog__books.yaml": DEVICES,
            ".hidden__c.yaml": GOOD,
            ".d.yaml": GOOD,
            "a.plan.json": "{}",
            "notes.txt": GOOD,
        },
    )
    assert kinds(".") == {
        "a.yaml": "recipe",
        "b.yml": "recipe",
        "catalog/devices.yaml": "catalog",
        "clusters/gpt.yaml": "recipe",
        "clusters/lab.yaml": "cluster",
    }
    assert find_files(["."]).skipped == [
        "catalog/books.yaml",
        "clusters/kubernetes.yaml",
        "machines/lab.yaml",
    ]


def test_a_named_file_is_always_checked(folder):
    """Whatever it looks like; a cluster file by its keys, hidden ones too, a lock as its recipe."""
    write(
        folder,
        **{"x.txt": "?", ".h__y.yaml": "a: 1", "lab.yaml": CLUSTER, "r.yaml": GOOD, "r@b.plan.json": "{}"},
    )
    assert kinds("x.txt", ".h/y.yaml", "lab.yaml") == {
        "x.txt": "recipe",
        ".h/y.yaml": "recipe",
        "lab.yaml": "cluster",
    }
    assert kinds("r@b.plan.json") == {"r.yaml": "recipe"}


def test_each_file_once(folder):
    """However often it is named, and under the first of its names."""
    write(folder, **{"a__x.yaml": GOOD})
    assert [each.path for each in find_files(["a", "./a/", "a/x.yaml", str(folder)]).files] == ["a/x.yaml"]


def test_links(folder):
    """A link is followed out of what is named, never round in circles, and never to what is found anyway."""
    write(folder, **{"repo__a__x.yaml": GOOD, "outside__y.yaml": GOOD})
    (folder / "repo/a/round").symlink_to("..")
    (folder / "repo/again").symlink_to("a")
    (folder / "repo/out").symlink_to("../outside")
    (folder / "repo/z.yaml").symlink_to("a/x.yaml")
    (folder / "outside/back").symlink_to("../repo")
    assert list(kinds("repo")) == ["repo/a/x.yaml", "repo/out/y.yaml", "repo/z.yaml"]


def test_a_link_that_leads_nowhere(folder, check):
    """Is a problem of its own, named or found."""
    write(folder, **{"a__x.yaml": GOOD})
    (folder / "a/gone.yaml").symlink_to("nowhere")
    (folder / "a/loop.yaml").symlink_to("loop.yaml")
    answer = check("a")
    assert answer.code == 1
    assert "a/gone.yaml: a link that leads nowhere [file-not-found]" in answer.err
    assert "a/loop.yaml: cannot be read: " in answer.err


def test_what_cannot_be_read(folder, check):
    """A file whose reading fails is named, and the others are checked all the same."""
    write(folder, **{"a__x.yaml": GOOD})
    (folder / "a/memory.yaml").symlink_to("/proc/self/mem")
    answer = check("a")
    assert (answer.code, len(answer.out.splitlines())) == (1, 1)
    assert "a/memory.yaml: cannot be read: input/output error [file-not-found]" in answer.err


def test_a_pipe_is_no_file(folder, check):
    """What never ends is not opened."""
    write(folder, **{"a__x.yaml": GOOD})
    os.mkfifo(folder / "a/pipe.yaml")
    assert check("a").code == 0
    answer = check("a/pipe.yaml")
    assert (answer.code, answer.err.splitlines()[0]) == (
        1,
        "a/pipe.yaml: neither a file nor a folder [file-not-found]",
    )


@pytest.mark.parametrize("name", ["", "no\0name", "x" * 5000, "gone", "gone/"])
def test_names_of_nothing(folder, check, name):
    """A path that names nothing is a problem in words."""
    answer = check(name)
    assert answer.code == 1
    assert "[file-not-found]" in answer.err


def test_names_with_anything_in_them(folder, check):
    """Blanks, quotes, line breaks and what begins with a dash."""
    names = ["a b", "it's", 'say "x"', "two\nlines", "-n", "100%", "a:1:2"]
    write(folder, **{f"r__{name}.yaml": GOOD for name in names})
    answer = check("r")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == len(names)


def test_nothing_found(folder, check):
    """Silence would look like success."""
    write(folder, **{"folder__other.yaml": "a: 1\n"})
    answer = check("folder")
    assert answer.code == 1
    text = Path(__file__).parent / "messages" / "nothing-to-check.txt"
    assert answer.err == text.read_text()
