"""Run folders, rendered folders and the files in them."""

import errno
import json
import os
import subprocess
import threading

import pytest

from launcher.errors import HandoffError
from launcher.handoff.files import write_atomically
from launcher.handoff.order import placed_bundle
from launcher.handoff.rendering import write_bundle
from launcher.handoff.run_folder import create_named_folder, create_run_folder, run_name
from launcher.spec.bundle import MAIN_PORT, RUN_DIR, LaunchBundle, NodeCommand, port_of
from launcher.spec.shell import command_line
from launcher.testing.plans import HOSTILE, sample_plans

PLAN = sample_plans()["cpu-1x2"]


def bundle(**files):
    argv = ("torchrun", f"--port={MAIN_PORT}", f"{RUN_DIR}/plan.json")
    command = NodeCommand(node_rank=0, host="localhost", argv=argv, env={"BATCHWRIGHT_RUN": RUN_DIR})
    return LaunchBundle(files=files, commands=(command,))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("quickstart", "quickstart"),
        ("a b/../c", "a-b-..-c"),
        ("..", "run"),
        ("-rf", "rf"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_are_file_names(name, shown):
    """Whatever a recipe is called, its runs are plain files of one folder."""
    found = run_name(recipe_name=name, plan_hash="7f3a9c", stamp="20261121-230142")
    assert found == f"{shown}-20261121-230142-7f3a"


def test_folders_of_the_same_second(tmp_path):
    """Many at once, one name: each gets a folder, and each file says its own."""

    def start():
        found.append(
            create_run_folder(parent=tmp_path, name="run", files=lambda target: {"a/where": str(target)})
        )

    found = []
    threads = [threading.Thread(target=start) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 12
    assert all((folder / "a" / "where").read_text() == str(folder) for folder in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folder.name for folder in found)


def test_nothing_half_written(tmp_path):
    """When a file cannot be written, no folder appears and none is left beside it."""

    def files(_target):
        return {"a": "text", "a/b": "in a file"}

    with pytest.raises(OSError, match=r"exists|directory") as caught:
        create_run_folder(parent=tmp_path, name="run", files=files)
    assert caught.value.errno in {errno.ENOTDIR, errno.EEXIST}
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_named(tmp_path):
    """A person may make the folder first; one that holds something is refused."""
    (tmp_path / "mine").mkdir()
    assert create_named_folder(target=tmp_path / "mine", files=lambda _: {"a": "1"}) == tmp_path / "mine"
    with pytest.raises(HandoffError) as caught:
        create_named_folder(target=tmp_path / "mine", files=lambda _: {"a": "1"})
    assert [problem.code for problem in caught.value.problems] == ["directory-not-empty"]


def test_a_reader_sees_the_old_text_or_the_new(tmp_path):
    """Replacing a file leaves no moment without it, and no draft behind."""
    target = tmp_path / "status.json"
    write_atomically(target, "old")
    with target.open() as reader:
        write_atomically(target, "new")
        assert reader.read() == "old"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert target.stat().st_mode & 0o777 == 0o600


class TestRendering:
    """`batchwright render -o DIR`."""

    def test_what_is_written(self, tmp_path):
        """The engine's files, the plan, and a list of them with hashes and commands."""
        target = tmp_path / "deep" / "job"
        placed = write_bundle(plan=PLAN, bundle=bundle(**{"engine.json": f'"{RUN_DIR}"'}), directory=target)
        assert {path.name for path in target.iterdir()} == {"plan.json", "engine.json", "bundle.json"}
        assert json.loads((target / "engine.json").read_text()) == str(target)
        manifest = json.loads((target / "bundle.json").read_text())
        assert set(manifest["files"]) == {"plan.json", "engine.json"}
        assert manifest["commands"][0]["argv"] == list(placed.commands[0].argv)
        assert placed.commands[0].argv[2] == f"{target}/plan.json"

    def test_the_hash_is_of_the_content(self, tmp_path):
        """The same bundle in two folders has one bundle_hash, another bundle another."""

        def written(name, **files):
            write_bundle(plan=PLAN, bundle=bundle(**files), directory=tmp_path / name)
            return json.loads((tmp_path / name / "bundle.json").read_text())["bundle_hash"]

        assert written("a", x="1") == written("b", x="1")
        assert written("c", x="2") != written("a", x="1")

    def test_again_over_its_own(self, tmp_path):
        """Rendering again replaces ours, takes away what is no longer part, and leaves what a job wrote."""
        write_bundle(plan=PLAN, bundle=bundle(old="1", kept="1"), directory=tmp_path)
        (tmp_path / "log.jsonl").write_text("of a job")
        write_bundle(plan=PLAN, bundle=bundle(kept="2"), directory=tmp_path)
        assert not (tmp_path / "old").exists()
        assert (tmp_path / "kept").read_text() == "2"
        assert (tmp_path / "log.jsonl").read_text() == "of a job"

    @pytest.mark.parametrize("name", ["theirs", "bundle.json", "status.json"])
    def test_somebody_elses_folder(self, tmp_path, name):
        """A folder with anything else in it, or with a run, is left as it is."""
        if name == "status.json":
            write_bundle(plan=PLAN, bundle=bundle(), directory=tmp_path)
        (tmp_path / name).write_text("{}")
        before = sorted(tmp_path.iterdir())
        with pytest.raises(HandoffError) as caught:
            write_bundle(plan=PLAN, bundle=bundle(), directory=tmp_path)
        assert [problem.code for problem in caught.value.problems] == ["directory-not-empty"]
        assert sorted(tmp_path.iterdir()) == before

    def test_a_list_that_points_outside(self, tmp_path):
        """A manifest cannot make us remove a file of another folder."""
        (tmp_path / "precious").write_text("x")
        job = tmp_path / "job"
        job.mkdir()
        (job / "bundle.json").write_text(json.dumps({"files": {"../precious": ""}}))
        write_bundle(plan=PLAN, bundle=bundle(), directory=job)
        assert (tmp_path / "precious").exists()


def test_a_taken_port_is_passed_over(tmp_path):
    """The ranks meet at the folder's own port, or at the next one that is free."""
    import socket

    start = port_of(str(tmp_path))
    assert f"--port={start}" in placed_bundle(bundle(), str(tmp_path)).commands[0].argv
    with socket.socket() as taken:
        taken.bind(("", start))
        taken.listen()
        assert f"--port={start + 1}" in placed_bundle(bundle(), str(tmp_path)).commands[0].argv


def test_a_shell_reads_back_what_was_quoted(tmp_path):
    """Folder, variables and words survive a real shell byte for byte, line breaks and quotes included."""
    words = [word for word in HOSTILE if word]
    folder = tmp_path / "a 0 it's"
    folder.mkdir()
    line = command_line(
        argv=("sh", "-c", 'pwd; printf "%s\\0" "$ODD" "$@"', "sh", *words, ""),
        env={"ODD": "a 'b' $(id)\n"},
        directory=str(folder),
    )
    ran = subprocess.run(["sh", "-c", line], capture_output=True, check=True, cwd=os.sep)
    where, _, rest = ran.stdout.decode().partition("\n")
    assert where == str(folder)
    assert rest.split("\0") == ["a 'b' $(id)\n", *words, "", ""]
