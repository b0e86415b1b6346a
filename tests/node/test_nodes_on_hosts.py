"""Node programs on two hosts with a network of their own: names, routes, interfaces, and a cable that is pulled."""

import subprocess
import time

import pytest

from launcher.handoff.node.lines import SILENCE_SECONDS

pytestmark = pytest.mark.real

HOSTS = ("node-a", "node-b")
SHOW = 'echo "${GLOO_SOCKET_IFNAME-unset} ${NCCL_SOCKET_IFNAME-unset}"'


@pytest.fixture
def start(nodes, mended_lab):
    """Starts node 0 on node-a and node 1 on node-b."""

    def run(*scripts, seconds=20, address="node-a", only=(0, 1), planned=None):
        nodes.write(*scripts, address=address, hosts=HOSTS, plan=planned)
        for node in only:
            name = str(node)
            with nodes.file(name, "out").open("wb") as out, nodes.file(name, "err").open("wb") as err:
                nodes.programs[name] = subprocess.Popen(
                    mended_lab.hosts[HOSTS[node]].words(nodes.words(node, "--node", name)),
                    env=nodes.environ(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )

    return run


def test_interfaces_are_chosen(nodes, mended_lab, start):
    """Where a host's own name stands for 127.0.0.1, gloo is told the interface that reaches the other node."""
    mended_lab.resolve("node-b", **{"node-b": "127.0.0.1"})
    start(SHOW, SHOW)
    assert nodes.wait() == {"0": 0, "1": 0}
    assert nodes.printed(0) == "unset unset\n"
    assert nodes.printed(1) == "eth0 unset\n"
    assert nodes.said(0) == "all 2 nodes are here: node-a, node-b\n"


def test_a_name_that_leads_home(nodes, mended_lab, start, planned):
    """A main address that is 127.0.0.1 on another node is said within seconds."""
    mended_lab.resolve("node-b", **{"node-a": "127.0.0.1"})
    start("touch started", "touch started", planned=planned(2, launch={"timeouts": {"handshake": "8 s"}}))
    began = time.monotonic()
    assert nodes.wait() == {"0": 78, "1": 78}
    assert time.monotonic() - began < 12
    assert nodes.said(1).startswith(
        "on node-b (node 1) the main address `node-a` stands for 127.0.0.1, this host itself [main-is-loopback]\n"
    )
    assert nodes.said(0).startswith("node-b (node 1) did not come within 8 s [nodes-absent]\n")
    assert not (nodes.work / "started").exists()


def test_no_way_to_the_main_node(nodes, mended_lab, start, planned):
    """A node without a route says so in the system's words."""
    mended_lab.unreachable("node-b", mended_lab.address("node-a"))
    start("exit 0", "exit 0", planned=planned(2, launch={"timeouts": {"handshake": "3 s"}}), only=(1,))
    assert nodes.wait() == {"1": 78}
    assert nodes.said(1).splitlines()[0] == (
        f"node-b (node 1) cannot reach the main node at node-a port PORT: {mended_lab.address('node-a')}: "
        "No route to host [main-unreachable]"
    )


def test_a_cable_is_pulled(nodes, mended_lab, start):
    """A host that says nothing from one moment to the next is named within 15 s, on both sides, and both end."""
    start("touch up; exec sleep 100", "touch up; exec sleep 100")
    nodes.until(nodes.work / "up")
    time.sleep(1)
    mended_lab.link("node-b", up=False)
    began = time.monotonic()
    assert nodes.wait() == {"0": 1, "1": 1}
    assert time.monotonic() - began < SILENCE_SECONDS + 8
    assert "node-b (node 1) is gone: connection lost after " in nodes.said(0)
    assert nodes.said(0).endswith("(no answer for 14 s)\n")
    assert nodes.said(1).startswith("node-a (node 0, the main node) is gone: connection lost after ")
    assert mended_lab.left() == {}
