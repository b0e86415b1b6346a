"""One recipe on all machines: is it the same training, does it fit, and what differs."""

import pytest
from recipes_to_check import GOOD

MACHINES = {
    "cpu-1x2": "nodes: 1\ndevices_per_node: 2\ndevice: cpu\n",
    "t4-1x1": "nodes: 1\ndevices_per_node: 1\ndevice: t4\n",
    "a100-1x8": "nodes: 1\ndevices_per_node: 8\ndevice: a100-sxm-80gb\n",
    "a100-1x3": "nodes: 1\ndevices_per_node: 3\ndevice: a100-sxm-80gb\n",
}
DROPOUT = GOOD.replace("launch:", "model: {dropout: 0.1}\nlaunch:")


@pytest.fixture
def machines(folder):
    """Cluster files, and paths by name."""
    (folder / "clusters").mkdir()
    for name, text in MACHINES.items():
        (folder / "clusters" / f"{name}.yaml").write_text(text)
    (folder / "r.yaml").write_text(GOOD)
    return {name: f"clusters/{name}.yaml" for name in MACHINES}


def test_the_same_training(check, machines):
    """The first line answers; then a row for each machine with verdict, split and peak of usable memory."""
    answer = check("r.yaml", "--each-cluster", machines["t4-1x1"], machines["a100-1x8"])
    lines = answer.out.splitlines()
    assert (answer.code, answer.err) == (0, "")
    assert lines[0].startswith("semantics identical on all 2 clusters: ")
    assert lines[2].split() == ["cluster", "verdict", "batch", "peak"]
    assert lines[3].startswith("t4-1x1    fits     32 = 32 micro x 1 accumulation x 1 rank ")
    assert lines[4].startswith("a100-1x8  fits     32 = 4 micro x 1 accumulation x 8 ranks ")
    assert lines[3].endswith(" of 14.6 GiB")


def test_another_training(check, machines, folder):
    """Where the model draws dropout the split is part of what training means, and the table says who has which."""
    (folder / "r.yaml").write_text(DROPOUT)
    answer = check("r.yaml", "--each-cluster", machines["t4-1x1"], machines["a100-1x8"])
    assert answer.code == 0
    assert answer.out.startswith("semantics differ: 2 trainings on 2 clusters\n")
    assert "differs split.micro_batch_size: 32 on t4-1x1; 4 on a100-1x8\n" in answer.out
    assert "split.ranks: 1 on t4-1x1; 8 on a100-1x8\n" in answer.out


def test_other_number_formats(check, machines):
    """The CPU's default precision is another one, which is named."""
    answer = check("r.yaml", "--each-cluster", machines["cpu-1x2"], machines["t4-1x1"])
    assert answer.out.startswith("semantics differ: 2 trainings on 2 clusters\n")
    assert "precision.compute: fp32 on cpu-1x2; bf16 on t4-1x1" in answer.out


def test_a_machine_that_does_not_take_it(check, machines):
    """Is listed with its code; its problem names the file on standard error, and the exit is 1."""
    answer = check("r.yaml", "--each-cluster", machines["t4-1x1"], machines["a100-1x3"])
    assert answer.code == 1
    assert answer.out.startswith("semantics identical on 1 cluster: ")
    assert answer.out.splitlines()[0].endswith("; refused on 1")
    assert "a100-1x3  refused  batch-not-divisible" in answer.out
    assert answer.err.startswith("r.yaml:2:20: `global_batch_size: 32` cannot be split over 3 ")
    assert f"  on {machines['a100-1x3']}\n" in answer.err


def test_a_machine_that_is_too_small(check, machines, folder):
    """Does not fit is a row with its numbers, a problem, and exit 1."""
    (folder / "r.yaml").write_text(GOOD.replace("hidden_size: 128", "hidden_size: 8192"))
    answer = check("r.yaml", "--each-cluster", machines["t4-1x1"])
    assert answer.code == 1
    assert "t4-1x1   does-not-fit" in answer.out
    assert "[does-not-fit]" in answer.err


def test_a_whole_folder(check, machines):
    """A folder stands for the cluster files below it; what is wrong with the recipe is told once for all of them."""
    answer = check("r.yaml", "--each-cluster", "clusters")
    assert [line.split()[0] for line in answer.out.splitlines()[3 : 3 + len(machines)]] == sorted(machines)
    answer = check("gone.yaml", "--each-cluster", "clusters")
    assert answer.code == 1
    assert answer.out.startswith("refused on all 4 clusters\n")
    assert answer.err.splitlines() == ["gone.yaml: no such file [file-not-found]", "  on every cluster"]


def test_for_programs(check, machines, folder):
    """One object: whether it is one training, what differs, and each machine's plan or problems."""
    (folder / "r.yaml").write_text(DROPOUT)
    words = [machines[name] for name in ("t4-1x1", "a100-1x8", "a100-1x3")]
    answer = check("r.yaml", "--json", "--each-cluster", *words)
    assert answer.code == 1
    told = answer.json
    assert told["identical_semantics"] is False
    assert told["differs"]["split.ranks"] == {"1": [words[0]], "8": [words[1]]}
    assert [each["cluster"] for each in told["clusters"]] == words
    assert [each["verdict"] for each in told["clusters"]] == ["fits", "fits", "refused"]
    assert told["clusters"][0]["memory"]["usable_bytes"] > 14 * 2**30
    assert told["clusters"][2]["problems"][0]["code"] == "batch-not-divisible"


def test_odd_files(check, machines, folder):
    """A missing file, a folder without cluster files, and names with blanks and quotes."""
    assert "gone.yaml: no such file or folder" in check("r.yaml", "--each-cluster", "gone.yaml").err
    (folder / "empty").mkdir()
    assert "[nothing-to-check]" in check("r.yaml", "--each-cluster", "empty").err
    odd = folder / 'it\'s "a" \\ $machine.yaml'
    odd.write_text(MACHINES["t4-1x1"])
    assert check("r.yaml", "--each-cluster", odd.name, machines["a100-1x8"]).code == 0


def test_wrong_usage(check, machines):
    """It is about one recipe, and not about locks or pull requests."""
    cluster = machines["t4-1x1"]
    assert check("r.yaml", "other.yaml", "--each-cluster", cluster).code == 2
    assert check(".", "--each-cluster", cluster).code == 2
    assert check("r.yaml", "--locked", "--each-cluster", cluster).code == 2
    assert check("r.yaml", "--github", "--each-cluster", cluster).code == 2
