"""Stacks as faulthandler writes them."""

import faulthandler
import threading

from launcher.handoff.guard.stacks import main_frames, own_lines

DUMP = """\
Thread 0x00007f9a45068b80 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait
  File "/job/loading.py", line 7 in prefetch

Current thread 0x00007f9a45068b81 (most recent call first):
  File "/env/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line 785 in _next_data
  File "/job/data/rows.py", line 31 in __getitem__
  File "/env/lib/python3.11/site-packages/batchwright_witness/hooks.py", line 109 in __next__
  File "/job/train.py", line 24 in <module>
  File "<frozen runpy>", line 88 in _run_code
"""


def test_the_innermost_own_line_comes_first():
    """Python's files, installed packages and ours are left out; names are taken from the folder of the job."""
    assert own_lines(main_frames(DUMP), workdir="/job") == (
        "data/rows.py:31 in __getitem__",
        "train.py:24 in <module>",
    )


def test_the_last_dump_counts():
    """A file that was asked for twice holds two; the threads of the second end with its main thread."""
    again = DUMP.replace("line 31", "line 33")
    assert own_lines(main_frames(DUMP + "\n" + again), workdir="/job")[0] == "data/rows.py:33 in __getitem__"


def test_without_own_lines():
    """All of them then, and none where there is no stack."""
    text = (
        'Current thread 0x1 (most recent call first):\n  File "/usr/lib/python3.11/ssl.py", line 5 in read\n'
    )
    assert own_lines(main_frames(text), workdir="/job") == ("/usr/lib/python3.11/ssl.py:5 in read",)
    assert own_lines(main_frames(""), workdir="/job") == ()
    assert main_frames("  no stack at all\n") == ()


def test_as_this_python_writes_it(tmp_path):
    """The real thing, with a second thread: the main thread's frames, this function among them."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with (tmp_path / "dump").open("w+") as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        text = file.read()
    over.set()
    thread.join()
    assert text.count("(most recent call first)") >= 2
    assert "test_as_this_python_writes_it" in [name for _, _, name in main_frames(text)]
