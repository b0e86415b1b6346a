"""What `batchwright check` prints for people, for programs and for GitHub, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from recipes_to_check import GOOD

ROOT = Path(__file__).parents[2]
CLUSTER = "nodes: 1\ndevices_per_node: 8\ndevice: a100-sxm-80gb\n"
BAD = GOOD.replace("hidden_size: 128", "hidden_siz: 128").replace(
    "devices_per_node: 2", "devices_per_node: 3"
)
TOO_LARGE = GOOD.replace("hidden_size: 128", "hidden_size: 16384").replace(
    "devices_per_node: 2, device: cpu", "devices_per_node: 1, device: t4"
)
POOR = GOOD.replace("global_batch_size: 32", "global_batch_size: 26").replace(
    "optimizer: {", "optimizer: {name: sgd, betas: [0.9, 0.9], "
)


@pytest.fixture
def files(folder):
    """Recipes and a cluster file, three of them with something to say."""
    (folder / "clusters").mkdir()
    (folder / "bad.yaml").write_text(BAD)
    (folder / "good.yaml").write_text(GOOD)
    (folder / "poor.yaml").write_text(POOR)
    (folder / "other.yaml").write_text("a: 1\n")
    (folder / "clusters" / "lab.yaml").write_text(CLUSTER)
    return folder


@pytest.mark.usefixtures("files")
def test_for_people(check):
    """Good files and what their batch comes to on standard output; problems, warnings and the count on the other."""
    answer = check(".")
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "cluster         clusters/lab.yaml  1 node x 8 a100-sxm-80gb",
        "unknown-memory  good.yaml  32 = 8 micro x 2 accumulation x 2 ranks, 2,048 tokens per step",
        "unknown-memory  poor.yaml  26 = 1 micro x 13 accumulation x 2 ranks, 1,664 tokens per step",
    ]
    lines = answer.err.splitlines()
    assert lines[0].startswith(
        "bad.yaml:2:20: `global_batch_size: 32` cannot be split over 3 data-parallel ranks"
    )
    assert any(line.startswith("bad.yaml:4:1: unknown key `hidden_siz`") for line in lines)
    assert sum(line.startswith("warning: poor.yaml:") for line in lines) == 2
    assert lines[-1] == ("3 recipes, 1 cluster: 2 problems, 2 warnings in 2 files; 1 other YAML file skipped")


@pytest.mark.usefixtures("files")
def test_all_is_well(check):
    """Nothing but one line for each file, the count, and exit 0."""
    answer = check("good.yaml")
    assert (answer.code, answer.err) == (0, "1 recipe: 0 problems\n")


@pytest.mark.usefixtures("files")
def test_strict_takes_warnings_as_problems(check):
    """A warning ends with 0, and with 1 where nothing may be left open; notes never count."""
    assert check("poor.yaml").code == 0
    answer = check("poor.yaml", "--strict")
    assert (answer.code, answer.err.splitlines()[-1]) == (1, "1 recipe: 2 problems in 1 file")
    assert "warning: " not in answer.err
    assert check("good.yaml", "--strict").code == 0


@pytest.mark.usefixtures("files")
def test_for_programs(check):
    """One object: every file with its kind, verdict, hashes, batch and problems, and the sums."""
    answer = check(".", "--json")
    assert (answer.code, answer.err) == (1, "")
    told = answer.json
    assert told["check_version"] == 1
    assert told["summary"] == {
        "recipes": 3,
        "clusters": 1,
        "catalogs": 0,
        "skipped": 1,
        "problems": 2,
        "warnings": 2,
        "notes": told["summary"]["notes"],
        "files_with_problems": 2,
    }
    by_path = {file["path"]: file for file in told["files"]}
    assert list(by_path) == ["bad.yaml", "clusters/lab.yaml", "good.yaml", "poor.yaml"]
    good, bad = by_path["good.yaml"], by_path["bad.yaml"]
    assert (good["verdict"], good["batch"]["micro_batch_size"]) == ("unknown-memory", 8)
    assert re.fullmatch("[0-9a-f]{64}", good["plan_hash"])
    assert (bad["verdict"], bad["plan_hash"]) == ("refused", None)
    assert [problem["code"] for problem in bad["problems"]] == ["batch-not-divisible", "unknown-key"]
    assert bad["problems"][0]["where"] == "bad.yaml:2:20"
    assert told["skipped"] == ["other.yaml"]


@pytest.mark.usefixtures("files")
def test_for_github(check, files):
    """Problems are commands on standard output, paths from the root of the checkout, what GitHub reads escaped."""
    answer = check("bad.yaml", "--github", environ={"GITHUB_WORKSPACE": str(files.parent)})
    lines = answer.out.splitlines()
    assert answer.code == 1
    assert lines[0] == (
        f"::error file={files.name}/bad.yaml,line=2,col=20,title=batch-not-divisible::"
        "`global_batch_size: 32` cannot be split over 3 data-parallel ranks%0A3 = 1 node x 3 devices%0A32 / 3 is not whole"
        "%0Ahint: use 30 or 33; or let the runtime pad 1 idle slot (3.0 %25 of the work): launch.runtime: true"
    )
    assert lines[1].startswith(
        f"::error file={files.name}/bad.yaml,line=4,col=1,title=unknown-key::unknown key "
    )
    assert answer.err == "1 recipe: 2 problems in 1 file\n"


def test_what_github_reads_is_escaped(check, folder):
    """A file's name ends no property and starts no command, and a place that is no file stays in the message."""
    name = "a,b::c%\n::set-output name=x::.yaml"
    (folder / name).write_text(BAD)
    lines = check(name, "--github").out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("::error ") for line in lines)
    assert (
        check("gone.yaml", "--github").out
        == "::error title=file-not-found::gone.yaml: no such file or folder\n"
    )


@pytest.mark.usefixtures("files")
def test_warnings_for_github(check):
    """A warning is a warning there too."""
    assert check("poor.yaml", "--github").out.count("::warning file=poor.yaml,line=") == 2


def test_a_fault_of_a_cluster_file_is_told_once(check, folder):
    """However many recipes use it; they say nothing of their own, and none of them counts as good."""
    (folder / "clusters").mkdir()
    (folder / "clusters/lab.yaml").write_text("nodes: 1\ndevices_per_node: 8\ndevice: a100-sxm\n")
    for name in "abc":
        (folder / f"{name}.yaml").write_text(
            GOOD.replace("{nodes: 1, devices_per_node: 2, device: cpu}", "lab")
        )
    answer = check(".")
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.count("[unknown-device]") == 1
    assert answer.err.startswith("clusters/lab.yaml:3:9: ")
    assert answer.err.splitlines()[-1] == "3 recipes, 1 cluster: 1 problem in 1 file"
    alone = check("a.yaml")
    assert alone.err.splitlines()[-1] == "1 recipe: 1 problem in 1 file"


def test_a_cluster_file_alone(check, folder):
    """Is checked without a recipe: its keys, its device, its units; hostfiles belong to recipes."""
    (folder / "clusters").mkdir()
    path = folder / "clusters/lab.yaml"
    path.write_text("nodes: 2\ndevices_per_node: 8\ndevice: h100-sxm-80gb\nhostfile: hosts\ntime_limit: 3\n")
    answer = check("clusters")
    assert answer.err.splitlines()[0].startswith("clusters/lab.yaml:5:13: `cluster.time_limit: 3`")
    assert answer.err.splitlines()[-1] == "1 cluster: 1 problem in 1 file"
    path.write_text("nodes: 2\ndevices_per_node: 8\ndevice: h100-sxm-80gb\n")
    assert check(str(path)).out == f"cluster         {path}  2 nodes x 8 h100-sxm-80gb\n"


def test_what_does_not_fit(check, folder):
    """Is a problem, with peak and capacity at its place."""
    (folder / "r.yaml").write_text(TOO_LARGE)
    answer = check("r.yaml")
    assert answer.code == 1
    assert re.match(
        r"r\.yaml:\S+ micro-batch 1 takes .* GiB of the .* GiB that t4 leaves \[does-not-fit\]", answer.err
    )


def test_a_lock_approves_what_does_not_fit(check, folder):
    """A recipe whose point is not to fit passes with its lock, and no longer once it means another training."""
    from launcher.cli.main import main

    path = folder / "r.yaml"
    path.write_text(TOO_LARGE)
    assert main(["lock", "r.yaml"], environ={}) == 0
    answer = check("r.yaml", "--strict")
    assert answer.code == 0
    assert answer.out.startswith("does-not-fit ")
    path.write_text(TOO_LARGE.replace("32", "64"))
    assert check("r.yaml").code == 1


def test_what_only_rendering_refuses(check, folder):
    """Counts where the recipe says how it is started, and not where it is planned only."""
    (folder / "r.yaml").write_text(GOOD.replace("script: train.py", "script: train.py, restarts: 2"))
    assert "[not-yet-supported]" in check("r.yaml").err
    (folder / "r.yaml").write_text(GOOD.replace(", script: train.py", ""))
    assert "[missing-script]" in check("r.yaml").err
    (folder / "r.yaml").write_text(GOOD.replace("launch: {engine: torchrun, script: train.py}\n", ""))
    answer = check("r.yaml")
    assert (answer.code, answer.out.split("  ")[0]) == (0, "plan only")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty-recipe"),
        (b"# nothing\n", "empty-recipe"),
        (b"just text\n", "not-a-mapping"),
        (b"schema: 1\n\xff\n", "not-utf8"),
        (b"\x7fELF\x02\x01\x01\x00", "yaml-syntax"),
        (b"schema: 1\nname: [\n", "yaml-syntax"),
        (b"schema: 99\nglobal_batch_size: no\n", "schema-too-new"),
        (b"schema: 1\r\nglobal_batch_size: 8\r\nhidden_size: no\r\n", "wrong-type"),
        (b"schema: 1\n---\nschema: 1\n", "several-documents"),
    ],
)
def test_odd_files(check, folder, text, code):
    """Whatever a named file holds, it ends in words."""
    (folder / "r.yaml").write_bytes(text)
    answer = check("r.yaml")
    assert answer.code == 1
    assert f"[{code}]" in answer.err


@pytest.mark.parametrize(
    "words", [(), ("--json", "--github", "."), (".", "--against", "HEAD"), (".", "--allow-moved")]
)
def test_wrong_usage(check, words):
    """Options that make no sense together end with 2."""
    assert check(*words).code == 2


def test_the_same_bytes_twice(check, files):
    """The same files give the same output."""
    first, second = check(".", "--json"), check(".", "--json")
    assert first.out == second.out
    assert files.name not in first.out


def test_a_check_imports_nothing_heavy(files):
    """No torch, no numpy, no engine."""
    code = (
        "import sys; from launcher.cli.main import main; main(['check', '.']);"
        "print([name for name in ('torch', 'numpy', 'deepspeed', 'accelerate', 'transformers') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=files, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_revision_that_cannot_be_read(check, folder):
    """Is one more problem, in every form; the recipes are checked all the same."""
    (folder / "r.yaml").write_text(GOOD)
    answer = check("r.yaml", "--locked", "--against", "nowhere")
    assert answer.code == 1
    assert answer.out.startswith("unknown-memory  r.yaml  ")
    assert answer.err.splitlines()[-1].startswith("1 recipe: 1 problem")
    assert check("r.yaml", "--locked", "--against", "nowhere", "--github").out.count("::error ") == 1
    told = check("r.yaml", "--locked", "--against", "nowhere", "--json").json
    assert [file["path"] for file in told["files"]] == ["r.yaml", ""]


def test_locks_are_looked_at(check, folder):
    """Without a lock a recipe is warned of, with one it passes, and a moved meaning is told with its difference."""
    from launcher.cli.main import main

    path = folder / "r.yaml"
    path.write_text(GOOD)
    assert "warning: r.yaml: the recipe has no lock [not-locked]" in check(".", "--locked").err
    assert main(["lock", "r.yaml"], environ={}) == 0
    assert check(".", "--locked", "--strict").err == "1 recipe: 0 problems\n"
    path.write_text(GOOD.replace("1e-3", "2e-3"))
    answer = check(".", "--locked")
    assert answer.code == 1
    assert "[lock-moved]" in answer.err
    assert "0.001 -> 0.002" in answer.err
    assert any(
        "0.001 -> 0.002" in line for line in check(".", "--locked", "--json").json["files"][0]["moved"]
    )
    assert check(".", "--locked", "--allow-moved").code == 0


ROWS = """\
devices:
  ours:
    kind: cuda
    memory_gib: 24
    source: https://example.org/ours
"""


def test_a_catalog_of_ones_own(check, folder):
    """Rows are checked by themselves; what is wrong with one is told once, and not as a device that nobody knows."""
    (folder / "catalog").mkdir()
    rows = folder / "catalog" / "devices.yaml"
    rows.write_text(ROWS)
    for name in "ab":
        (folder / f"{name}.yaml").write_text(GOOD.replace("device: cpu", "device: ours"))
    answer = check(".")
    assert answer.code == 0, answer.err
    assert answer.err.splitlines()[-1].startswith("2 recipes, 1 catalog: 0 problems")
    rows.write_text(ROWS.replace("memory_gib: 24", "memory_gib: lots"))
    answer = check(".")
    assert answer.code == 1
    assert answer.err.startswith("catalog/devices.yaml:4:17: ")
    assert answer.err.splitlines()[-1] == "2 recipes, 1 catalog: 1 problem in 1 file"
    alone = check("catalog/devices.yaml")
    assert alone.err.splitlines()[-1] == "1 catalog: 1 problem in 1 file"
