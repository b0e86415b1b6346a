"""An environment with our package and a fake torchrun in it: the process boundary, without torch."""

import json
import os
import signal
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

FAKE = """\
#!{python} -S
import json, os, signal, subprocess, sys, time

def start(code):
    ready = os.environ["FAKE_RECORD"] + ".child"
    subprocess.Popen([sys.executable, "-S", "-c", code + f"; open({{ready!r}}, 'w'); time.sleep(300)"],
                     start_new_session=True)
    while not os.path.exists(ready):
        time.sleep(0.01)

with open(os.environ["FAKE_RECORD"], "a") as stream:
    stream.write(json.dumps({{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}) + "\\n")
for word in os.environ.get("FAKE", "").split():
    verb, _, rest = word.partition(":")
    if verb == "print":
        print(rest, flush=True)
    elif verb == "complain":
        print(rest, file=sys.stderr, flush=True)
    elif verb == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "child":
        start("import time")
    elif verb == "stubborn-child":
        start("import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    elif verb == "rank":
        rank, code, when, error = rest.split(":")
        folder = os.path.join(os.environ["BATCHWRIGHT_RUN"], "ranks")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, rank + ".json"), "w") as stream:
            json.dump({{"rank": int(rank), "host": "here", "exit": int(code), "error": error, "time": float(when)}},
                      stream)
    elif verb == "log":
        with open(os.path.join(os.environ["BATCHWRIGHT_RUN"], "log.jsonl"), "a") as stream:
            for step in range(1, int(rest) + 1):
                stream.write(json.dumps({{"step": step, "samples": step, "loss": 5.0 / step,
                             "learning_rate": 0.1, "planned_learning_rate": 0.1}}) + "\\n")
    elif verb == "hang":
        open(os.environ["FAKE_RECORD"] + ".hangs", "w").close()
        time.sleep(300)
    elif verb == "die":
        os.kill(os.getpid(), int(rest))
    elif verb == "exit":
        sys.exit(int(rest))
    else:
        raise SystemExit("the fake knows no " + word)
"""
RECIPE = """\
global_batch_size: 12
sequence_length: 16
hidden_size: 64
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch:
  script: train.py
  timeouts: {grace: 1 s}
"""


class FakeJobs:
    """Starts `batchwright` in a folder of its own, where torchrun is a fake that does what FAKE says."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "work"
        self.folder.mkdir()
        self.bin = home / "env" / "bin"
        self.record = home / "record"
        self._make_environment()
        (self.folder / "train.py").write_text("")
        self.recipe = self.folder / "recipe.yaml"
        self.recipe.write_text(RECIPE)

    def _make_environment(self) -> None:
        """A virtual environment by hand: pyvenv.cfg, a link to the interpreter, a link to our packages."""
        self.bin.mkdir(parents=True)
        base = Path(sys._base_executable)
        (self.bin.parent / "pyvenv.cfg").write_text(
            f"home = {base.parent}\ninclude-system-site-packages = false\n"
        )
        (self.bin / "python").symlink_to(base)
        packages = Path(sysconfig.get_path("purelib"))
        local = self.bin.parent / "lib" / packages.parent.name
        local.mkdir(parents=True)
        (local / packages.name).symlink_to(packages)
        self.put(
            "batchwright",
            f"#!{self.bin}/python\nimport sys\nfrom launcher.cli.main import main\nsys.exit(main())\n",
        )
        self.put("torchrun", FAKE.format(python=base))

    def put(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def words(self, *options: str, does: str = "exit:0") -> list[str]:
        return [
            str(self.bin / "batchwright"),
            "run",
            str(self.recipe),
            *("--set", f"launch.env.FAKE={does}", "--set", f"launch.env.FAKE_RECORD={self.record}"),
            *options,
        ]

    def environ(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", **more}

    def run(self, *options: str, does: str = "exit:0", **environ: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.words(*options, does=does),
            cwd=self.folder,
            env=self.environ(**environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *options: str, does: str = "exit:0", **environ: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.words(*options, does=does),
            cwd=self.folder,
            env=self.environ(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, suffix: str) -> None:
        """Until the fake says so through a file beside its record."""
        until = time.monotonic() + 30
        while not Path(f"{self.record}{suffix}").exists():
            assert time.monotonic() < until
            time.sleep(0.01)

    def starts(self) -> list[dict]:
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs").iterdir()) if (self.folder / "runs").exists() else []

    def status(self) -> dict:
        (run,) = self.runs()
        return json.loads((run / "status.json").read_text())

    def left(self) -> list[int]:
        """Processes that carry this test's record in their environment."""
        mark = f"FAKE_RECORD={self.record}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def jobs(tmp_path):
    fake = FakeJobs(tmp_path)
    yield fake
    for pid in fake.left():
        os.kill(pid, signal.SIGKILL)
