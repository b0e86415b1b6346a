"""Answers of hosts become rows and problems; no process is started."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from doctor.conftest import GIB, good, with_facts
from launcher.handoff.doctor.answers import Answer
from launcher.testing.plans import changed


def codes(compared):
    return [problem.code for problem in compared.problems]


def cells(compared, name):
    return next(row.cells for row in compared.rows if row.name == name)


def test_all_well(examined):
    """Two hosts that agree have no problem, and every cell is ok."""
    compared = examined([good(0), good(1)])
    assert compared.problems == ()
    assert {cell.state for row in compared.rows for cell in row.cells} == {"ok"}
    assert [row.name for row in compared.rows] == [
        *("ssh", "python", "torch", "nccl", "batchwright", "devices", "free memory", "script"),
        *("run folder", "free disk", "/dev/shm", "limits", "clock", "main address", "interface", "port"),
    ]


REFUSED = "ssh: connect to host node-b port 22: Connection refused"


@pytest.mark.parametrize(
    ("said", "short", "cure"),
    [
        (REFUSED, "refused", "sshd"),
        ("ssh: connect to host 10.0.0.2 port 22: Connection timed out", "timed out", "ping"),
        ("ssh: connect to host 10.0.0.2 port 22: No route to host", "no route", "network"),
        ("ssh: Could not resolve hostname node-b: Name or service not known", "no such name", "hostfile"),
        ("root@node-b: Permission denied (publickey,password).", "denied", "ssh-copy-id"),
        ("Host key verification failed.", "host key", "compare"),
        ("kex_exchange_identification: read: Connection reset by peer", "unreachable", "by hand"),
    ],
)
def test_a_host_that_is_not_reached(examined, said, short, cure):
    """A host is told in ssh's own words, with one hint that fits them."""
    compared = examined([good(0), Answer(host="node-b", said=("banner", said), exit=255)])
    assert codes(compared) == ["host-unreachable"]
    assert said in compared.problems[0].message
    assert cure in compared.problems[0].hint
    assert [cell.found for cell in cells(compared, "ssh")] == ["ok", short]
    assert cells(compared, "torch")[1].found == "-"


def test_the_message_of_a_host_that_is_not_reached(examined, same_message):
    """The whole message."""
    same_message(examined([good(0), Answer(host="node-b", said=(REFUSED,), exit=255)]).problems[0])


def test_silence(examined):
    """A host that says nothing in time is named with the time."""
    compared = examined([good(0), Answer(host="node-b")])
    assert compared.problems[0].message == "node-b: no answer within 25 s"


def test_no_interpreter(examined):
    """Where the shell answers and Python does not start, the shell's words are told, hosts together."""
    said = ("bash: line 1: /opt/py: No such file or directory",)
    compared = examined([Answer(host=host, said=said, exit=127) for host in ("node-a", "node-b")])
    assert codes(compared) == ["executable-not-found"]
    assert "node-a, node-b" in compared.problems[0].message
    assert compared.problems[0].because == said


def test_another_version(examined):
    """The odd host out is marked; versions and hosts stand in the message."""
    answers = [good(0), good(1), with_facts(good(2), versions={"torch": "2.11.0"})]
    compared = examined(answers)
    assert codes(compared) == ["nodes-differ"]
    message = "torch differs between hosts: 2.13.0 on node-a, node-b; 2.11.0 on node-c"
    assert compared.problems[0].message == message
    assert [cell.why for cell in cells(compared, "torch")] == ["", "", "differs"]


def test_python_may_differ_in_its_last_number(examined):
    """3.11.2 beside 3.11.7 is no problem, 3.10 is."""
    assert examined([good(0), with_facts(good(1), versions={"python": "3.11.2"})]).problems == ()
    compared = examined([good(0), with_facts(good(1), versions={"python": "3.10.2"})])
    assert codes(compared) == ["nodes-differ"]


def test_other_packages_only_warn(examined):
    """A package that the engine does not need is shown, and only where hosts differ."""
    compared = examined([good(0), with_facts(good(1), versions={"accelerate": None})])
    assert [problem.severity for problem in compared.problems] == ["warning"]
    assert [cell.found for cell in cells(compared, "accelerate")] == ["1.15.0", "none"]


def test_not_installed_anywhere(examined):
    """What no host has is one problem for all packages together."""
    without = {"torch": None, "batchwright": None}
    compared = examined([with_facts(good(at), versions=without) for at in (0, 1)])
    assert [problem.message for problem in compared.problems] == [
        "torch, batchwright are not installed on node-a, node-b"
    ]


def test_another_script(examined):
    """The same path may hold another file."""
    paths = {"script": {"path": "/shared/job/train.py", "checksum": 8}}
    compared = examined([good(0), good(1), with_facts(good(2), paths=paths)])
    assert compared.problems[0].message == "`train.py` is another file on node-c than on the other hosts"


def test_a_script_that_is_not_seen(examined):
    """The host, the path and the system's words are told."""
    paths = {"script": {"path": "/shared/job/train.py", "why": "No such file or directory"}}
    compared = examined([good(0), with_facts(good(1), paths=paths)])
    assert codes(compared) == ["script-not-found"]
    assert compared.problems[0].message == "node-b: `/shared/job/train.py`: No such file or directory"


def test_data_that_is_not_seen(examined, cluster_plan):
    """Each path of the recipe has its own problem, at its own place."""
    plan = replace(cluster_plan, data={**cluster_plan.data, "paths": ["/data/a", "/data/b"]})
    seen = {"data.paths.0": {"path": "/data/a"}, "data.paths.1": {"path": "/data/b"}}
    gone = {**seen, "data.paths.1": {"path": "/data/b", "why": "no answer within 2.5 s"}}
    compared = examined([with_facts(good(0), paths=seen), with_facts(good(1), paths=gone)], plan=plan)
    assert [(each.code, each.path) for each in compared.problems] == [("file-not-found", "data.paths.1")]
    assert compared.problems[0].message == "node-b: `/data/b`: no answer within 2.5 s"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"count": 1, "names": ["NVIDIA H100 80GB HBM3"]}, "node-b has 1 device; the plan has 2 x"),
        ({"kind": "cpu", "count": 0, "names": []}, "node-b has no devices; the plan has 2 x"),
        ({"visible": "0"}, "node-b has 1 device; the plan has 2 x"),
    ],
)
def test_too_few_devices(examined, found, words):
    """Slots are counted against devices that are there and that may be used."""
    compared = examined([good(0), with_facts(good(1), devices=found)])
    assert codes(compared) == ["nodes-differ"]
    assert words in compared.problems[0].message


def test_another_device(examined):
    """Memory planned for another device is a warning."""
    compared = examined([good(0), with_facts(good(1), devices={"names": ["NVIDIA A100-SXM4-40GB"] * 2})])
    assert [(each.code, each.severity) for each in compared.problems] == [("nodes-differ", "warning")]
    assert "a100-sxm-40gb" in compared.problems[0].message


def test_device_memory_in_use(examined, cluster_plan, same_message):
    """A device that others hold is named with them; it is an error where the plan does not fit beside them."""
    memory = [
        {"total_bytes": 80 * GIB, "used_bytes": 0, "processes": []},
        {"total_bytes": 80 * GIB, "used_bytes": 66 * GIB, "processes": ["python3 (process 4711)"]},
    ]
    answers = [good(0), with_facts(good(1), device_memory=memory)]
    needs = replace(cluster_plan, memory=SimpleNamespace(peak_bytes=60 * GIB))
    compared = examined(answers, plan=needs)
    assert [cell.state for cell in cells(compared, "free memory")] == ["ok", "bad"]
    assert cells(compared, "free memory")[1].why == "device 1, plan needs 60.0"
    found = compared.problems
    assert [problem.severity for problem in found] == ["error"]
    same_message(found[0])
    found = examined(answers, plan=cluster_plan).problems
    assert [problem.severity for problem in found] == ["warning"]
    assert found[0].message == "device 1 of node-b has 14.0 of 80.0 GiB free"
    one = changed(needs, layout={"devices": (0,), "devices_per_node": 1})
    assert examined(answers, plan=one).problems == ()


def test_a_disk_that_is_full(examined, same_message):
    """Hosts that share a full disk are one problem."""
    full = {"free_bytes": 10 << 20}
    compared = examined([with_facts(good(at), run_parent=full) for at in (0, 1)])
    assert [(each.code, each.severity) for each in compared.problems] == [("disk-full", "error")]
    same_message(compared.problems[0])


def test_a_run_folder_that_cannot_be_made(examined, same_message):
    """A read-only mount is told before anything starts."""
    compared = examined([good(0), with_facts(good(1), run_parent={"why": "Read-only file system"})])
    same_message(compared.problems[0])


def test_clocks(examined, same_message):
    """Only what the way there and back cannot explain is a difference."""
    slow = Answer(
        host="node-b", facts={**good(1).facts, "began": 100.1, "ended": 100.2}, sent=100.0, received=119.0
    )
    assert examined([good(0), slow]).problems == ()
    ahead = with_facts(good(1), began=130.4, ended=130.9)
    compared = examined([good(0), ahead])
    same_message(compared.problems[0])
    assert compared.problems[0].severity == "warning"
    behind = with_facts(good(1), began=90.4, ended=90.9)
    assert codes(examined([good(0), behind])) == ["clock-differs"]


def test_a_name_that_is_the_host_itself(examined):
    """Another node that finds itself under the main address is told what the others find."""
    network = {"main": "127.0.1.1", "interface": "lo"}
    looped = with_facts(good(1), network=network, main={"connects": False, "why": "Connection refused"})
    compared = examined([good(0), looped])
    assert codes(compared) == ["main-is-loopback"]
    assert compared.problems[0].hint.startswith("launch.network.main_address: 10.0.0.1")


def test_the_main_node_may_find_itself(examined):
    """Debian's 127.0.1.1 on the main node is no problem: the interface that others come to is taken, and said."""
    network = {"main": "127.0.1.1", "interface": "lo", "default": {"gloo": "lo", "nccl": "docker0"}}
    compared = examined([with_facts(good(0), network=network), good(1)])
    assert compared.problems == ()
    assert cells(compared, "interface")[0].found == "eth0"
    assert compared.notes == (
        "node-a: NCCL_SOCKET_IFNAME will be eth0; by itself the library would take docker0",
    )


def test_an_interface_that_is_not_there(examined, cluster_plan, same_message):
    """A written interface must be on every host."""
    plan = changed(cluster_plan, launch={"interface": "ib0"})
    compared = examined([good(0), good(1)], plan=plan)
    assert len(compared.problems) == 1
    same_message(compared.problems[0])


@pytest.mark.parametrize(("why", "cure"), [("timed out", "firewall"), ("No route to host", "in a network")])
def test_a_port_that_is_not_reached(examined, why, cure):
    """A host that cannot connect is told why, and what to open or write."""
    compared = examined([good(0), with_facts(good(1), main={"connects": False, "why": why})])
    assert codes(compared) == ["main-unreachable"]
    assert f"node-a (10.0.0.1) port 23456: {why}" in compared.problems[0].message
    assert cure in compared.problems[0].hint


def test_a_port_in_use(examined):
    """A written port that is taken is one problem, of the main node; one of our own choice is none."""
    taken = with_facts(good(0), main={"listens": False, "why": "Address already in use"})
    answers = [taken, with_facts(good(1), main={"connects": False, "why": "something else answers there"})]
    compared = examined(answers, port_written=True)
    assert codes(compared) == ["port-in-use"]
    assert compared.problems[0].message == "`port: 23456` cannot be listened on by node-a"
    assert examined(answers).problems == ()


def test_limits_are_warnings(examined, same_message):
    """Few open files, little locked memory beside InfiniBand, a small /dev/shm."""
    low = with_facts(good(1), limits={"nofile": 1024})
    pinned = with_facts(good(1), limits={"memlock": 65536, "infiniband": True})
    small = with_facts(good(1), shm_bytes=64 << 20)
    for answer in (low, pinned, small):
        compared = examined([good(0), answer])
        assert [(each.code, each.severity) for each in compared.problems] == [("limit-too-low", "warning")]
        assert "node-b" in compared.problems[0].message
    same_message(examined([good(0), low]).problems[0])
    assert examined([good(0), with_facts(good(1), limits={"memlock": 65536})]).problems == ()


def test_a_check_that_found_nothing(examined, same_message):
    """What a check could not find out is said, and hides nothing else."""
    failed = {"limits": "no answer within 3 s"}
    compared = examined([with_facts(good(at), limits=None, failed=failed) for at in (0, 1)])
    assert codes(compared) == ["check-unanswered"]
    assert cells(compared, "limits")[0].found == "?"
    same_message(compared.problems[0])


def test_a_compiler_for_deepspeed_on_cpu(examined, cluster_plan):
    """Hosts that cannot build DeepSpeed's operator are named; one that has it built needs no compiler."""
    cpu = {"device": "cpu", "device_kind": "cpu", "backend": "gloo"}
    plan = changed(cluster_plan, layout=cpu, launch={"engine": "deepspeed"})
    none = {"found": None, "headers": False}
    compared = examined([good(0), with_facts(good(1), compiler=none)], plan=plan)
    assert codes(compared) == ["no-compiler"]
    assert compared.problems[0].because == ("node-b: no c++",)
    assert (
        examined([good(0), with_facts(good(1), compiler={**none, "built": True})], plan=plan).problems == ()
    )
