"""Connections between nodes."""

import socket
import time
from contextlib import suppress

import pytest

from launcher.handoff.node.lines import Line, finish


@pytest.fixture
def pair():
    """The two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        here = socket.create_connection(door.getsockname())
        there, _ = door.accept()
    ends = Line(here), Line(there)
    yield ends
    for end in ends:
        end.close()


def received(line, count):
    found = []
    until = time.monotonic() + 10
    while len(found) < count and line.lost is None and time.monotonic() < until:
        found += line.receive()
    return found


def test_messages_arrive_whole_and_in_order(pair):
    """More than the kernel takes at once is sent on as the other side reads."""
    here, there = pair
    sent = [{"kind": "beats", "number": number, "text": "x" * 9_000} for number in range(800)]
    for message in sent:
        here.send(message)
    found = []
    while len(found) < len(sent):
        here.flush()
        found += there.receive()
    assert found == sent


def test_last_words_are_read(pair):
    """What was sent before the end arrives, though the other side had sent something that nobody read."""
    here, there = pair
    there.send({"kind": "unread"})
    here.send({"kind": "verdict"})
    here.hang_up()
    assert received(there, 1) == [{"kind": "verdict"}]
    began = time.monotonic()
    there.close()
    finish([here])
    assert time.monotonic() - began < 1
    assert here.lost


def test_a_silent_peer_does_not_hold_up_the_end(pair):
    """The last words are waited for, for a moment."""
    began = time.monotonic()
    finish([pair[0]], seconds=0.3)
    assert 0.2 < time.monotonic() - began < 2


def test_an_end_is_noticed(pair):
    """A connection that the other side has closed is lost, and takes nothing more."""
    here, there = pair
    there.close()
    until = time.monotonic() + 10
    while here.lost is None and time.monotonic() < until:
        here.receive()
    assert here.lost == "it closed the connection"
    here.send({"kind": "more"})


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\n", b"[1]\n", b'{"no": "kind"}\n', b"x" * 3_000_000])
def test_strangers(text):
    """Whatever does not speak as a node is lost, and none of it is a message."""
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_connection(door.getsockname()) as stranger,
    ):
        accepted, _ = door.accept()
        line = Line(accepted)
        stranger.settimeout(5)
        found = []
        sent = 0
        while line.lost is None:
            if sent < len(text):
                stranger.setblocking(False)
                with suppress(BlockingIOError):
                    sent += stranger.send(text[sent:])
            found += line.receive()
        assert (found, line.lost) == ([], "it does not speak as a node of a job")
        line.close()
