"""The ledgers of the catalog: whole, as published, and what the real modules still do."""

import json
import random
import shutil
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from launcher import catalog
from launcher.catalog.ledgers import families, read_ledger

FOLDER = Path(catalog.__file__).parent / "ledger_files"
MEASURED = [
    (implementation, name)
    for implementation in ("transformers", "torch")
    for name in families(implementation)
]
SYMBOLS = {"t", "u", "b", "s", "r", "h", "q", "kv", "a", "G", "d", "f", "V", "p", "k", "E", "g", "P", "n"}


def row_of(name, *, implementation="transformers", **wanted):
    """The first row that agrees."""
    wanted = {
        "activation": read_ledger(implementation, name)["describes"]["activation"],
        "dropout": False,
        **wanted,
    }
    return next(
        row
        for row in read_ledger(implementation, name)["rows"]
        if not row.get("mask") and all(row.get(key) == value for key, value in wanted.items())
    )


def polys(value):
    """Every polynomial inside a part of a file."""
    if isinstance(value, list):
        return [poly for each in value for poly in polys(each)]
    if isinstance(value, dict):
        if value and all(isinstance(each, (int, float)) for each in value.values()):
            return [value]
        return [poly for each in value.values() for poly in polys(each)]
    return []


def value_of(poly, sizes):
    return sum(
        c * (1 if name == "1" else prod(sizes[each] for each in name.split("*"))) for name, c in poly.items()
    )


def test_there_are_enough_families():
    """At least ten families of transformers, and torch's own layers."""
    names = set(families("transformers"))
    assert names >= {"llama", "qwen2", "mistral", "gemma", "gpt2", "gpt_neox", "bert", "t5", "vit", "mixtral"}
    assert set(families("torch")) >= {"encoder", "encoder_decoder"}


@pytest.mark.parametrize(("implementation", "name"), MEASURED, ids="/".join)
def test_files_are_whole(implementation, name):
    """Every file says what made it, knows every symbol it uses, and has a row for every device, precision and dropout."""
    ledger = read_ledger(implementation, name)
    assert (ledger["implementation"], ledger["family"]) == (implementation, name)
    assert ledger["regenerate"] == f"python -m launcher.measuring.ledgers {implementation} {name}"
    assert ledger["versions"]["torch"] == "2.13.0"
    found = polys([ledger["parameters"], ledger["rows"]])
    assert {symbol for poly in found for term in poly for symbol in term.split("*")} <= SYMBOLS | {"1"}
    for row in ledger["rows"]:
        assert len(row.get("backward", [])) == len(row.get("backward_gradients", []))
    unmasked = [row for row in ledger["rows"] if not row.get("mask")]
    usual = [row for row in unmasked if row["activation"] == ledger["describes"]["activation"]]
    kinds = [
        (row["device"], row["precision"], row["dropout"], row["attention"], row.get("grouped"))
        for row in usual
    ]
    assert len(kinds) == len(set(kinds))
    assert {kind[:3] for kind in kinds} == {
        (device, precision, dropout)
        for device in ("cpu", "cuda")
        for precision in ("fp32", "bf16", "autocast")
        for dropout in (False, True)
    }


def test_published_coefficients():
    """Bytes per token and layer as they are known from other measurements: norms, SwiGLU, GELU, attention, logits."""
    llama = row_of("llama", device="cuda", attention="sdpa", precision="bf16")
    assert llama["layer"] == {
        "norm": {"t*h": 2 * (4 + 2), "t": 2 * 4},
        "attention": {"t*h": 2, "t*q": 2 * 2, "t*kv": 2 * 2},
        "core": {"t*a": 4},
        "mlp": {"t*f": 4 * 2, "t*h": 2},
    }
    assert llama["last"]["logits"] == {"t*V": 4}
    assert llama["last"]["loss"]["t*V"] == 8
    gpt2 = row_of("gpt2", device="cuda", attention="sdpa", precision="bf16")
    assert gpt2["layer"]["mlp"] == {"t*f": 5 * 2, "t*h": 2}
    assert row_of("gpt2", device="cuda", attention="sdpa", precision="bf16", activation="gelu")["layer"][
        "mlp"
    ] == {
        "t*f": 2 * 2,
        "t*h": 2,
    }
    mixtral = row_of("mixtral", device="cuda", attention="sdpa", precision="bf16")
    assert mixtral["layer"]["mlp"]["t*k*g"] == 4 * 2
    assert mixtral["layer"]["mlp"]["t*k*h"] == 2 * 2


def test_the_34_of_the_literature():
    """GPT-2 with fused gelu, eager attention, dropout and 16 bits keeps s*b*h*(34 + 5*a*s/h) a layer, norms' rows apart.

    Source: Korthikanti et al. 2022, arXiv:2205.05198, equation 1.
    """
    row = row_of("gpt2", device="cuda", attention="eager", precision="bf16", dropout=True, activation="gelu")
    sizes = {"t": 4096, "s": 1024, "h": 768, "q": 768, "f": 3072, "a": 12}
    whole = sum(value_of(poly, sizes) for poly in row["layer"].values())
    assert whole == 4096 * 768 * 34 + 5 * 12 * 1024 * 4096 + 16 * 4096


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("llama", {"device": "cpu", "attention": "sdpa", "precision": "fp32"}),
        ("gpt2", {"device": "cpu", "attention": "eager", "precision": "bf16", "dropout": True}),
        ("t5", {"device": "cpu", "attention": "sdpa", "precision": "autocast"}),
        ("mixtral", {"device": "cuda", "attention": "sdpa", "precision": "bf16"}),
    ],
)
def test_rows_tell_models_of_other_sizes(name, given):
    """Under dimensions that no row was made from, a model saves what the row says, to the byte."""
    from launcher.measuring.ledgers.known import FAMILIES
    from launcher.measuring.ledgers.making import variants_of
    from launcher.measuring.ledgers.passes import LAYERS, record

    family = next(each for each in FAMILIES if each.name == name)
    variant = next(
        each
        for each in variants_of(family)
        if all(getattr(each, key) == value for key, value in {"dropout": False, **given}.items())
    )
    sizes = {**family.sets[0], "b": 3, "s": 37, "t": 111, "r": 21, "u": 63, "d": 32, "q": 128, "kv": 64}
    sizes |= {"h": 96, "f": 200, "V": 300, "p": 64, "E": 6, "k": 2, "g": 72}
    found = record(family, sizes, variant).recording
    measured = sum(
        seen.size for seen in found.seen if seen.saved_in and seen.made_by not in ("parameter", "buffer")
    )
    row = row_of(name, **given)
    layers = [poly for stack in family.stacks for poly in row[stack.name].values()]
    ends = [row["first"]["saved"], row["last"]["saved"]]
    expected = LAYERS * sum(value_of(poly, sizes) for poly in layers) + sum(
        value_of(poly, sizes) for poly in ends
    )
    assert measured == expected


@pytest.mark.torch
@pytest.mark.timeout(900)
def test_a_changed_coefficient_is_a_diff(tmp_path, capsys):
    """Measuring again gives the file; where a coefficient differs, that line and no other is printed."""
    from launcher.measuring.ledgers.__main__ import main

    shutil.copytree(FOLDER / "torch", tmp_path / "torch")
    path = tmp_path / "torch" / "encoder.json"
    text = path.read_text()
    line = '"mlp": {"t*f": 8, "t*h": 4}'
    assert line in text
    path.write_text(text.replace(line, '"mlp": {"t*f": 9, "t*h": 4}', 1))
    assert main(["torch", "encoder", "--check", "--folder", str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [text[1:].strip() for text in printed if text.startswith("-") and "catalog" not in text] == [
        '"mlp": {"t*f": 9, "t*h": 4}'
    ]
    assert [text[1:].strip() for text in printed if text.startswith("+") and "measured" not in text] == [line]
    assert path.read_text() != text


@pytest.mark.torch
@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("implementation", "name"), MEASURED, ids="/".join)
def test_measuring_again_gives_the_same_file(implementation, name, capsys):
    """The same versions give the same bytes."""
    from launcher.measuring.ledgers.__main__ import main

    assert main([implementation, name, "--check"]) == 0, capsys.readouterr().out


@pytest.mark.torch
def test_a_program_that_changes_with_its_sizes_has_no_row():
    """A model that runs other operations at other sizes is refused, not averaged."""
    from launcher.measuring.ledgers.known import FAMILIES
    from launcher.measuring.ledgers.making import variants_of
    from launcher.measuring.ledgers.rows import make_row
    from launcher.measuring.symbols import Fitter, InexactError

    family = next(each for each in FAMILIES if (each.implementation, each.name) == ("torch", "encoder"))

    def shorter(model, sizes, variant):
        return family.call(model, {**sizes, "s": min(sizes["s"], 6)}, variant)

    odd = replace(family, call=shorter)
    sets = [*odd.sets, *odd.held_out]
    fitter = Fitter([{name: each[name] for name in odd.symbols} for each in sets])
    variant = next(iter(variants_of(odd)))
    with pytest.raises(InexactError):
        make_row(odd, variant, sets, fitter)
    assert make_row(family, variant, sets, fitter)["layer"]


def test_unknown_families_are_named(capsys):
    """The command says which families there are."""
    from launcher.measuring.ledgers.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(["transformers", "lama"])
    assert stopped.value.code == 2
    assert "transformers/llama" in capsys.readouterr().err


def test_text_is_json_with_a_line_for_each_polynomial():
    """A file reads back as what was written, and every polynomial stands on a line of its own."""
    from launcher.measuring.ledgers.files import as_text

    draw = random.Random(0)
    ledger = {
        "rows": [
            {"layer": {"norm": {f"t*{name}": draw.randrange(90) for name in "abcdefghijk"}, "mlp": {"t": 1}}}
        ]
        * 3
    }
    text = as_text(ledger)
    assert json.loads(text) == ledger
    assert sum('"norm"' in line for line in text.splitlines()) == 3
