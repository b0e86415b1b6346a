"""Files of sequence lengths: every form that is read, and every line that is none."""

import gzip
import json
import os
import re
import subprocess
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import RecipeError
from launcher.loading import lengths as module
from launcher.loading.lengths import read_lengths, read_pairs

LENGTHS = st.lists(st.integers(1, 10**6), min_size=1)


def file(folder, data):
    path = folder / "lengths.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def refused(path, read=read_lengths):
    with pytest.raises(RecipeError) as caught:
        read(path)
    return caught.value.problems


@pytest.mark.parametrize(
    "data",
    [
        "512\n128\n512\n",
        "512\r\n128\r\n512",
        "\ufeff512\n\n128 # short\n# a comment\n  512\t\n",
        "512 2\n128 1\n",
        "512,2\n128,\t1\n",
        "512;1\n512;1\n128;1\n64;0\n",
        "[512, 128, 512]",
        "\n [512,\n128,\n512]\n",
        gzip.compress(b"512\n128\n512\n"),
        gzip.compress(b"[512, 128, 512]"),
    ],
)
def test_forms(tmp_path, data):
    """One length a line, with a count, an array, packed by gzip, with comments, from any system."""
    assert read_lengths(file(tmp_path, data)) == {512: 2, 128: 1}


@pytest.mark.parametrize(
    "data", ["512 114\n512 114\n8 9\n", "512,114,2\n8,9,1", "[[512, 114], [512, 114], [8, 9]]"]
)
def test_pairs(tmp_path, data):
    """Input and target, with a count where there is a third number."""
    assert read_pairs(file(tmp_path, data)) == {(512, 114): 2, (8, 9): 1}


@given(lengths=LENGTHS, piece=st.integers(1, 64))
def test_any_piece_size_gives_the_same(tmp_path_factory, lengths, piece):
    """Lines that lie across the pieces of a file are whole."""
    folder, size = tmp_path_factory.mktemp("lengths"), module._PIECE
    text = "".join(f"{length}\n" for length in lengths)
    try:
        module._PIECE = max(piece, 16)
        assert read_lengths(file(folder, text)) == Counter(lengths)
        assert read_lengths(file(folder, text.rstrip("\n"))) == Counter(lengths)
        assert read_lengths(file(folder, json.dumps(lengths))) == Counter(lengths)
    finally:
        module._PIECE = size


def test_every_bad_line_has_its_place(tmp_path):
    """All at once, each with its line and the reason; the first line decides how many numbers there are."""
    lines = [
        "12",
        "length",
        "0",
        "-3",
        "1.5",
        "7 8 9",
        "7 8",
        "5",
        "0x10",
        "9999999999999999",
        "1_000",
        "x" * 200,
    ]
    problems = refused(file(tmp_path, "\n".join(lines)))
    bad = [number for number, line in enumerate(lines, 1) if line not in {"12", "5"}]
    assert [int(re.search(r":(\d+):1$", problem.where)[1]) for problem in problems] == bad
    assert {problem.code for problem in problems} == {"bad-lengths"}
    assert "at least 1 token" in str(problems[1])
    assert "2 numbers, where the first line has 1" in str(problems[5])
    assert max(map(len, (str(problem) for problem in problems))) < 300


def test_very_many_bad_lines_are_counted(tmp_path):
    """Twenty are shown, and how many more there are; a file of words is given up early."""
    problems = refused(file(tmp_path, "".join(f"word{number}\n" for number in range(100))))
    assert len(problems) == 21
    assert "80 further lines" in problems[-1].message
    assert len(refused(file(tmp_path, "".join(f"word{number}\n" for number in range(30_000))))) == 21


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no lengths"),
        (b"# only this\n", "no lengths"),
        (b"[]", "no lengths"),
        (b"[1, 2", "begins as a JSON array"),
        (b"[1, true, [2, 3], 0, 1.0]", "item 1 of the array, `true`"),
        (b"[" * 100_000, "begins as a JSON array"),
        (b"[\xff]", "no UTF-8"),
        (b"\x00\x01\x02", "expected a whole number"),
        (gzip.compress(b"512\n")[:-6], "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"1" * (9 << 20), "a line of more than 8 MiB"),
    ],
)
def test_files_that_hold_none(tmp_path, data, says):
    """Whatever the file is, one sentence says so."""
    assert says in str(refused(file(tmp_path, data))[0])


@pytest.mark.parametrize("path", ["absent.txt", ".", "", "a\0b", "/dev/null"])
def test_no_file(tmp_path, path, monkeypatch):
    """A path that gives no text."""
    monkeypatch.chdir(tmp_path)
    assert refused(path)


def test_lengths_where_pairs_are_wanted(tmp_path):
    """An encoder-decoder's samples have two lengths."""
    assert "`input target`" in refused(file(tmp_path, "512\n"), read_pairs)[0].message


def test_too_many_different_ones(tmp_path, monkeypatch):
    """Memory stays bounded."""
    monkeypatch.setattr(module, "_MOST_DIFFERENT", 10)
    assert "more than 10 different" in str(
        refused(file(tmp_path, "".join(f"{n}\n" for n in range(1, 100))))[0]
    )


@pytest.mark.parametrize("text", ["512\n128\n512\n", "512\nx\n"])
def test_a_pipe(tmp_path, text):
    """It can be opened once: right lines are read, wrong ones are told without their numbers."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    with subprocess.Popen(["/bin/sh", "-c", 'printf "$1" > "$2"', "sh", text, path]):
        if "x" in text:
            assert "`x`" in refused(path)[0].message
        else:
            assert read_lengths(path) == {512: 2, 128: 1}


@given(data=st.binary(max_size=200) | st.text("0123456789 ,;#[]\n\r.-x", max_size=80).map(str.encode))
def test_any_bytes_are_lengths_or_refused(tmp_path_factory, data):
    """Never anything else, and never no samples."""
    path = file(tmp_path_factory.mktemp("bytes"), data)
    for read in (read_lengths, read_pairs):
        assert told(read, path)


def told(read, path):
    """Samples that were read, or the place of the first problem."""
    try:
        return sum(read(path).values())
    except RecipeError as error:
        return error.problems[0].where
