"""What a job is told to be here: shows variables, leaves a checkpoint when asked to end, or waits to be."""

import json
import os
import signal
import sys
import time
from pathlib import Path

RANK = os.environ["RANK"]


def leave(*_):
    """A script that saves when it is asked to end, and takes a second for it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if RANK == "0":
        folder = Path("checkpoints/step-3")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model").write_text("weights")
    time.sleep(1)
    Path(f"left-{RANK}").write_text(str(time.time()))
    sys.exit(143)


signal.signal(signal.SIGTERM, leave)
shown = {name: value for name, value in os.environ.items() if name in {"PASSED", "FROM_SETUP", "HTTP_PROXY"}}
start = {"args": sys.argv[1:], "env": shown, "job": os.environ.get("SLURM_JOB_ID")}
with Path(f"starts-{RANK}").open("a") as stream:
    stream.write(json.dumps(start) + "\n")
if "--wait" in sys.argv and "--resume" not in sys.argv:
    time.sleep(120)
