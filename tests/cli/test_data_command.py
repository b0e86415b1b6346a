"""`batchwright data`: what it prints of a file of lengths, and what it refuses."""

import io
import json
from pathlib import Path

import pytest

from launcher.cli.main import main

ROOT = Path(__file__).parents[2]
MESSAGES = Path(__file__).parent / "messages"
RECIPE = {"schema": 1, "global_batch_size": 8, "sequence_length": 512, "hidden_size": 64, "micro_batch_size": 4,
          "cluster": {"devices_per_node": 2, "device": "cpu"}}  # fmt: skip
LENGTHS = "100 60\n300 30\n1000 10\n"


def call(*words):
    out, err = io.StringIO(), io.StringIO()
    code = main(["data", *words], environ={"PATH": ""}, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(json.dumps(RECIPE, indent=1))
    Path("lengths.txt").write_text(LENGTHS)
    return tmp_path


def test_what_a_person_reads():
    """The first line answers; every line stays within 100 characters; rows are in order, the recipe's marked."""
    code, out, err = call("r.yaml", "--lengths", "lengths.txt")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("42.3 % of the slots are padding")
    assert "recipe  r.yaml" in lines
    assert "10.0 % of the samples lose 19.5 % of the tokens" in lines[0]
    assert max(map(len, lines)) <= 100
    assert "100 samples, 25,000 tokens in lengths.txt" in out
    rows = [line for line in lines if line[:1].isdigit()]
    assert [row.split("  ")[0].strip() for row in rows[1:]] == [
        "100",
        "128",
        "256",
        "300",
        "512 *",
        "1,000",
        "1,024",
    ]
    assert "[lengths-disagree]" in err


def test_what_a_program_reads():
    """The names of the contract, and the numbers that people are shown rounded."""
    code, out, _ = call("r.yaml", "--lengths", "lengths.txt", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {
        *("file", "num_samples", "num_tokens", "lengths", "micro_batch_size", "global_batch_size"),
        *("recipe", "advice", "rows", "problems"),
    }
    own = next(row for row in found["rows"] if row["own"])
    assert own["truncated_samples"] == 0.1
    assert own["slots"]["padded"] == 51_200
    assert own["waste"]["padded"] == pytest.approx(1 - 20_120 / 51_200)
    assert found["recipe"]["steps_per_epoch"] == 13
    assert found["lengths"]["quantiles"]["0.9"] == 300
    assert found["problems"][0]["code"] == "lengths-disagree"


def test_an_encoder_decoder():
    """Two lengths a line, and no packing."""
    model = {"kind": "encoder-decoder", "num_layers": 1}
    Path("r.yaml").write_text(
        json.dumps({**RECIPE, "sequence_length": {"input": 8, "target": 4}, "model": model})
    )
    Path("lengths.txt").write_text("10 2\n6 4\n")
    code, out, _ = call("r.yaml", "--lengths", "lengths.txt")
    assert code == 0
    assert "8 + 4 *" in out
    assert "packed" not in out
    found = json.loads(call("r.yaml", "--lengths", "lengths.txt", "--json")[1])
    assert found["rows"][0]["sequence_length"].keys() == found["lengths"].keys() == {"input", "target"}


@pytest.mark.parametrize(
    ("code", "lengths", "changes"),
    [
        ("bad-lengths", "length\n100\n0\n100 3\n", {}),
        ("no-sequences", LENGTHS, {"sequence_length": None, "hidden_size": None, "model": {"kind": "resnet"}}),
        ("lengths-disagree", LENGTHS, {"data": {"packing": "padded", "mean_length": 300, "num_samples": 70,  "loss_token_fraction": 0.9}}),
    ],
)  # fmt: skip
def test_whole_messages(code, lengths, changes):
    """What is read of each code, letter by letter."""
    Path("r.yaml").write_text(json.dumps({**RECIPE, **changes}, indent=1))
    Path("lengths.txt").write_text(lengths)
    _, _, err = call("r.yaml", "--lengths", "lengths.txt")
    assert f"[{code}]" in err
    assert err == (MESSAGES / f"{code}.txt").read_text()


def test_the_example_of_the_help(monkeypatch):
    """The file of lengths that ships beside the quickstart."""
    monkeypatch.chdir(ROOT)
    code, out, _ = call("recipes/quickstart/cpu-1x2.yaml", "--lengths", "recipes/quickstart/lengths.txt")
    assert code == 0
    assert "2,608 samples, 430,646 tokens" in out
