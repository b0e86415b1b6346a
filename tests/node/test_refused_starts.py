"""Jobs that are not started, and the words in which each node says so; exit code 78, and no command has run."""

import signal
import socket
import time

import pytest

from launcher.handoff.node.record import job_verdict

START = "touch started"
SOON = {"launch": {"timeouts": {"handshake": "4 s", "grace": "2 s"}}}


@pytest.fixture
def refused(nodes):
    """Waits for all programs, makes sure that nothing was started, and returns what each node said."""

    def check(*, exits=78):
        found = nodes.wait()
        assert set(found.values()) == {exits}, found
        assert not (nodes.work / "started").exists()
        assert nodes.left() == []
        return [nodes.said(name) for name in nodes.programs]

    return check


def packages(nodes, folder: str, **versions: str) -> str:
    """A folder for PYTHONPATH that says which versions are installed."""
    for name, version in versions.items():
        info = nodes.home / folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return str(nodes.home / folder)


def test_a_node_does_not_come(nodes, refused, planned, message):
    """The main node names who is absent and who is there, those who came are told, and nobody waits longer."""
    nodes.write(*[START] * 4, plan=planned(4, **SOON))
    for node in (0, 1):
        nodes.start(node)
    began = time.monotonic()
    first, second = refused()
    assert time.monotonic() - began < 12
    message("nodes-absent", first)
    assert second == f"nothing was started here: {first.splitlines()[0]}\n"
    assert nodes.record(1)["exit"] == 78
    assert job_verdict(nodes.run(0)) is None


def test_nobody_answers(nodes, refused, planned, message):
    """A node that cannot connect says to whom, for how long it tried, and what the system said."""
    nodes.write(START, START, plan=planned(2, **SOON), address="0.0.0.0")
    nodes.start(1)
    (said,) = refused()
    message("main-unreachable", said)


def test_a_name_that_nobody_knows(nodes, refused, planned):
    """A main address that does not resolve is waited for as long as the handshake takes, and named."""
    nodes.write(START, START, plan=planned(2, **SOON), address="main.invalid")
    nodes.start(1)
    (said,) = refused()
    assert "main.invalid port PORT: the name `main.invalid` is not known here: " in said


def test_the_main_address_is_this_host(nodes, refused, planned, message):
    """A main address that stands for the node itself is told from one where nobody answers, and before time is up."""
    nodes.write(START, START, plan=planned(2, **SOON), address="127.0.0.1")
    nodes.start(1)
    (said,) = refused()
    message("main-is-loopback", said)


def test_the_port_is_taken(nodes, refused, message):
    """The main node names host and port; over a shared folder the others learn it at once."""
    nodes.write(START, START)
    with socket.create_server(("", nodes.port)):
        nodes.start(0)
        nodes.start(1, run=0)
        began = time.monotonic()
        first, second = refused()
    assert time.monotonic() - began < 15
    assert first == (
        "port PORT of HOST (node 0), the main node, cannot be listened on: Address already in use [port-in-use]\n"
        "  hint: is another job running there? drop launch.network.port, or write another one\n"
    )
    assert second == f"nothing was started here: {first.splitlines()[0]}\n"


def test_the_port_of_a_job_that_has_not_listened_yet(nodes):
    """From the end of the meeting to the engine's first listening the port is still the first job's."""
    nodes.write("touch up; sleep 100", "exit 0")
    nodes.start_all()
    nodes.until(nodes.work / "up")
    second = nodes.start(0, name="second")
    assert second.wait(20) == 78
    assert "cannot be listened on: another job of batchwright has it [port-in-use]\n" in nodes.said("second")
    nodes.programs["0"].send_signal(signal.SIGTERM)
    assert nodes.wait() == {"0": 143, "1": 143, "second": 78}


def test_versions_differ(nodes, refused, message):
    """Both versions and both nodes are named."""
    nodes.write(START, START)
    nodes.start(0, PYTHONPATH=packages(nodes, "here", torch="2.13.0"))
    nodes.start(1, PYTHONPATH=packages(nodes, "there", torch="2.11.0"))
    message("nodes-differ", refused()[0])


def test_plans_differ(nodes, refused, planned):
    """A node whose folder holds another plan is refused, whatever its launch says."""
    nodes.write(START, START)
    nodes.put(1, "plan.json", planned(2, global_batch_size=96).to_dict())
    nodes.start_all()
    first, _ = refused()
    assert "HOST (node 1) has another plan than HOST (node 0): " in first


def test_another_launch_answers(nodes, planned, message):
    """A node of another launch is sent away and told so; the launch that it knocked at goes on without it."""
    nodes.write("exit 0", "exit 0")
    nodes.start(0)
    other = nodes.run(1) / "launch.json"
    mine = other.read_text()
    other.write_text(mine.replace("one", "two"))
    stranger = nodes.start(1, name="stranger")
    assert stranger.wait(20) == 78
    other.write_text(mine)
    nodes.start(1)
    assert nodes.wait() == {"0": 0, "stranger": 78, "1": 0}
    message("other-launch", nodes.said("stranger"))


def test_two_nodes_with_one_number(nodes, refused, planned, message):
    """Two programs that say they are the same node end the job before it starts."""
    nodes.write(*[START] * 3, plan=planned(3))
    nodes.start(0)
    nodes.start(1)
    nodes.start(1, name="twin", run=2)
    message("node-number", refused()[0])


def test_a_node_without_a_number(nodes, refused):
    """Where neither option nor scheduler says the number, nothing is guessed."""
    nodes.write(START)
    import subprocess

    ran = subprocess.run(
        nodes.words(0), env=nodes.environ(), capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 78
    assert ran.stderr == (
        "batchwright: nobody says which node of the job this is [node-number]\n"
        "batchwright:   neither --node nor SLURM_NODEID nor JOB_COMPLETION_INDEX is set\n"
        "batchwright:   hint: start the job by its rendered command\n"
    )


def test_a_folder_that_is_not_there(nodes, refused, message):
    """A run folder that this node does not see is named with what is missing."""
    nodes.write(START)
    (nodes.run(0) / "bundle.json").unlink()
    nodes.start(0)
    (said,) = refused()
    message("node-papers", said)


def test_a_node_misses_the_workdir(nodes, refused):
    """What one node misses keeps all of them from starting, and the main node says whose it is."""
    nodes.write(START, START)
    paper = nodes.run(1) / "bundle.json"
    paper.write_text(paper.read_text().replace(str(nodes.work), f"{nodes.work}/gone"))
    nodes.start_all()
    first, second = refused()
    assert first.startswith("HOST (node 1): `HOME/job/gone` is not a folder [workdir-not-found]\n")
    assert second.startswith("nothing was started here: HOST (node 1): ")


def test_an_engine_that_is_not_there(nodes, refused):
    """A single node needs nobody else to be refused."""
    nodes.write(["no-such-engine"])
    nodes.start(0)
    (said,) = refused()
    assert said.startswith("HOST (node 0): `no-such-engine` is not there, neither beside ")


def test_a_node_that_goes_away(nodes, refused, planned, message):
    """A node that came and died before all were there is named, and nobody waits for it."""
    nodes.write(*[START] * 3, plan=planned(3))
    nodes.start(0)
    nodes.start(1)
    nodes.until(nodes.run(1) / "nodes" / "1.pid")
    time.sleep(2.0)
    gone = nodes.programs.pop("1")
    gone.kill()
    gone.wait()
    message("host-lost", refused()[0])


def test_asked_to_end_while_waiting(nodes, refused):
    """Ctrl-C during the meeting ends both nodes at once, as interrupted."""
    nodes.write(*[START] * 3)
    nodes.start_all()
    nodes.until(nodes.run(1) / "nodes" / "1.pid")
    time.sleep(1.0)
    nodes.programs["0"].send_signal(signal.SIGINT)
    first, second = refused(exits=130)
    assert first == "asked to end by SIGINT before anything was started\n"
    assert second == "nothing was started here: HOST (node 0) was asked to end\n"
