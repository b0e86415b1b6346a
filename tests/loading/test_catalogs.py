"""A user's own rows of the catalog: found beside the recipe and above it, read strictly, and planned with."""

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import load_recipe, plan
from launcher.api import render
from launcher.catalog.devices import DEVICES, SHIPPED
from launcher.cli.main import main
from launcher.errors import PlanError, RecipeError
from launcher.loading.catalogs import read_catalog
from launcher.loading.found import Found

MESSAGE = Path(__file__).parent / "messages" / "row-twice.txt"
DEVICE = {
    "kind": "cuda",
    "memory_gib": 96,
    "usable_gib": 95.1,
    "has_bf16": True,
    "dense_tflops": {"fp32": 44, "bf16": 148},
    "memory_gb_per_second": 4000,
    "link_gb_per_second": 450,
    "pcie_gb_per_second": 64,
    "multiprocessors": 78,
    "driver_name": "NVIDIA H20",
    "source": "NVIDIA H20 data sheet",
    "sources": {"usable_gib": "a message of ours"},
}
MODEL = {
    "hidden_size": 64,
    "model": {"num_layers": 2, "num_attention_heads": 2, "vocab_size": 100, "position": "none"},
    "num_parameters": 106496,
    "source": "ours",
}
RECIPE = {
    "global_batch_size": 64,
    "sequence_length": 256,
    "model": {"preset": "ours"},
    "cluster": {"devices_per_node": 8, "device": "h20"},
    "launch": {"script": "train.py"},
}


def catalogs(folder, *, devices=None, models=None, inner="catalog"):
    (folder / inner).mkdir(parents=True, exist_ok=True)
    for name, rows in (("devices", devices), ("models", models)):
        if rows is not None:
            (folder / inner / f"{name}.yaml").write_text(json.dumps({"schema": 1, name: rows}, indent=1))


def recipe(folder, **keys):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "r.yaml"
    path.write_text(json.dumps({"schema": 1, **RECIPE, **keys}))
    return path


def problems(path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return caught.value.problems


@pytest.mark.parametrize("inner", ["catalog", "recipes/catalog"])
def test_rows_beside_the_recipe_and_above_it(tmp_path, inner):
    """A device and a model of one's own are planned and rendered as shipped ones are, from any folder below."""
    catalogs(tmp_path, devices={"h20": DEVICE}, models={"ours": MODEL}, inner=inner)
    for folder in (tmp_path, tmp_path / "a" / "b"):
        loaded = load_recipe(recipe(folder))
        made = plan(loaded)
        assert made.layout.device == "h20"
        assert made.memory.capacity_bytes == 96 * 2**30
        assert made.memory.usable_bytes == round(95.1 * 2**30)
        assert made.model.num_parameters == MODEL["num_parameters"]
        assert render(loaded, made).commands


def test_numbers_say_which_row_they_come_from(tmp_path):
    """Origins name the file and the source of the number itself."""
    catalogs(tmp_path, devices={"h20": DEVICE}, models={"ours": MODEL})
    origins = plan(load_recipe(recipe(tmp_path))).origins
    assert origins["memory.usable_bytes"].formula == "a message of ours"
    assert origins["memory.capacity_bytes"].formula == "NVIDIA H20 data sheet"
    assert origins["memory.usable_bytes"].file.endswith("catalog/devices.yaml:4:3")
    assert "catalog/models.yaml:4:3" in origins["model.num_layers"].file


def test_a_row_without_usable_memory_gets_the_smallest_share(tmp_path):
    """As a shipped device has it where nobody printed what a driver leaves."""
    catalogs(
        tmp_path,
        devices={
            "h20": {key: value for key, value in DEVICE.items() if key not in {"usable_gib", "sources"}}
        },
    )
    made = plan(load_recipe(recipe(tmp_path, model={}, hidden_size=128)))
    assert made.memory.usable_bytes == round(0.97 * 96 * 2**30)
    assert "0.97" in made.origins["memory.usable_bytes"].formula


def test_the_meaning_of_training_does_not_depend_on_rows(tmp_path):
    """The same device as a row of one's own under another name gives the same semantics_hash."""
    own = {**DEVICE, "memory_gib": 80, "usable_gib": 79.14}
    catalogs(tmp_path, devices={"mine": own})
    keys = {"model": {}, "hidden_size": 128}
    mine = plan(load_recipe(recipe(tmp_path, **keys, cluster={"device": "mine"})))
    shipped = plan(load_recipe(recipe(tmp_path, **keys, cluster={"device": "h100-sxm-80gb"})))
    assert mine.semantics_hash == shipped.semantics_hash
    assert mine.memory.peak_bytes == shipped.memory.peak_bytes


def test_a_machine_is_recognised_by_its_drivers_name(tmp_path):
    """What a driver calls its device finds the row that says so."""
    catalogs(tmp_path, devices={"h20": DEVICE})
    keys = {"model": {}, "hidden_size": 128}
    made = plan(load_recipe(recipe(tmp_path, **keys, cluster={"device": "NVIDIA H20"})))
    assert made.layout.device == "h20"


def test_near_misses_know_own_rows(tmp_path):
    """A slip of a row's name is answered with it."""
    catalogs(tmp_path, devices={"acme-npu-64gb": DEVICE}, models={"our-model-300m": MODEL, "ours": MODEL})
    with pytest.raises(PlanError) as caught:
        plan(load_recipe(recipe(tmp_path, cluster={"device": "acme-npu-46gb"})))
    assert "`acme-npu-64gb`" in caught.value.problems[0].hint
    (problem,) = problems(recipe(tmp_path, model={"preset": "our-model-30m"}))
    assert "`our-model-300m`" in problem.hint


def test_whole_messages(tmp_path, monkeypatch):
    """What is read where a row has the name of a shipped one, or of one in a nearer file."""
    catalogs(tmp_path, devices={"h20": DEVICE, "l4": DEVICE}, models={"gpt2": MODEL})
    catalogs(tmp_path / "a", devices={"h20": DEVICE})
    recipe(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    text = "".join(f"{problem}\n" for problem in problems("r.yaml") if problem.code == "row-twice")
    assert text == MESSAGE.read_text()


def test_a_row_may_replace_a_shipped_one(tmp_path):
    """Only where it says so; and saying so without a shipped one is a mistake too."""
    small = {"kind": "cuda", "memory_gib": 20, "source": "half a card", "replaces_shipped": True}
    catalogs(tmp_path, devices={"l4": small})
    made = plan(load_recipe(recipe(tmp_path, model={}, hidden_size=128, cluster={"device": "l4"})))
    assert made.memory.capacity_bytes == 20 * 2**30
    catalogs(tmp_path, devices={"l5": small})
    assert [problem.code for problem in problems(recipe(tmp_path, model={}, hidden_size=128))] == [
        "bad-choice"
    ]


BAD_ROWS = {
    "missing-key": {"kind": "cuda", "memory_gib": 1},
    "unknown-key": {**DEVICE, "memory": 3},
    "wrong-type": {**DEVICE, "memory_gib": "much"},
    "out-of-range": {**DEVICE, "memory_gib": 0},
    "bad-choice": {**DEVICE, "usable_gib": 97},
}


def test_every_problem_of_every_row_at_once(tmp_path):
    """Each faulty row is named at its own line, those of both files in one go."""
    models = {
        "a": {**MODEL, "num_parameters": 7},
        "b": {**MODEL, "model": {"preset": "gpt2"}},
        "c": {"hidden_size": 8},
    }
    catalogs(tmp_path, devices={**BAD_ROWS, "h20": DEVICE}, models={**models, "ours": MODEL})
    found = problems(recipe(tmp_path))
    devices = [problem for problem in found if "devices.yaml" in problem.where]
    lines = (tmp_path / "catalog" / "devices.yaml").read_text().splitlines()
    assert [problem.code for problem in devices] == list(BAD_ROWS)
    for problem in devices:
        line = int(re.search(r":(\d+):\d+$", problem.where)[1])
        row = problem.path.split(".")[1]
        assert row == problem.code
        names = [at for at, text in enumerate(lines, 1) if re.match(r'  "[^"]+": \{$', text)]
        assert lines[max(at for at in names if at <= line) - 1] == f'  "{row}": {{'
    assert [problem.code for problem in found if "models.yaml" in problem.where] == [
        "ambiguous-model",
        "bad-choice",
        "missing-key",
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "empty-recipe"), ("{}", "empty-recipe"), ("[]", "not-a-mapping"), ("x", "not-a-mapping"), ("a: {", "yaml-syntax"),
     ("schema: 2", "bad-choice"), ("devices: 3", "wrong-type"), ("devices: {a: &x {}}", "yaml-tag"), ("\xff", "not-utf8")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["devices", "models"])
def test_a_file_that_is_no_catalog(tmp_path, text, code, name):
    """Said at the file, whatever it holds."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / f"{name}.yaml").write_bytes(text.encode("latin-1"))
    found = problems(recipe(tmp_path, model={}, hidden_size=128))
    assert code in {problem.code for problem in found}
    assert all(f"{name}.yaml" in problem.where for problem in found)


def test_a_catalog_that_is_no_file(tmp_path):
    """A link to nowhere and a folder are told as such."""
    (tmp_path / "catalog" / "models.yaml").mkdir(parents=True)
    (tmp_path / "catalog" / "devices.yaml").symlink_to(tmp_path / "absent")
    found = problems(recipe(tmp_path, model={}, hidden_size=128))
    assert [problem.code for problem in found] == ["file-not-found", "file-not-found"]


def test_a_catalog_is_no_recipe(tmp_path):
    """`batchwright check` takes it for what it is, though it begins with a schema, and finds nothing wrong."""
    catalogs(tmp_path, devices={"h20": DEVICE}, models={"ours": MODEL})
    recipe(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    assert main(["check", str(tmp_path), "--json"], environ={"PATH": ""}, stdout=out, stderr=err) == 0
    kinds = {Path(each["path"]).name: each["kind"] for each in json.loads(out.getvalue())["files"]}
    assert kinds == {"devices.yaml": "catalog", "models.yaml": "catalog", "r.yaml": "recipe"}


def test_the_shipped_file_is_such_a_file():
    """The shipped devices are read by the reader of users' rows without a complaint but that they are shipped."""
    found = Found()
    read_catalog(str(SHIPPED), found)
    assert [problem.code for problem in found.problems()] == ["row-twice"] * len(DEVICES)


VALUES = st.sampled_from([None, True, -1, 0, 3.5, "text", "", [], {}, [1], {"a": 1}])
KEYS = st.sampled_from([*DEVICE, "replaces_shipped", "sourc", "0"])


@given(key=KEYS, value=VALUES, drop=st.booleans())
def test_any_change_of_a_row_is_refused_at_it_or_taken(tmp_path_factory, key, value, drop):
    """A mutant of a row gives problems that stand in the file, or a plan; never anything else."""
    folder = tmp_path_factory.mktemp("mutant")
    row = {name: old for name, old in DEVICE.items() if name != key} if drop else {**DEVICE, key: value}
    catalogs(folder, devices={"h20": row}, models={"ours": {**MODEL, **({"model": value} if drop else {})}})
    path = recipe(folder)
    found, device = outcome(path)
    assert all("catalog/" in problem.where for problem in found if problem.code != "unknown-preset")
    assert found or device in {"h20", None}


def outcome(path):
    """Problems of loading, else the device of the plan, else nothing where no plan exists."""
    try:
        return (), plan(load_recipe(path)).layout.device
    except RecipeError as error:
        return error.problems, None
    except PlanError:
        return (), None


def test_the_files_of_the_how_to(tmp_path):
    """What the documentation tells people to write is read, and planned with."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "add-a-device.md").read_text()
    blocks = re.findall(r"```yaml\n# (catalog/\w+\.yaml)\n(.*?)```", page, re.DOTALL)
    (tmp_path / "catalog").mkdir()
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    keys = {"model": {"preset": "ours-350m"}, "cluster": {"device": "NVIDIA H20"}}
    made = plan(load_recipe(recipe(tmp_path, **keys)))
    assert made.layout.device == "h20-sxm-96gb"
    assert made.model.num_parameters == 355_919_872
