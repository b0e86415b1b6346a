"""Which of several ends brought the others about."""

import pytest

from launcher.handoff.node.node_end import NodeEnd, first_cause, read_end


def end(node, code=0, *, at=0.0, **more):
    return NodeEnd(node=node, host="abcd"[node], exit=code, time=at, **more)


@pytest.mark.parametrize(
    ("ends", "cause"),
    [
        ([end(0), end(1)], None),
        ([end(0, 1, at=2), end(1, 17, at=1)], 1),
        # noticed late, and still the reason for what came before
        ([end(0, 1, at=2), end(1, 1, at=15, lost=True)], 1),
        ([end(0, 1, at=2), end(1, 137, at=3)], 1),
        # an abort is what a communication library does when a peer is gone
        ([end(0, 1, at=2), end(1, 134, at=3)], 0),
        # ended because it was told to, and killed after the grace
        ([end(0, 137, at=9, told=True), end(1, 17, at=1)], 1),
        ([end(0, 143, at=2, asked=True), end(1, 1, at=3)], 0),
        ([end(0, 17, at=1), end(1, 143, at=2, asked=True)], 0),
        # everybody was told, by a decision: somebody is named all the same
        ([end(0, 143, at=2, told=True), end(1, 143, at=1, told=True)], 1),
    ],
)
def test_first_cause(ends, cause):
    """A host that is gone, then a rank that was killed, then the first by time; those that were told come last."""
    found = first_cause(ends)
    assert (found and found.node) == cause


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            end(1, 17, rank=3, error="ValueError: no"),
            "rank 3 on b (node 1) ended with exit code 17: ValueError: no",
        ),
        (
            end(1, 1, rank=3, error="Traceback (most\n  x\nE: y"),
            "rank 3 on b (node 1) ended with exit code 1: E: y",
        ),
        (end(1, 1), "the command on b (node 1) ended with exit code 1"),
        (end(1, 143, asked=True), "b (node 1) was asked to end: SIGTERM"),
        (end(1, 129, asked=True, error="x is gone"), "b (node 1) was asked to end: x is gone"),
        (end(1, 1, lost=True, error="y"), "b (node 1) is gone: y"),
    ],
)
def test_words(found, words):
    """One line that names rank and host."""
    assert found.words == words


def test_clocks_are_compared():
    """A report's time is shifted by how far that node's clock is behind."""
    sent = end(1, 17, at=100.0, rank=1, error="x")
    assert read_end(sent.to_message(), node=1, behind=2.5) == end(1, 17, at=102.5, rank=1, error="x")
