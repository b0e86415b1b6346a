"""Which processes `--stop` takes for node programs of a run."""

import pytest

from launcher.handoff.node.again import is_restart
from launcher.handoff.node.stop import node_programs

RUN = "/runs/a b"


@pytest.mark.parametrize(
    ("words", "node", "found"),
    [
        (["python", "-m", "batchwright_node", RUN, "--node", "1"], None, True),
        (["python", "-m", "batchwright_node", RUN, "--node", "1"], 1, True),
        (["python", "-m", "batchwright_node", RUN, "--node", "1"], 2, False),
        (["python", "-m", "batchwright_node", RUN], None, True),
        (["python", "-m", "batchwright_node", RUN], 1, True),  # by its file in RUN/nodes
        (["python", "-m", "batchwright_node", RUN], 2, False),
        (["python", "-m", "batchwright_node", RUN, "--stop"], None, False),
        (["python", "-m", "batchwright_node", "/runs/a"], None, False),
        (["sh", "-c", f"python -m batchwright_node '{RUN}'"], None, False),
        (["vim", "batchwright_node", RUN], None, False),
        ([], None, False),
    ],
)
def test_node_programs(tmp_path, words, node, found):
    """Told by their words, and by their number where it stands in a file."""
    run = tmp_path / "run"
    (run / "nodes").mkdir(parents=True)
    (run / "nodes" / "1.pid").write_text("77\n")
    (tmp_path / "proc" / "77").mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir()
    (tmp_path / "proc" / "78").mkdir()  # ends while it is looked at
    line = "".join(f"{word}\0" for word in words).replace(RUN, str(run))
    (tmp_path / "proc" / "77" / "cmdline").write_text(line)
    pids = [each.pid for each in node_programs(run, node=node, proc=tmp_path / "proc")]
    assert pids == ([77] if found else [])


@pytest.mark.parametrize(
    ("environ", "again"),
    [
        ({}, False),
        ({"SLURM_RESTART_COUNT": "0", "SLURM_ARRAY_TASK_ID": "0"}, False),
        ({"SLURM_RESTART_COUNT": "2"}, True),
        ({"SLURM_ARRAY_TASK_ID": "1"}, True),
        ({"SLURM_RESTART_COUNT": "x"}, False),
    ],
)
def test_is_restart(environ, again):
    """A job that was put back, or a later one of a chain."""
    assert is_restart(environ) is again
