"""`doctor` and the look that `run` takes, on two real hosts: each fault with the words a person reads, and the time."""

import io
import json
import os
import subprocess
import sys
import time

import pytest

from launcher.cli.main import main

JOB = """\
global_batch_size: 12
sequence_length: 16
hidden_size: 64
cluster: {nodes: 2, devices_per_node: 1, device: cpu, hostfile: hostfile}
launch: {executor: ssh, script: train.py}
"""


class Here:
    """A folder with a job for both hosts, and the command line in it."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        lab.hostfile(folder)
        (folder / "job.yaml").write_text(JOB)
        (folder / "train.py").write_text("print('trained')\n")
        self.seconds = 0.0

    def __call__(self, *words, **environ):
        """Exit code, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        began = time.monotonic()
        code = main(
            [words[0], str(self.folder / "job.yaml"), *words[1:]],
            environ=self.lab.ssh_environ(**environ),
            stdout=out,
            stderr=err,
        )
        self.seconds = time.monotonic() - began
        return code, out.getvalue(), err.getvalue()

    def doctor(self, *words, **environ):
        return self("doctor", "--collective", "none", *words, **environ)

    def refused(self, *words, **environ):
        """What `run` says when it starts nothing."""
        code, _, err = self("run", *words, **environ)
        assert code == 78, err
        assert not (self.folder / "runs").exists()
        return err


@pytest.fixture
def here(mended_lab, tmp_path, monkeypatch):
    """Afterwards no question is left running on any host."""
    monkeypatch.chdir(tmp_path)
    yield Here(mended_lab, tmp_path)
    mended_lab.wait_empty()


def cells(page, name):
    return next(line for line in page.splitlines() if line.startswith(name)).split()[len(name.split()) :]


def test_all_well(here):
    """Both hosts, every check, one command; nothing but the table on standard output."""
    code, page, err = here.doctor()
    assert code == 0, page
    assert err == ""
    assert page.startswith("ready   all well   2 hosts, ssh")
    assert cells(page, "interface") == ["eth0", "eth0"]
    assert cells(page, "run folder") == ["shared", "shared"]
    assert here.seconds < 8
    assert [path.name for path in here.folder.iterdir() if path.name.startswith(".")] == []


def test_json_for_monitoring(here):
    """The same as one object, with every fact of every host."""
    code, page, _ = here.doctor("--json")
    found = json.loads(page)
    assert (code, found["ok"], found["hosts"]) == (0, True, ["node-a", "node-b"])
    assert found["facts"]["node-b"]["network"]["main"] == here.lab.main_address


def test_a_host_that_is_down(here):
    """No ssh server: ssh's own words and one hint, from `doctor` and before `run`, within seconds."""
    here.lab.refuse("node-b")
    code, page, _ = here.doctor()
    address = here.lab.address("node-b")
    words = f"node-b: ssh: connect to host {address} port 22: Connection refused"
    assert code == 1
    assert words in " ".join(page.split())
    assert "[host-unreachable]" in page
    assert cells(page, "torch")[1] == "-"
    assert cells(page, "torch")[0] != "-"
    assert here.seconds < 10
    assert words in here.refused()
    assert here.seconds < 10


def test_a_cable_that_is_out(here):
    """A host that does not answer at all costs the connect time-out, not ssh's two minutes."""
    here.lab.link("node-b")
    err = here.refused()
    assert "port 22: Connection timed out" in err or "No route to host" in err
    assert here.seconds < 15


def test_a_name_that_is_the_host_itself(here):
    """On node-b the main node's name stands for node-b."""
    here.lab.resolve("node-b", **{"node-a": "127.0.1.1"})
    err = here.refused()
    assert "on node-b the main address `node-a` stands for 127.0.1.1, this host itself" in err
    assert f"hint: launch.network.main_address: {here.lab.main_address}" in err
    assert "[main-is-loopback]" in err
    assert here.seconds < 20
    code, page, _ = here.doctor("--set", f"launch.network.main_address={here.lab.main_address}")
    assert code == 0, page


def test_own_names_that_are_loopback(here):
    """As Debian installs it: no problem, and the page shows which interface is set."""
    for host in here.lab.hosts:
        here.lab.resolve(host, **{host: "127.0.1.1"})
    code, page, _ = here.doctor()
    assert code == 0, page
    assert "GLOO_SOCKET_IFNAME will be eth0; by itself the library would take lo" in page
    assert "eth0  <- set, else lo" in page


def test_a_main_node_that_is_not_reached(here):
    """Ssh works from here, and node-b has no way to node-a."""
    here.lab.unreachable("node-b", here.lab.main_address)
    err = here.refused()
    address = here.lab.main_address
    assert f"node-b cannot reach the main node at node-a ({address}) port " in err
    assert "No route to host [main-unreachable]" in err
    assert here.seconds < 20


def test_a_port_in_use_on_the_main_node(here):
    """A written port is tried where it will be listened on."""
    here.lab.listen("node-a", 23_111)
    err = here.refused("--set", "launch.network.port=23111")
    assert "`port: 23111` cannot be listened on by node-a [port-in-use]" in err
    assert "Address already in use" in err


def test_another_torch_on_one_host(here):
    """One host reports another version: both are named, and who has them."""
    place = here.lab.private("node-b")
    info = place / "torch-2.11.0.dist-info"
    here.lab.run_in(
        "node-b",
        [
            "sh",
            "-c",
            f"mkdir {info} && printf 'Metadata-Version: 2.1\\nName: torch\\nVersion: 2.11.0\\n' >{info}/METADATA",
        ],
        check=True,
    )
    err = here.refused(PYTHONPATH=str(place))
    assert "torch differs between hosts: 2.13.0" in err
    assert "2.11.0 on node-b" in err
    assert "[nodes-differ]" in err


def test_a_script_that_only_one_host_has(here):
    """The same path, seen from each host."""
    place = here.lab.private("node-a") / "train.py"
    here.lab.run_in("node-a", ["sh", "-c", f"echo 1 > {place}"], check=True)
    code, page, _ = here.doctor("--set", f"launch.script={place}")
    assert code == 1
    assert f"node-b: `{place}`: No such file or directory" in " ".join(page.split())
    assert cells(page, "script") == ["seen", "absent"]


def test_devices_that_are_not_there(here):
    """Slots for two cards on hosts that have none."""
    err = here.refused("--set", "cluster.device=h100-sxm-80gb")
    assert "node-a, node-b have no devices; the plan has 1 x h100-sxm-80gb on every node" in err


def test_without_the_look(here):
    """--no-preflight leaves it to the nodes' own meeting."""
    here.lab.refuse("node-b")
    began = time.monotonic()
    code, _, err = here(
        "run", "--no-preflight", "--set", "launch.timeouts={handshake: 3 s, grace: 1 s}", "--run-dir", "run"
    )
    assert code != 0
    assert "[host-unreachable]" not in err
    assert time.monotonic() - began < 60


@pytest.mark.real
def test_the_collective_across_both_hosts(here):
    """The recipe's engine and executor carry it; every host has its rate, and nothing of it is left."""
    code, page, err = here("doctor", "--collective", "all", "--json")
    found = json.loads(page)
    assert code == 0, page + err
    assert found["collective"]["world_size"] == 2
    assert [each["host"] for each in found["collective"]["hosts"]] == ["node-a", "node-b"]
    assert all(each["between"] > 1e6 for each in found["collective"]["hosts"])
    assert not (here.folder / "runs").exists()


@pytest.mark.real
def test_the_collective_on_one_host(tmp_path):
    """By default on this machine; whoever reads the table sees the rate."""
    (tmp_path / "job.yaml").write_text(
        "global_batch_size: 12\nsequence_length: 16\nhidden_size: 64\n"
        "cluster: {nodes: 1, devices_per_node: 2, device: cpu}\nlaunch: {script: train.py}\n"
    )
    (tmp_path / "train.py").write_text("")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from launcher.cli.main import main; sys.exit(main())",
            "doctor",
            "job.yaml",
        ],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "all-reduce  4 MiB, 2 ranks, torchrun over gloo" in ran.stdout
    assert "/s within" in ran.stdout
    assert not (tmp_path / "runs").exists()
