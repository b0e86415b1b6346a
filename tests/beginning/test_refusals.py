"""What init does not take: in words, with the place; never a traceback, never half a recipe."""

import io
import json
import os
import stat
from pathlib import Path

import pytest

from launcher.cli.main import main

MESSAGES = Path(__file__).with_name("messages")
RUN = "torchrun --nproc_per_node 8 train.py\n"
ZERO = '{"train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": 2, "zero_optimization": {"stage": 2}}'


def init(*words, stdin=None):
    said, told = io.StringIO(), io.StringIO()
    code = main(["init", *words], environ={"PATH": ""}, stdout=said, stderr=told)
    return code, said.getvalue(), told.getvalue()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


REFUSED = {
    "source-unknown": ({"notes.json": '{"colour": "green", "size": 3}'}, ["notes.json"]),
    "source-not-json": (
        {"ds.json": '{\n  "train_batch_size": 32,\n  "steps_per_print": 10,\n}\n'},
        ["ds.json"],
    ),
    "source-binary": ({"training_args.bin": b"PK\x03\x04\x00\x00archive/data.pkl"}, ["training_args.bin"]),
    "sources-disagree": (
        {
            "ds.json": ZERO,
            "run.sh": "deepspeed --num_gpus 8 train.py --per_device_train_batch_size 8 --deepspeed ds.json\n",
        },
        ["ds.json", "run.sh"],
    ),
    "several-launches": ({"run.sh": RUN + "torchrun --nproc_per_node 4 other.py\n"}, ["run.sh"]),
    "already-a-recipe": ({"r.yaml": "schema: 1\nglobal_batch_size: 8\n"}, ["r.yaml"]),
}


@pytest.mark.parametrize("code", REFUSED)
def test_whole_messages(code, here):
    """Each refusal of init, word for word."""
    files, words = REFUSED[code]
    for name, content in files.items():
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    exit_code, said, told = init(*words)
    assert (exit_code, said) == (1, "")
    assert told == (MESSAGES / f"{code}.txt").read_text()


ODD = {
    "nothing there": ({}, ["gone.json"], "gone.json: no such file [file-not-found]"),
    "empty": ({"a.json": ""}, ["a.json"], "a.json: the file is empty [source-unknown]"),
    "blank": ({"a.sh": "\n \n"}, ["a.sh"], "the file is empty"),
    "a name with quotes": ({"a 'b\".json": "{]"}, ["a 'b\".json"], "a 'b\".json:1:2: not JSON"),
    "yaml": (
        {"a.yaml": "compute_environment: LOCAL_MACHINE\nfsdp_config: {a: 1\n"},
        ["a.yaml"],
        "a.yaml:2:14: these keys are not closed",
    ),
    "a yaml key twice": (
        {"a.yaml": "num_machines: 1\nnum_machines: 2\n"},
        ["a.yaml"],
        "a.yaml:2:1: key `num_machines` is already written",
    ),
    "a json key twice": ({"a.json": '{"bf16": {}, "bf16": {}}'}, ["a.json"], "key `bf16` stands twice"),
    "not finite": ({"a.json": '{"train_batch_size": NaN}'}, ["a.json"], "`NaN`: expected a finite number"),
    "deep": ({"a.json": '{"a":' * 5000 + "1" + "}" * 5000}, ["a.json"], "nested too deep"),
    "huge": ({"a.json": b" " * (2**22 + 1)}, ["a.json"], "larger than any recipe (4 MiB)"),
    "latin": ({"a.json": b'{"train_batch_size": "\xe9"}'}, ["a.json"], "a.json:1:23: byte 0xe9 is not UTF-8"),
    "image": ({"a.png": b"\x89PNG\r\n\x1a\n\0\0\0"}, ["a.png"], "a.png: not text [source-binary]"),
    "a list": ({"a.json": "[1, 2]"}, ["a.json"], "a.json: of no kind that is read"),
    "prose": ({"a.txt": "Dear all,\nrun it with care: now.\n"}, ["a.txt"], "of no kind that is read"),
    "model type": (
        {"config.json": '{"model_type": "unheard_of", "hidden_size": 8}'},
        ["config.json"],
        "a model of model_type 'unheard_of', which is not read",
    ),
    "an empty folder": ({"d/.keep": ""}, ["d"], "d: nothing in this folder is of a kind that is read"),
    "another command": ({}, ["--", "make", "all"], "`make all` calls no launcher with a script"),
    "no script": ({}, ["--", "torchrun", "--nproc_per_node", "2"], "calls no launcher with a script"),
    "two lines": ({"a.sh": RUN, "b.sh": "deepspeed x.py\n"}, ["a.sh", "b.sh"], "2 command lines: a.sh:1, b.sh:1"),
    "batch": (
        {"ds.json": ZERO.replace("{", '{"train_batch_size": 100, ', 1), "a.sh": "deepspeed --num_gpus 8 t.py\n"},
        ["ds.json", "a.sh"],
        "`global_batch_size` is 100 in ds.json: train_batch_size, and 4 micro x 2 accumulation x 8 ranks is 64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_files_are_refused_in_words(case, here):
    """Files that are not there, not text, not whole, or of another world."""
    files, words, message = ODD[case]
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    exit_code, said, told = init(*words)
    assert (exit_code, said) == (1, "")
    assert message in told
    assert told.endswith(("1 problem\n", "2 problems\n"))


def test_every_problem_is_told_at_once(here):
    """Two bad files are two problems."""
    Path("a.json").write_text("{]")
    Path("b.json").write_text("[]")
    _, _, told = init("a.json", "b.json", "c.json")
    assert told.endswith("3 problems\n")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_one_line(here):
    """Permission denied is said as what it is."""
    Path("a.json").write_text(ZERO)
    Path("a.json").chmod(stat.S_IWUSR)
    assert "cannot be read: permission denied" in init("a.json")[2]


def test_links_folders_and_line_ends_are_no_matter(here):
    """A link to a file, a path with spaces, CRLF, a byte order mark: all read."""
    Path("a b").mkdir()
    Path("a b", "ds.json").write_bytes(b"\xef\xbb\xbf" + ZERO.replace(",", ",\r\n").encode())
    Path("link.json").symlink_to(Path("a b", "ds.json"))
    Path("run.sh").write_bytes(b"deepspeed --num_gpus 8 \\\r\n  train.py\r\n")
    for source in ("link.json", "a b/ds.json", "a b"):
        code, said, told = init(source, "run.sh", "--json")
        assert code == 0, told
        assert json.loads(said)["recipe"]["global_batch_size"] == 64


def test_an_existing_file_is_never_overwritten(here):
    """Neither a file nor a link that leads nowhere; and nothing is printed in its place."""
    Path("r.yaml").write_text("mine\n")
    Path("gone.yaml").symlink_to("nowhere")
    for name in ("r.yaml", "gone.yaml"):
        code, said, told = init("-o", name, "--", *RUN.split())
        assert (code, said) == (1, "")
        assert f"`-o {name}` is there already [would-overwrite]" in told
    assert Path("r.yaml").read_text() == "mine\n"
    assert not Path("nowhere").exists()


def test_a_folder_that_is_not_there_for_the_output(here):
    """No folder is made for it."""
    code, _, told = init("-o", "no/such/r.yaml", "--", *RUN.split())
    assert code == 1
    assert "cannot be written: no such file or directory" in told


def test_nothing_to_read_and_nobody_to_ask(here, monkeypatch):
    """Wrong usage, in words."""
    code, said, told = init()
    assert (code, said) == (2, "")
    assert "no source, and no terminal to ask at" in told
    assert "nothing behind `--`" in init("--")[2]
