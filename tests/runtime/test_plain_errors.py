"""How a script ends that was started wrongly."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "expected", "traceback"),
    [
        ("runtime.read_plan()", "[plan-not-found]", False),
        ("raise KeyError('the script own fault')", "the script own fault", True),
    ],
)
def test_what_a_person_can_mend_has_no_traceback(code, expected, traceback):
    """A missing plan is said in words; an error of the script keeps its traceback."""
    environ = {name: value for name, value in os.environ.items() if name != "LAUNCHER_PLAN"}
    words = [sys.executable, "-c", f"from launcher import runtime\n{code}"]
    ran = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert expected in ran.stderr
    assert ("Traceback" in ran.stderr) is traceback
