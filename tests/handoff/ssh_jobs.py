"""`batchwright` on the quickstart over the lab's two hosts, as a person types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart"


class SshJobs:
    """One recipe folder, seen by every host; each launch gets a run folder of its own."""

    def __init__(self, lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.recipe = folder / "cpu-1x2.yaml"
        for name in ("cpu-1x2.yaml", "train.py"):
            shutil.copy(QUICKSTART / name, folder / name)
        self.hostfile = lab.hostfile(folder)

    def script(self, text: str) -> str:
        """A script beside the recipe, with `rank` at hand; the option that starts it."""
        head = "import os, sys, time\nrank = int(os.environ['RANK'])\n"
        (self.folder / "own.py").write_text(head + text)
        return "launch.script=own.py"

    def words(self, *settings: str, verb: str = "run", options: tuple[str, ...] = ()) -> list[str]:
        given = (
            "cluster.nodes=2",
            "cluster.devices_per_node=1",
            f"cluster.hostfile={self.hostfile}",
            "launch.executor=ssh",
            "schedule.length=20 steps",
            "launch.timeouts.grace=10 s",
            "launch.timeouts.handshake=20 s",
            *settings,
        )
        return [
            str(Path(sys.executable).parent / "batchwright"),
            verb,
            str(self.recipe),
            *(word for each in given for word in ("--set", each)),
            *options,
        ]

    def environ(self, **more: str) -> dict[str, str]:
        return {**self.lab.ssh_environ(), **more}

    def start(self, *settings: str, run: Path, verb: str = "run", **environ: str) -> subprocess.Popen:
        """Starts a run in a folder."""
        return subprocess.Popen(
            self.words(*settings, verb=verb, options=("--run-dir", str(run))),
            cwd=self.folder,
            env=self.environ(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *settings: str, run: Path, **environ: str) -> subprocess.CompletedProcess:
        """A run to its end."""
        return ended(self.start(*settings, run=run, **environ))

    def wait_for(self, *files: Path, process: subprocess.Popen, seconds: float = 60) -> None:
        """Until ranks have left files."""
        until = time.monotonic() + seconds
        while not all(path.exists() for path in files):
            if process.poll() is not None or time.monotonic() > until:
                ran = ended(process)
                raise AssertionError(ran.stdout + ran.stderr)
            time.sleep(0.05)


def ended(process: subprocess.Popen, seconds: float = 150) -> subprocess.CompletedProcess:
    """The process's end; past its time its whole group is ended and the test fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s:\n{out}\n{err}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def losses(run: Path) -> list[float]:
    """Of every step, from log.jsonl."""
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line.get("loss") is not None]
