"""What one host has to say of itself: versions, devices, paths, limits, and how it reaches the main node.

Standard library only, Python 3.8 and later, as are the modules it is made of (MODULES): their text is also sent to
hosts where nothing is installed, and prints one line of JSON there.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from functools import partial
from typing import Any, Callable, Mapping  # noqa: UP035 - Python 3.8

from launcher.discovery import host_facts, network_facts, path_facts
from launcher.discovery.timed import CHECK_SECONDS, in_parallel

__all__ = ["BEGIN", "CHECKS", "END", "MEETING", "MODULES", "MORE", "collect", "main"]

BEGIN = "<batchwright-facts>"
MORE = "</batchwright-more>"
END = "</batchwright-facts>"
_PIECE = 800
"""Characters: srun breaks labelled lines after a thousand."""
MODULES = ("timed", "host_facts", "path_facts", "network_facts", "node_facts")
"""Of this package, each needing only those before it."""

MEETING = "main"
"""The check that waits for other nodes."""

Request = Mapping[str, Any]

CHECKS: Mapping[str, Callable[[Request], Any]] = {
    "interpreter": host_facts.interpreter,
    "versions": host_facts.versions,
    "devices": host_facts.devices,
    "device_memory": host_facts.device_memory,
    "limits": host_facts.limits,
    "shm_bytes": host_facts.shm_bytes,
    "compiler": host_facts.compiler,
    "paths": path_facts.paths,
    "run_parent": path_facts.run_parent,
    "network": network_facts.network,
    MEETING: network_facts.meet,
}


def collect(request: Request) -> dict[str, Any]:
    """Facts of this host, one key per check; what a check could not find out is in `failed`, in words.

    request, all optional: checks (names of CHECKS; every one), node, num_nodes, main_address, main_port, token and
    meet_seconds (the port), workdir, script, paths (data), run_parent, mark (a file the caller wrote there),
    distributions, environment (of the job: CXX, TORCH_EXTENSIONS_DIR and the like).
    began, ended: this host's clock, seconds since 1970.
    """
    began = time.time()
    wanted = request.get("checks") or tuple(CHECKS)
    meet = float(request.get("meet_seconds") or 0.0)
    more = {MEETING: meet}
    found, failed = in_parallel(
        {name: (partial(CHECKS[name], request), CHECK_SECONDS + more.get(name, 0.0)) for name in wanted}
    )
    facts = {"node": request.get("node"), "host": socket.gethostname(), **found, "failed": failed}
    return {**facts, "began": began, "ended": time.time()}


def main(argv: list[str]) -> None:
    """Prints the facts that argv[1] asks for (JSON in base64; argv[2]: the node's number), and leaves.

    It does not wait for a check that hangs, and says all the rest before it waits for other nodes: what it says last
    is `done`. Of the request: names, all nodes as their scheduler calls them, for the number; python_path, folders in
    front of the path; leaves, whether to go when standard input ends.
    """
    from base64 import b64decode

    request = json.loads(b64decode(argv[1]))
    names = request.get("names") or ()
    if len(argv) > 2:
        request["node"] = int(argv[2])
    elif host_facts.scheduler_name() in names:
        request["node"] = names.index(host_facts.scheduler_name())
    if request.get("leaves"):
        threading.Thread(target=_leave_with_the_asker, daemon=True).start()
    sys.path[0:0] = [str(folder) for folder in request.get("python_path") or ()]
    checks = list(request.get("checks") or CHECKS)
    facts = collect({**request, "checks": [name for name in checks if name != MEETING]})
    if MEETING in checks:
        _say(facts)
        met = collect({**request, "checks": [MEETING]})
        facts = {**facts, **met, "failed": {**facts["failed"], **met["failed"]}, "began": facts["began"]}
    _say({**facts, "done": True})
    os._exit(0)


def _leave_with_the_asker() -> None:
    """Standard input ends when nobody waits for the answer any more."""
    while os.read(0, 1 << 12):
        pass
    os._exit(1)


def _say(facts: Mapping[str, Any]) -> None:
    text = json.dumps(facts)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    ends = [MORE] * (len(pieces) - 1) + [END]
    print("\n".join(f"{BEGIN}{pieces[at]}{ends[at]}" for at in range(len(pieces))), flush=True)
