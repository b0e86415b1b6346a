"""The watch over steps on several nodes, with real connections and beats as ranks write them."""

import json
import os
import socket
import time

import pytest

from launcher.handoff.guard.guarding import Guard
from launcher.handoff.guard.local_ranks import LocalRanks
from launcher.handoff.node.control import MainControl, MemberControl
from launcher.handoff.node.lines import Line
from launcher.handoff.node.node_end import NodeEnd
from launcher.handoff.node.watching import MainWatch, MemberWatch


def beat(folder, rank, *, step, phase="data"):
    (folder / "beats").mkdir(exist_ok=True, parents=True)
    facts = {
        "rank": rank,
        "host": "ab"[rank],
        "pid": os.getpid(),
        "phase": phase,
        "steps": step,
        "tried": step,
    }
    facts |= {"micro": 0, "batches": step, "aside": 0, "busy": 0.1, "seconds": 0.1, "seen": True, "time": 0.0}
    facts |= {"finite": None, "skipped": 0}
    (folder / "beats" / str(rank)).write_text(json.dumps(facts))


@pytest.fixture
def two(tmp_path, planned):
    """Main and member with their watches; both clocks stand still until they are moved."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        here = socket.create_connection(door.getsockname())
        there, _ = door.accept()
    said = []
    main = MainControl(lines={1: Line(there)}, hosts={1: "b"}, behind={}, say=said.append)
    member = MemberControl(node=1, line=Line(here), main="a", say=said.append)
    plan = planned(2, launch={"timeouts": {"handshake": "9 s", "grace": "2 s", "stall": "60 s"}})
    now = [1000.0]
    guard = Guard(plan, say=said.append, folder="RUN", clock=lambda: now[0])
    ranks = [LocalRanks(tmp_path / name, workdir="/", ranks=(rank,)) for rank, name in enumerate("ab")]
    watches = [
        MainWatch(guard, ranks[0], main, per_node=1, clock=lambda: now[0]),
        MemberWatch(ranks[1], member, clock=lambda: now[0]),
    ]

    class Two:
        def __init__(self):
            self.main, self.member, self.said = main, member, said

        def beats(self, first, second, **more):
            beat(tmp_path / "a", 0, step=first, **more)
            beat(tmp_path / "b", 1, step=second)

        def after(self, seconds):
            """Lets time pass and both nodes look; until what was sent has come."""
            now[0] += seconds
            for _ in range(5):
                for watch, control in zip(watches, (main, member), strict=True):
                    assert not watch.attend(ending=False)
                    control.attend(ending=False)
                time.sleep(0.01)

    yield Two()
    main.lines[1].close()
    member.lines[0].close()


def test_a_job_that_goes_on_is_left_alone(two):
    """Steps on either node count for both."""
    for step in range(1, 6):
        two.beats(1, step)
        two.after(50)
    assert two.main.told_at is None
    assert two.said == []


def test_a_stall_ends_all_nodes(two):
    """When no rank of any node gets on, the main node says so once, names the late rank, and tells the others to end."""
    two.beats(3, 2)
    two.after(2)
    for _ in range(4):
        two.after(61)
    assert two.main.told_at is not None
    assert two.member.told_at is not None
    (words,) = two.said
    assert "rank 1 on b" in words
    ends = [NodeEnd(node=node, host="ab"[node], exit=143, told=True, time=9.0) for node in (0, 1)]
    two.main.ends[1] = ends[1]
    verdict = two.main.verdict(ends[0])
    assert (verdict.exit, verdict.words, verdict.cause, verdict.rank) == (1, words, 1, 1)


def test_a_host_that_is_gone_explains_a_stall(two):
    """A connection that ends after the order is the better reason."""
    two.main.order_end("no step for 60 s")
    two.member.close(None)
    two.after(0)
    verdict = two.main.verdict(NodeEnd(node=0, host="a", exit=143, told=True))
    assert verdict.words.startswith("b (node 1) is gone: ")
