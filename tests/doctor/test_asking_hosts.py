"""What is made of the lines that come back, whoever printed them."""

import json
import os
import time

from launcher.discovery.node_facts import BEGIN, END
from launcher.handoff.doctor.asking import ask_command


def ask(script, *, seconds=5.0):
    argv = ("sh", "-c", script)
    return ask_command(argv=argv, hosts=("node-a", "node-b"), environ=os.environ, seconds=seconds)


def line(host, **facts):
    return f"echo '{host}: motd {BEGIN}{json.dumps({'host': host, **facts})}{END}'"


def test_the_last_line_counts():
    """A host says what it knows, and once more when it knows all; a banner before it is nothing."""
    a, b = ask(
        "; ".join(
            [
                line("node-a", x=1),
                "echo 'node-a: Welcome!'",
                line("node-a", x=2, done=True),
                line("node-b", done=True),
            ]
        )
    )
    assert a.facts["x"] == 2
    assert a.said == ("Welcome!",)
    assert a.reached
    assert b.received >= b.sent > 0


def test_words_and_exit_code_of_ssh():
    """Pdsh tells ssh's words under the host's name, and its exit code under its own."""
    a, b = ask(
        f"{line('node-a', done=True)}; echo 'node-b: ssh: connect to host node-b port 22: Connection refused' >&2;"
        "echo 'pdsh@here: node-b: ssh exited with exit code 255' >&2"
    )
    assert (b.exit, b.reached) == (255, False)
    assert b.said == ("ssh: connect to host node-b port 22: Connection refused",)
    assert a.reached


def test_one_failure_shortens_the_wait():
    """Once a host has failed, the others have a few seconds left to say what they know; nothing is left running."""
    began = time.monotonic()
    a, b = ask(
        f"{line('node-a', x=1)}; echo 'pdsh@here: node-b: ssh exited with exit code 255' >&2; sleep 60",
        seconds=60,
    )
    assert 2 < time.monotonic() - began < 10
    assert a.facts["x"] == 1
    assert b.exit == 255


def test_silence_is_bounded():
    """A host that never answers costs the time given, and no more."""
    began = time.monotonic()
    a, b = ask(f"{line('node-a', done=True)}; sleep 60", seconds=0.5)
    assert time.monotonic() - began < 3
    assert (bool(a.facts), bool(b.facts), b.exit) == (True, False, None)
