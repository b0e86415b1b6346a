"""Writes down the arguments and variables of one rank."""

import json
import os
import sys
from pathlib import Path

rank = int(os.environ["RANK"])
seen = {"rank": rank, "host": os.uname().nodename, "argv": sys.argv[1:], "env": dict(os.environ)}
Path(os.environ["BATCHWRIGHT_RUN"], f"seen.{rank}.json").write_text(json.dumps(seen))
