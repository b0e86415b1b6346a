"""A script without torch: says who it is, does what its arguments ask, and else waits.

`exit:RANK:CODE` leaves with a code; `stubborn:RANK` ignores SIGTERM.
"""

import os
import signal
import sys
import time
from pathlib import Path

rank = os.environ["RANK"]
run = Path(os.environ["BATCHWRIGHT_RUN"])
for word in sys.argv[1:]:
    verb, _, rest = word.partition(":")
    if verb == "stubborn" and rest == rank:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(f"rank {rank} of {os.environ['WORLD_SIZE']} on {os.uname().nodename}", flush=True)
(run / f"up-{rank}").touch()
for word in sys.argv[1:]:
    verb, _, rest = word.partition(":")
    if verb == "exit" and rest.partition(":")[0] == rank:
        while not all((run / f"up-{other}").exists() for other in range(int(os.environ["WORLD_SIZE"]))):
            time.sleep(0.01)
        sys.exit(int(rest.partition(":")[2]))
time.sleep(600)
