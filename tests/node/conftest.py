"""Nodes of a job on this machine: each with a run folder of its own, and a shell script for the engine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from launcher import load_recipe, plan

MESSAGES = Path(__file__).parent / "messages"


def make_plan(nodes: int = 2, **more):
    """A plan for some nodes with one process each. more: top-level keys of the recipe."""
    launch = {
        "script": "train.py",
        "timeouts": {"handshake": "20 s", "grace": "2 s"},
        **more.pop("launch", {}),
    }
    cluster = {"nodes": nodes, "devices_per_node": 1, "device": "cpu", **more.pop("cluster", {})}
    recipe = {
        "global_batch_size": 48,
        "sequence_length": 16,
        "hidden_size": 64,
        "cluster": cluster,
        "launch": launch,
    }
    return plan(load_recipe({**recipe, **more}))


class Nodes:
    """Writes the run folders and starts the node programs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.work = home / "job"
        self.work.mkdir()
        with socket.create_server(("", 0)) as door:
            self.port = door.getsockname()[1]
        self.programs: dict[str, subprocess.Popen] = {}

    def run(self, node: int) -> Path:
        return self.home / f"node-{node}" / "run"

    def write(
        self, *scripts: str, plan=None, address="127.0.0.1", hosts=(), launch="one", env=None, **papers
    ) -> None:
        """One folder per script. papers: further keys of bundle.json."""
        plan = plan or make_plan(len(scripts))
        for node in range(len(scripts)):
            commands = [
                {
                    "node_rank": number,
                    "host": (hosts or [f"node-{name}" for name in "abcdefgh"])[number],
                    "argv": ["sh", "-c", script] if isinstance(script, str) else script,
                    "env": {"BATCHWRIGHT_RUN": str(self.run(node)), **(env or {})},
                }
                for number, script in enumerate(scripts)
            ]
            bundle = {
                "workdir": str(self.work),
                "files": {},
                "commands": [],
                "nodes": commands,
                "main_address": address,
                "main_port": self.port,
                **papers,
            }
            self.run(node).mkdir(parents=True)
            self.put(node, "bundle.json", bundle)
            self.put(node, "plan.json", plan.to_dict())
            self.put(node, "launch.json", {"id": launch, "environment": {}, "pass_env": []})

    def put(self, node: int, name: str, data) -> None:
        (self.run(node) / name).write_text(json.dumps(data))

    def words(self, node: int, *options: str) -> list[str]:
        return [sys.executable, "-m", "batchwright_node", str(self.run(node)), *options]

    def environ(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", **more}

    def start(self, node: int, *, run: int | None = None, stdin=subprocess.DEVNULL, name="", **environ: str):
        """The program of one node. run: whose folder it reads, its own when None."""
        folder = node if run is None else run
        name = name or str(node)
        with self.file(name, "out").open("wb") as out, self.file(name, "err").open("wb") as err:
            self.programs[name] = subprocess.Popen(
                self.words(folder, "--node", str(node)),
                env=self.environ(**environ),
                cwd="/",
                stdin=stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return self.programs[name]

    def file(self, name: str, kind: str) -> Path:
        return self.home / f"{name}.{kind}"

    def start_all(self, count: int = 2) -> None:
        for node in range(count):
            self.start(node)

    def wait(self, seconds: float = 40) -> dict[str, int]:
        """Exit codes by name of the program."""
        until = time.monotonic() + seconds
        return {name: each.wait(max(0.1, until - time.monotonic())) for name, each in self.programs.items()}

    def said(self, name: object = "0") -> str:
        """Our own lines, with this machine's name, port and folders replaced."""
        text = self.file(str(name), "err").read_text()
        lines = [line[13:] for line in text.splitlines() if line.startswith("batchwright: ")]
        return self.plain("".join(f"{line}\n" for line in lines))

    def printed(self, name: object = "0") -> str:
        return self.file(str(name), "out").read_text()

    def plain(self, text: str) -> str:
        for value, shown in (
            (str(self.home), "HOME"),
            (socket.gethostname(), "HOST"),
            (str(self.port), "PORT"),
        ):
            text = re.sub(rf"\b{re.escape(value)}\b" if value[0].isalnum() else re.escape(value), shown, text)
        return text

    def until(self, path: Path) -> None:
        end = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < end, f"{path} does not come"
            time.sleep(0.01)

    def record(self, node: int) -> dict:
        return json.loads((self.run(node) / "nodes" / f"{node}.json").read_text())

    def left(self) -> list[int]:
        """Processes of any of these runs."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if (
                    entry.name.isdigit()
                    and f"BATCHWRIGHT_RUN={self.home}".encode() in (entry / "environ").read_bytes()
                ):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        for program in self.programs.values():
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
            if program.stdin:
                program.stdin.close()
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def nodes(tmp_path):
    made = Nodes(tmp_path)
    yield made
    made.close()


@pytest.fixture
def message(request):
    """Compares the words of a refusal with tests/node/messages/CODE.txt; --update-golden writes them."""

    def compare(code: str, text: str) -> None:
        if request.config.getoption("--update-golden"):
            (MESSAGES / f"{code}.txt").write_text(text)
        assert text == (MESSAGES / f"{code}.txt").read_text()

    return compare


@pytest.fixture
def planned():
    return make_plan
