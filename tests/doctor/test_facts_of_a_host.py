"""What a host says of itself, here and as text sent to a Python that knows nothing of us."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launcher.discovery import host_facts, network_facts, node_facts, path_facts
from launcher.discovery.node_facts import BEGIN, CHECKS, END, MODULES, MORE, collect
from launcher.handoff.doctor.shipping import asking_words

FOLDER = Path(node_facts.__file__).parent


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def told(text):
    """The facts that were said last, of pieces that no label or width of a line breaks."""
    assert max(map(len, text.splitlines())) < 1000
    said = re.findall(f"{BEGIN}(.*?)(?:({END})|{MORE})", text)
    whole = "".join(piece + ("\n" if end else "") for piece, end in said)
    return json.loads(whole.splitlines()[-1])


def test_every_check_answers_here(tmp_path):
    """A whole round finds something out with every check and takes no second."""
    began = time.monotonic()
    facts = collect({"run_parent": str(tmp_path), "workdir": str(tmp_path)})
    assert set(CHECKS) <= set(facts)
    assert facts["failed"] == {}
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["run_parent"]["free_bytes"] > 0
    assert facts["began"] <= facts["ended"]
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("name", MODULES)
def test_the_text_is_old_python_and_the_standard_library(name):
    """Each module that is sent reads as Python 3.8, and imports only the library and those sent before it."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(), feature_version=(3, 8))
    sent = MODULES[: MODULES.index(name)]
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            assert {each.split(".")[0] for each in names} <= set(sys.stdlib_module_names)
        elif isinstance(node, ast.ImportFrom) and node.module == "launcher.discovery":
            assert set(names) <= set(sent)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("launcher"):
            assert node.module.removeprefix("launcher.discovery.") in sent
        elif isinstance(node, ast.ImportFrom):
            assert node.module.split(".")[0] in sys.stdlib_module_names


def test_the_text_runs_where_nothing_is_installed(tmp_path):
    """`python -S` has no packages: it still tells its facts, and that the packages are not there."""
    request = {
        "run_parent": str(tmp_path),
        "checks": ["versions", "devices", "paths"],
        "script": "/etc/hostname",
    }
    python, *words = asking_words(python=sys.executable, request=request)
    for name in ("json", "base64"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the folder of the shell is searched')")
    ran = subprocess.run(
        [python, "-S", *words, "3"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    facts = told(ran.stdout)
    assert facts["node"] == 3
    assert facts["versions"]["torch"] is None
    assert facts["done"] is True
    assert "paths" in facts


def test_the_command_survives_a_shell():
    """Nothing of the request is read by a shell, and pdsh's sign for the number is the only one."""
    from launcher.handoff.doctor.shipping import pdsh_text

    request = {"checks": ["paths"], "workdir": "/", "script": "it's $(id) \n 100%", "paths": ["`x`"]}
    text = pdsh_text(asking_words(python=sys.executable, request=request))
    assert text.count("%") == 1
    assert text.endswith(" %n")
    ran = subprocess.run(
        ["sh", "-c", text.replace("%n", "0")], capture_output=True, text=True, timeout=30, check=True
    )
    assert told(ran.stdout)["paths"]["script"]["path"] == "/it's $(id) \n 100%"


def test_versions_are_those_that_the_job_would_find(tmp_path):
    """Folders of PYTHONPATH come first, as they will in the job."""
    info = tmp_path / "torch-2.11.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.11.0\n")
    words = asking_words(
        python=sys.executable, request={"checks": ["versions"], "python_path": [str(tmp_path)]}
    )
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert told(ran.stdout)["versions"]["torch"] == "2.11.0"


def test_a_path_that_hangs_hides_nothing_else(tmp_path):
    """Opening a pipe that nobody writes to never returns: after its time-out the rest is told."""
    os.mkfifo(tmp_path / "train.py")
    (tmp_path / "data").mkdir()
    words = asking_words(
        python=sys.executable,
        request={
            "workdir": str(tmp_path),
            "script": "train.py",
            "paths": ["data"],
            "checks": ["paths", "limits"],
        },
    )
    began = time.monotonic()
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    facts = told(ran.stdout)
    assert facts["paths"]["script"]["why"] == "no answer within 2.5 s"
    assert "why" not in facts["paths"]["data.paths.0"]
    assert facts["limits"]["nofile"]
    assert time.monotonic() - began < 8


def test_files_and_folders(tmp_path):
    """What is there, what is not, and that another content is another checksum."""
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")

    def seen(script):
        return path_facts.paths({"workdir": str(tmp_path), "script": script})["script"]

    assert seen("a.py")["checksum"] != seen("b.py")["checksum"]
    assert seen("c.py")["why"] == "No such file or directory"
    assert path_facts.paths({"workdir": str(tmp_path)})["workdir"]["folder"] is True


def test_run_folders(tmp_path):
    """A folder that does not exist yet is judged by the one it would be made in; a file shows that it is shared."""
    mark = tmp_path / "mark"
    mark.write_text("")
    found = path_facts.run_parent({"run_parent": str(tmp_path / "not" / "yet"), "mark": str(mark)})
    assert found["shared"] is True
    assert "why" not in found
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]
    found = path_facts.run_parent({"run_parent": "/proc/self", "mark": "/not/here"})
    assert found["shared"] is False
    assert found["why"]


def test_nodes_meet_at_the_port(port):
    """The main node's door is open until all others came; each learns the answer it needs."""
    request = {
        "main_address": "127.0.0.1",
        "main_port": port,
        "num_nodes": 3,
        "meet_seconds": 5,
        "token": "t",
    }
    found = {}

    def node(number):
        found[number] = network_facts.meet({**request, "node": number})

    threads = [threading.Thread(target=node, args=(number,)) for number in (2, 1, 0)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found[0]["came"] == [1, 2]
    assert found[0]["reached_by"] == ["lo"]
    assert found[1]["connects"] is found[2]["connects"] is True
    assert time.monotonic() - began < 3


def test_a_port_that_somebody_else_has(port):
    """Whoever listens there is not the main node: told on both sides."""
    request = {
        "main_address": "127.0.0.1",
        "main_port": port,
        "num_nodes": 2,
        "meet_seconds": 1,
        "token": "t",
    }

    def answer(door):
        with door.accept()[0] as guest:
            guest.sendall(b"SSH-2.0\n")
            guest.recv(64)

    with socket.create_server(("127.0.0.1", port)) as door:
        threading.Thread(target=answer, args=(door,), daemon=True).start()
        assert network_facts.meet({**request, "node": 1})["why"] == "something else answers there"
        assert network_facts.meet({**request, "node": 0})["why"] == "Address already in use"


def test_nobody_listens(port):
    """The system's word after the time is up."""
    request = {"main_address": "127.0.0.1", "main_port": port, "num_nodes": 2, "meet_seconds": 0.3, "node": 1}
    assert network_facts.meet(request) == {"connects": False, "why": "Connection refused"}


def test_interfaces():
    """An address of this machine belongs to an interface; the way to an address starts at one of them."""
    assert network_facts.interface_of("127.0.0.1") == "lo"
    assert network_facts.interface_of("203.0.113.9") is None
    assert ("lo", "127.0.0.1") in network_facts.addresses()
    assert network_facts.reaching("127.0.0.9")[0] == "127.0.0.1"
    for name, address in network_facts.addresses():
        assert name in {each for _, each in socket.if_nameindex()}
        assert network_facts.interface_of(address) is not None
    found = network_facts.network({"main_address": "no-such-host.invalid"})
    assert "main" not in found
    assert found["why"]


def test_what_nvidia_smi_says():
    """Memory in MiB by device, with the processes that hold it; a device that does not tell is left out."""
    rows = [["GPU-1", "81559", "4"], ["GPU-2", "81559", "70000"], ["GPU-3", "[N/A]", "[N/A]"]]
    found = host_facts.memory_rows(rows, [["GPU-2", "4711", "/usr/bin/python3"]])
    assert [each["total_bytes"] for each in found] == [81559 * 2**20] * 2
    assert [each["processes"] for each in found] == [[], ["python3 (process 4711)"]]
