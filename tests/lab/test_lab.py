"""The lab is what it says: two hosts, logins, a cluster, and nothing left when it closes."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab import HOSTS, Lab

pytestmark = pytest.mark.real


def told(words, environ, **options):
    ran = subprocess.run(
        words, env=environ, capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_ssh_runs_a_command_on_both_hosts(lab):
    """A login by key gives each host's own name."""
    for host in HOSTS:
        assert told(["ssh", "-F", f"{lab.folder}/config", host, "hostname"], lab.ssh_environ()) == f"{host}\n"


def test_pdsh_numbers_the_hosts(lab):
    """Both are reached by name through pdsh, %n is the node's number, and %% a percent sign."""
    words = ["pdsh", "-R", "ssh", "-w", ",".join(HOSTS), "echo %n of 2 on $(hostname), 100%%"]
    said = told(words, lab.ssh_environ())
    assert sorted(said.splitlines()) == ["node-a: 0 of 2 on node-a, 100%", "node-b: 1 of 2 on node-b, 100%"]


def test_hosts_reach_each_other_by_name(lab):
    """A name resolves to the address on the bridge, on its own host too."""
    code = "import socket; print(*(socket.gethostbyname(name) for name in ('node-a', 'node-b')))"
    for host in HOSTS:
        said = lab.run_in(host, [sys.executable, "-S", "-c", code]).stdout.split()
        assert said == [lab.address("node-a"), lab.address("node-b")]
        assert "eth0" in lab.run_in(host, ["ls", "/sys/class/net"]).stdout.split()
        assert lab.run_in(host, ["ping", "-c1", "-W2", "node-a"]).returncode in (0, 127)


def test_a_private_folder_is_seen_on_its_host_only(lab):
    """The same path on both hosts, another content, and nothing here."""
    place = lab.private("node-a") / "file"
    lab.run_in("node-a", ["touch", str(place)], check=True)
    seen = [lab.run_in(host, ["test", "-e", str(place)]).returncode for host in HOSTS]
    assert (seen, place.exists()) == ([0, 1], False)


def test_pids_names_what_runs_on_a_host(mended_lab):
    """A process that a login started is listed until it is killed, and on its host only."""
    lab = mended_lab
    words = ["ssh", "-F", f"{lab.folder}/config", "node-b", "sleep 77"]
    with subprocess.Popen(words, env=lab.ssh_environ(), stdout=subprocess.PIPE) as login:
        while "sleep 77" not in lab.left().get("node-b", []):
            assert login.poll() is None
        assert lab.pids("node-a") == {}
        lab.kill("node-b")
        assert login.wait(10) == 255
    lab.wait_empty()


def test_srun_reaches_both_nodes(lab):
    """One task on each of two nodes."""
    assert sorted(told(["srun", "-N2", "-n2", "hostname"], lab.slurm_environ()).split()) == list(HOSTS)


def test_sbatch_runs_a_script_that_starts_both_nodes(lab, tmp_path):
    """A batch script on the first node starts a step on both; its output lands in a folder that all share."""
    script = tmp_path / "job.sh"
    lines = ["#!/bin/bash", 'scontrol show hostnames "$SLURM_JOB_NODELIST"', "srun hostname | sort"]
    script.write_text("\n".join(lines) + "\n")
    words = ["sbatch", "--wait", "-N2", "--ntasks-per-node=1", f"--output={tmp_path}/out", str(script)]
    told(words, lab.slurm_environ(), cwd=tmp_path)
    assert (tmp_path / "out").read_text().split() == [*HOSTS, *HOSTS]
    lab.wait_empty()


def test_gpus_are_counted_by_slurm(lab):
    """Nodes claim two GPUs each, so that requests for them are granted or refused as on a real cluster."""
    asked = ["srun", "-N1", "-n1", "--gpus-per-node=2", "printenv", "SLURM_GPUS_ON_NODE"]
    assert told(asked, lab.slurm_environ()).strip() == "2"
    refused = subprocess.run(
        ["srun", "-N1", "--gpus-per-node=3", "true"],
        env=lab.slurm_environ(),
        capture_output=True,
        check=False,
    )
    assert refused.returncode == 1


def test_a_file_reads_otherwise_on_one_host(mended_lab, tmp_path):
    """What one host reads at a path is nobody else's, until it is taken back."""
    place = tmp_path / "file"
    place.write_text("here")
    mended_lab.cover("node-b", place, "there")
    assert [mended_lab.run_in(host, ["cat", str(place)]).stdout for host in HOSTS] == ["here", "there"]
    mended_lab.restore()
    assert mended_lab.run_in("node-b", ["cat", str(place)]).stdout == "here"


def test_faults_are_taken_back(mended_lab):
    """A host whose cable is out, whose names lie and whose sshd is gone is a host again after restore()."""
    lab = mended_lab
    lab.link("node-b", up=False)
    lab.refuse("node-a")
    lab.resolve("node-b", **{"node-a": "127.0.0.1"})
    lab.unreachable("node-b", lab.main_address)
    reached = ["ssh", "-F", f"{lab.folder}/config", "-oConnectTimeout=1"]
    for host in HOSTS:
        ran = subprocess.run(
            [*reached, host, "true"], env=lab.ssh_environ(), capture_output=True, check=False
        )
        assert ran.returncode == 255
    assert lab.run_in("node-b", ["getent", "hosts", "node-a"]).stdout.split()[0] == "127.0.0.1"
    lab.restore()
    for host in HOSTS:
        told([*reached, host, "true"], lab.ssh_environ())
    assert lab.run_in("node-b", ["getent", "hosts", "node-a"]).stdout.split()[0] == lab.main_address


@pytest.mark.parametrize(("required", "outcome", "code"), [("", "1 skipped", 0), ("required", "1 error", 1)])
def test_where_there_can_be_no_lab_tests_skip_or_fail(lab, required, outcome, code):
    """Without the rights for namespaces a test skips with the reason; where the lab is required it fails with it."""
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    asked = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"{__file__}::test_ssh_runs_a_command_on_both_hosts",
    ]
    environ = {**lab.ssh_environ(), "BATCHWRIGHT_LAB": required}
    words = [*bare, sys.executable, *asked]
    ran = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert outcome in ran.stdout
    assert "the lab needs namespaces: unshare is not allowed here" in ran.stdout


def test_nothing_is_left_after_closing(lab):
    """Processes, bridge and folder of a lab are gone once it is closed; another lab stays."""
    other = Lab()
    folder, bridge, pids = other.folder, other.bridge.name, [host.pid for host in other.hosts.values()]
    assert bridge != lab.bridge.name or folder != lab.folder
    other.slurm_config()
    other.close()
    assert not folder.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert subprocess.run(["ip", "link", "show", bridge], capture_output=True, check=False).returncode == 1
    named = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
    assert [line for line in named if str(folder).encode() in line] == []
