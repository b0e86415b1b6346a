"""The whole text that a person reads when the witness ends a job."""

import sys
from pathlib import Path

from launching import run
from plan_by_hand import plan_by_hand, write_plan

from batchwright_witness.borrowed import HOME
from batchwright_witness.findings import samples_difference
from batchwright_witness.samples import Outcome
from launcher.errors import Problem

MESSAGES = Path(__file__).parent / "messages"


def kept(code):
    return (MESSAGES / f"{code}.txt").read_text()


def test_samples_differ():
    """Planned and found, where it was counted, and what to do."""
    plan = plan_by_hand(ranks=2, micro=2, accumulation=2)
    found = tuple(Outcome(step, 16, "forward rows", agrees=False) for step in (2, 3))
    words = samples_difference(plan, "samples", found, [{"forward rows": 8}, {"forward rows": 8}])
    problem = Problem(code="samples-differ", message=words.message, because=words.because, hint=words.hint)
    assert f"{problem}\n" == kept("samples-differ")


def test_shadowed_launcher(tmp_path):
    """A script that wants our runtime and would get its own file is refused before its first line."""
    (tmp_path / "launcher.py").write_text("")
    (tmp_path / "train.py").write_text("print('first line')\n")
    path = write_plan(plan_by_hand(ranks=1, micro=4, accumulation=1, runtime=True), tmp_path)
    words = [sys.executable, "-m", "batchwright_witness", "--plan", str(path), str(tmp_path / "train.py")]
    ended = run(words, tmp_path, env={})
    said = ended.output.replace(str(tmp_path), "{folder}").replace(str(HOME), "{launcher}")
    assert (ended.code, said) == (1, kept("shadowed-launcher"))


def test_lines_are_whole(tmp_path):
    """Standard output is written a line at a time through a pipe: neither held back nor cut."""
    script = "import sys; print(sys.stdout.line_buffering, sys.stdout.write_through)\n"
    (tmp_path / "train.py").write_text(script)
    path = write_plan(plan_by_hand(ranks=1, micro=4, accumulation=1, runtime=True), tmp_path)
    words = [
        sys.executable,
        "-u",
        "-m",
        "batchwright_witness",
        "--plan",
        str(path),
        str(tmp_path / "train.py"),
    ]
    assert run(words, tmp_path, env={}).output == "True False\n"


def test_threads_may_let_go_before_the_interpreter_does(tmp_path):
    """Under gloo there is a moment between the script's last exit handler and the end of the interpreter."""
    (tmp_path / "train.py").write_text(
        "import atexit, threading, time\n"
        "over = threading.Event()\n"
        "def thread():\n    over.wait(); time.sleep(0.05); print('let go', flush=True)\n"
        "threading.Thread(target=thread, daemon=True).start()\n"
        "atexit.register(over.set)\n"
    )
    path = write_plan(plan_by_hand(ranks=2, micro=2, accumulation=2, runtime=True), tmp_path)
    words = [sys.executable, "-m", "batchwright_witness", "--plan", str(path), str(tmp_path / "train.py")]
    ended = run(words, tmp_path, env={"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0"})
    assert (ended.code, ended.output) == (0, "let go\n")
