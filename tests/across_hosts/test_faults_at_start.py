"""What keeps a job over two hosts from starting is said in words, within its time, and nothing is started or left."""

import socket
import time

import pytest

pytestmark = pytest.mark.real


@pytest.fixture
def refused(fault, tell):
    """Starts a job that must not start: its errors, after exit code 78 within so many seconds and with nothing left."""

    def run(name, *options, within, **how):
        job = fault.start(*options, **how)
        seconds = job.end(within=within)
        tell(name, job, seconds)
        assert job.exit == 78, job.told()
        assert "rank" not in job.out
        fault.lab.wait_empty()
        return job.err

    return run


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def test_a_host_that_is_down(refused, mended_lab):
    """A host without a cable is named with ssh's own words before anything is started."""
    mended_lab.link("node-b", up=False)
    said = refused("host down", within=15)
    assert "node-b" in said
    assert "No route to host" in said or "timed out" in said


def test_a_host_that_refuses_logins(refused, mended_lab):
    """A host whose sshd is not running is named with ssh's own words."""
    mended_lab.refuse("node-b")
    said = refused("sshd not running", within=15)
    assert "node-b" in said
    assert "Connection refused" in said


def test_a_host_that_is_down_and_nobody_looked(refused, mended_lab):
    """Without a pre-flight the nodes that came wait for the handshake's time, and name who is absent."""
    mended_lab.refuse("node-b")
    said = refused("host absent, no pre-flight", "--no-preflight", within=20)
    assert "node-b (node 1) did not come within 8 s" in said
    assert "there: node-a (node 0)" in said


def test_a_hostfile_with_fewer_slots(refused, mended_lab, tmp_path):
    """Fewer slots than the plan puts ranks on a host."""
    (tmp_path / "hostfile").write_text("node-a slots=2\nnode-b slots=1\n")
    said = refused("hostfile with too few slots", "--set", "cluster.devices_per_node=2", within=5)
    assert "node-b" in said
    assert "[hostfile-slots]" in said


def test_slots_that_no_device_is_behind(refused):
    """A hostfile and a recipe that agree on devices which the hosts do not have."""
    gpus = ["--set", "cluster.device=h100-sxm-80gb", "--set", "precision=bf16"]
    for name, options in (("too few devices", []), ("too few devices, no pre-flight", ["--no-preflight"])):
        said = refused(name, *gpus, *options, within=20, run=name.replace(" ", "-"))
        assert "node-a" in said
        assert "node-b" in said
        assert "H100" in said or "h100" in said


def test_no_hostfile(fault, tell):
    """Two nodes over ssh and nobody says which: refused, never two lone trainings."""
    job = fault.start("--set", "cluster.hostfile=null")
    seconds = job.end(within=5)
    tell("no hostfile", job, seconds)
    assert job.exit in (1, 78), job.told()
    assert "hostfile" in job.err


def test_a_port_in_use(refused, mended_lab):
    """Somebody else listens where the ranks would meet: host and port are named."""
    port = free_port()
    mended_lab.listen("node-a", port)
    words = ["--set", f"launch.network.port={port}"]
    said = {}
    for name, options in (("port in use", []), ("port in use, no pre-flight", ["--no-preflight"])):
        said[name] = refused(name, *words, *options, within=15, run=name.replace(" ", "-"))
    for text in said.values():
        assert str(port) in text
        assert "node-a" in text
        assert "[port-in-use]" in text


def test_a_name_that_stands_for_the_host_itself(refused, mended_lab):
    """On one host the main node's name is 127.0.0.1, as installers write it."""
    mended_lab.resolve("node-b", **{"node-a": "127.0.0.1"})
    for name, options in (
        ("name is 127.0.0.1", []),
        ("name is 127.0.0.1, no pre-flight", ["--no-preflight"]),
    ):
        said = refused(name, *options, within=15, run=name.replace(" ", "-"))
        assert "on node-b" in said
        assert "`node-a` stands for 127.0.0.1" in said
        assert "launch.network.main_address" in said


def test_the_main_address_cannot_be_reached(refused, mended_lab):
    """One host has no route to the main node, although both can be logged in to."""
    mended_lab.unreachable("node-b", mended_lab.main_address)
    said = refused("main address unreachable", "--no-preflight", within=25)
    assert "node-b (node 1) cannot reach the main node at node-a port" in said
    assert "No route to host" in said


def test_the_preflight_finds_that_the_main_address_cannot_be_reached(refused, mended_lab):
    """The same before anything is started."""
    mended_lab.unreachable("node-b", mended_lab.main_address)
    said = refused("main address unreachable, pre-flight", within=15)
    assert "node-b" in said
    assert "No route to host" in said


def test_another_torch_on_one_host(refused, mended_lab):
    """Hosts with different versions of torch are both named with theirs."""
    pretend_other_torch(mended_lab)
    for name, options in (("another torch", []), ("another torch, no pre-flight", ["--no-preflight"])):
        said = refused(name, *options, within=20, run=name.replace(" ", "-"))
        assert "node-b" in said
        assert "9.9.9" in said
        assert "[nodes-differ]" in said


def pretend_other_torch(lab):
    """What packaging reads about torch says 9.9.9 on node-b."""
    from importlib.metadata import distribution

    metadata = next(file for file in distribution("torch").files if file.name == "METADATA").locate()
    text = metadata.read_text().replace(f"Version: {distribution('torch').version}", "Version: 9.9.9", 1)
    lab.cover("node-b", metadata, text)


def test_ctrl_c_while_hosts_are_examined(fault, tell):
    """Ctrl-C in the first half second starts nothing and leaves nothing."""
    fault.lab.link("node-b", up=False)
    job = fault.start()
    time.sleep(1.5)
    interrupted(fault, job, tell, "Ctrl-C in the pre-flight", within=5)


def test_ctrl_c_while_nodes_wait_for_each_other(fault, tell):
    """Ctrl-C while the main node waits for one that never comes."""
    fault.lab.refuse("node-b")
    job = fault.start("--no-preflight", "--set", "launch.timeouts.handshake=60 s")
    job.until(lambda: any("batchwright_node" in line for line in fault.lab.pids("node-a").values()))
    time.sleep(1)
    interrupted(fault, job, tell, "Ctrl-C in the handshake", within=10)


def interrupted(fault, job, tell, name, *, within):
    job.interrupt()
    seconds = job.end(within=within)
    tell(name, job, seconds)
    assert job.exit == 130, job.told()
    assert "rank" not in job.out
    fault.lab.wait_empty()


def test_the_same_launched_twice_at_once(fault, tell):
    """Of two jobs that want one port one runs, untouched; the other names host and port, or the launch it met."""
    port = ["--set", f"launch.network.port={free_port()}"]
    jobs = [fault.start(*port, "--no-preflight", run=run) for run in ("one", "two")]
    began = time.monotonic()
    while all(job.exit is None for job in jobs) and time.monotonic() < began + 40:
        time.sleep(0.05)
    (lost,) = [job for job in jobs if job.exit is not None]
    (won,) = [job for job in jobs if job.exit is None]
    tell("the same twice at once", lost, time.monotonic() - began)
    assert lost.exit == 78, lost.told()
    assert "[port-in-use]" in lost.err or "[other-launch]" in lost.err, lost.told()
    assert "node-a" in lost.err
    won.until(lambda: all((won.run / f"up-{rank}").exists() for rank in (0, 1)))
    won.interrupt()
    won.end(within=15)
    assert won.exit == 130, won.told()
    fault.lab.wait_empty()


def test_one_run_folder_twice(fault, tell):
    """A run folder belongs to one run."""
    first = fault.start(args="['exit:1:17']")
    first.until(first.run.exists)
    again = fault.start()
    seconds = again.end(within=15)
    tell("one run folder twice", again, seconds)
    assert again.exit == 78, again.told()
    assert "[directory-not-empty]" in again.err
    first.end(within=60)
    assert first.exit == 17, first.told()
    fault.lab.wait_empty()
