"""What a probe asks of one process: a limit that the kernel holds it to, and word of its peak."""

import json
import subprocess
import sys

import pytest

from batchwright_witness.probing import ProbeOrder, probe_order

MIB = 2**20
CONFINED = """
import json, subprocess, sys
from batchwright_witness.probing import ProbeOrder, confine, probe_record, relax
confine(ProbeOrder(steps=2, limit_bytes=200 * 2**20))
kept = bytearray(100 * 2**20)
try:
    bytearray(150 * 2**20)
    failed = False
except MemoryError:
    failed = True
other = subprocess.run([sys.executable, "-c", "bytearray(300 * 2**20)"], capture_output=True).returncode
try:
    bytearray(150 * 2**20)
    again = False
except MemoryError:
    again = True
relax()
after = len(bytearray(150 * 2**20))
print(json.dumps({"failed": failed, "again": again, "other": other, "after": after, **probe_record(steps=2)}))
"""


@pytest.mark.parametrize(
    ("environ", "order"),
    [
        ({}, None),
        ({"BATCHWRIGHT_PROBE_LIMIT": "5"}, None),
        ({"BATCHWRIGHT_PROBE_STEPS": "3"}, ProbeOrder(steps=3, limit_bytes=None)),
        ({"BATCHWRIGHT_PROBE_STEPS": "3", "BATCHWRIGHT_PROBE_LIMIT": "5"}, ProbeOrder(3, 5)),
        ({"BATCHWRIGHT_PROBE_STEPS": "many"}, None),
        (
            {
                "BATCHWRIGHT_PROBE_STEPS": "1",
                "BATCHWRIGHT_PROBE_SAMPLES": "ragged",
                "BATCHWRIGHT_PROBE_INSPECT": "1",
            },
            ProbeOrder(steps=1, samples="ragged", inspect=True),
        ),
    ],
)
def test_the_order_comes_from_the_environment(environ, order):
    """Without a number of steps a job is no trial; what is ordered is what arrives."""
    assert probe_order(environ) == order
    if order is not None:
        assert order.environ() == environ


def test_an_allocation_beyond_the_limit_fails(tmp_path):
    """150 MiB do not go into 200 where 100 are taken; the last words have room again, and name the peak."""
    (tmp_path / "mine.py").write_text("")
    ran = subprocess.run(
        [sys.executable, "-c", f"import mine{CONFINED}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(ran.stdout)
    assert (found["failed"], found["again"]) == (True, True)
    assert found["other"] == 0  # another program, a compiler say, is not held to it
    assert found["after"] == 150 * MIB
    assert 250 * MIB < found["peak_bytes"] < 330 * MIB
    assert found["steps"] == 2
    assert found["files"] == [str((tmp_path / "mine.py").resolve())]
    assert set(found["versions"]) == {"python"}


def test_the_device_that_was_used_most_counts(monkeypatch):
    """Reserved memory that was given back was held at the peak all the same."""
    from batchwright_witness import probing

    class Cuda:
        peaks, reserved, now = [0, 700], [0, 1000], [0, 900]

        def is_available(self):
            return True

        is_initialized = is_available

        def device_count(self):
            return 2

        def max_memory_allocated(self, device):
            return self.peaks[device]

        def max_memory_reserved(self, device):
            return self.reserved[device]

        def memory_reserved(self, device):
            return self.now[device]

        def mem_get_info(self, device):
            return 5000 - 1400 * device, 5000

    class Torch:
        cuda = Cuda()
        __version__ = "2"

    monkeypatch.setitem(sys.modules, "torch", Torch)
    record = probing.probe_record(steps=1)
    assert (record["peak_bytes"], record["allocated_bytes"], record["reserved_bytes"]) == (1500, 700, 1000)
