"""Node programs as processes: they meet, start, listen to each other, and leave nothing."""

import os
import signal
import subprocess
import sys
import time

HOSTILE = "a b'c\"d$(id)`id`\\ \n;é€%n{}"


def test_words_arrive_byte_for_byte(nodes):
    """Arguments, variables and secrets reach the command as they were written; the secrets' file is gone."""
    show = "import os, sys; print(repr((sys.argv[1:], os.environ['ODD'], os.environ['TOKEN'], os.environ['NCCL_DEBUG'])))"
    argv = [sys.executable, "-S", "-c", show, HOSTILE, ""]
    nodes.write(argv, argv, env={"ODD": HOSTILE})
    for node in range(2):
        nodes.put(node, f"secrets.{node}.json", {"TOKEN": f"secret {node} {HOSTILE}"})
        nodes.put(
            node, "launch.json", {"id": "one", "environment": {"NCCL_DEBUG": HOSTILE}, "pass_env": ["TOKEN"]}
        )
    nodes.start_all()
    assert nodes.wait() == {"0": 0, "1": 0}
    for node in range(2):
        assert eval(nodes.printed(node)) == ([HOSTILE, ""], HOSTILE, f"secret {node} {HOSTILE}", HOSTILE)
        assert not list(nodes.run(node).glob("secrets*"))
        assert nodes.record(node)["exit"] == 0
        assert not (nodes.run(node) / "nodes" / f"{node}.pid").exists()
    assert nodes.said(0) == "all 2 nodes are here: HOST, HOST\n"
    assert nodes.said(1) == ""


def test_the_port_is_free_for_the_engine(nodes):
    """The engine of the main node listens on the port of the meeting while the nodes stay connected."""
    listen = "import socket; door = socket.create_server(('', {port})); peer, _ = door.accept(); print(peer.recv(9).decode())"
    call = (
        "import socket, time\n"
        "for _ in range(200):\n"
        "    try: peer = socket.create_connection(('127.0.0.1', {port})); break\n"
        "    except OSError: time.sleep(0.05)\n"
        "peer.sendall(b'engine')"
    )
    words = [[sys.executable, "-S", "-c", text.format(port=nodes.port)] for text in (listen, call)]
    nodes.write(*words)
    nodes.start_all()
    assert nodes.wait() == {"0": 0, "1": 0}
    assert nodes.printed(0) == "engine\n"


def test_the_first_failure_ends_all(nodes):
    """A rank that exits 17 on one node ends both, and both exit 17 with its words on the main node only."""
    fails = (
        'mkdir "$BATCHWRIGHT_RUN/ranks"; '
        'echo \'{"rank": 1, "host": "b", "exit": 17, "error": "ValueError: no", "time": 7}\''
        ' > "$BATCHWRIGHT_RUN/ranks/1.json"; exit 1'
    )
    nodes.write("trap 'exit 0' TERM; sleep 100 & wait", fails)
    nodes.start_all()
    assert nodes.wait() == {"0": 17, "1": 17}
    assert nodes.said(0).splitlines()[1:] == [
        "rank 1 on HOST (node 1) ended with exit code 17: ValueError: no"
    ]
    assert nodes.said(1) == ""
    assert nodes.record(0)["job"]["exit"] == 17
    assert nodes.record(1)["rank"] == 1
    assert nodes.left() == []


def test_the_others_are_told_before_the_grace_is_over(nodes, planned):
    """What lingers on the node that failed first keeps no other node waiting."""
    lingers = "(trap '' TERM; while :; do sleep 0.1; done) & until [ -e up ]; do sleep 0.1; done; exit 3"
    polite = "trap 'touch saved; exit 0' TERM; touch up; while :; do sleep 0.05; done"
    nodes.write(polite, lingers, plan=planned(2, launch={"timeouts": {"handshake": "20 s", "grace": "5 s"}}))
    nodes.start_all()
    nodes.until(nodes.work / "saved")
    assert nodes.programs["1"].poll() is None
    assert nodes.wait() == {"0": 3, "1": 3}
    assert nodes.said(0).splitlines()[-1] == "the command on HOST (node 1) ended with exit code 3"
    assert nodes.left() == []


def test_a_request_to_end_reaches_all_nodes(nodes):
    """SIGTERM to one node program lets scripts on both nodes end in peace, and what does not is killed."""
    polite = "trap 'echo saved; exit 0' TERM; touch up; while :; do sleep 0.05; done"
    stubborn = "trap '' TERM; touch up2; while :; do sleep 0.05; done"
    nodes.write(polite, stubborn)
    nodes.start_all()
    nodes.until(nodes.work / "up")
    nodes.until(nodes.work / "up2")
    began = time.monotonic()
    nodes.programs["1"].send_signal(signal.SIGTERM)
    assert nodes.wait() == {"0": 143, "1": 143}
    assert 1.5 < time.monotonic() - began < 8
    assert nodes.printed(0) == "saved\n"
    assert nodes.said(0).splitlines()[1:] == ["HOST (node 1) was asked to end: SIGTERM"]
    assert nodes.left() == []


def test_a_host_that_dies_is_named_at_once(nodes):
    """When all processes of a node are gone, the main node says so within seconds and ends its own."""
    nodes.write("sleep 100", "touch up; exec sleep 100")
    nodes.start_all()
    nodes.until(nodes.work / "up")
    nodes.programs["1"].kill()
    began = time.monotonic()
    assert nodes.wait() == {"0": 1, "1": -9}
    assert time.monotonic() - began < 10
    (words,) = nodes.said(0).splitlines()[1:]
    assert words.startswith("HOST (node 1) is gone: connection lost after ")
    assert nodes.record(0)["job"]["node"] == 1
    until = time.monotonic() + 10
    while nodes.left() and time.monotonic() < until:
        time.sleep(0.05)
    assert nodes.left() == []  # the kernel asks what the dead program had started to end


def test_a_main_node_that_dies_ends_the_others(nodes):
    """Without the main node, another one says so itself and ends."""
    nodes.write("touch up; sleep 100", "sleep 100")
    nodes.start_all()
    nodes.until(nodes.work / "up")
    nodes.programs["0"].kill()
    assert nodes.wait() == {"0": -9, "1": 1}
    (words,) = nodes.said(1).splitlines()
    assert words.startswith("node-a (node 0, the main node) is gone: connection lost after ")


def test_a_node_that_is_done_waits_for_the_others(nodes):
    """A part that ends well is no reason to end the rest, and all that ends well is exit code 0."""
    nodes.write("exit 0", "sleep 1; echo late")
    nodes.start_all()
    assert nodes.wait() == {"0": 0, "1": 0}
    assert nodes.printed(1) == "late\n"


def test_nobody_left_to_tell(nodes):
    """Over ssh the end of standard input means that the launcher is gone: the job ends on all nodes."""
    nodes.write("sleep 100", "touch up; sleep 100")
    nodes.start(0)
    nodes.start(1, stdin=subprocess.PIPE, SSH_CONNECTION="here")
    nodes.until(nodes.work / "up")
    nodes.programs["1"].stdin.close()
    assert nodes.wait() == {"0": 129, "1": 129}
    assert nodes.said(0).splitlines()[1:] == ["HOST (node 1) was asked to end: whoever started it is gone"]


def test_nobody_left_before_the_start(nodes):
    """A launcher that died while the nodes were meeting leaves nothing running either."""
    nodes.write("sleep 100", "sleep 100")
    first = nodes.start(0, stdin=subprocess.PIPE, SSH_CONNECTION="here")
    nodes.until(nodes.run(0) / "nodes" / "0.pid")
    first.stdin.close()
    nodes.start(1)
    assert nodes.wait() == {"0": 129, "1": 129}
    assert nodes.left() == []


def test_stop_ends_what_runs_here(nodes):
    """--stop ends one node's program and all that it started, and does nothing the second time."""
    nodes.write("sleep 100", "touch up; sleep 100")
    nodes.start_all()
    nodes.until(nodes.work / "up")
    for said in ("", f"batchwright: nothing of {nodes.run(1)} runs here\n"):
        ran = subprocess.run(
            nodes.words(1, "--stop", "--node", "1"),
            env=nodes.environ(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, said)
        assert nodes.wait() == {"0": 143, "1": 143}


def test_stop_ends_what_a_killed_program_left(nodes):
    """Processes that outlived their node program are found by the run's mark."""
    nodes.write("trap '' TERM; touch up; while :; do sleep 0.1; done")
    nodes.start(0)
    nodes.until(nodes.work / "up")
    nodes.programs["0"].kill()
    nodes.wait()
    assert nodes.left()
    ran = subprocess.run(nodes.words(0, "--stop"), env=nodes.environ(), timeout=30, check=False)
    assert (ran.returncode, nodes.left()) == (0, [])


def test_a_slurm_job_that_was_put_back_resumes(nodes, planned):
    """A start that is not the first gets the recipe's further arguments, with the newest checkpoint."""
    job = planned(
        1,
        launch={"script": "train.py"},
        checkpoint={"every": "5 steps", "directory": str(nodes.work / "saved")},
        resume={"args": ["--from", "{latest_checkpoint}", "--in", "{run_dir}"]},
    )
    show = [sys.executable, "-S", "-c", "import os, sys; print(sys.argv[1:], os.environ['SLURM_JOB_ID'])"]
    nodes.write(show, plan=job)
    for name, at in (("step-5", 5), ("step-10", 10)):
        (nodes.work / "saved" / name).mkdir(parents=True)
        os.utime(nodes.work / "saved" / name, (at, at))
    nodes.start(0, name="first", SLURM_JOB_ID="7", SLURM_RESTART_COUNT="0")
    nodes.wait()
    nodes.start(0, name="again", SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1", SLURM_NTASKS="4")
    nodes.wait()
    assert nodes.printed("first") == "[] 7\n"
    newest = str(nodes.work / "saved" / "step-10")
    assert nodes.printed("again") == f"{['--from', newest, '--in', str(nodes.run(0))]} 7\n"


def test_the_engine_gives_the_same_grace(nodes):
    """Torchrun would kill ranks 30 s after it was asked to end; it is told the recipe's grace, or what a person wrote."""
    nodes.write('echo "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT"')
    for name, environ in (("told", {}), ("written", {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "77"})):
        nodes.start(0, name=name, **environ)
        assert nodes.wait()[name] == 0
    assert (nodes.printed("told"), nodes.printed("written")) == ("2\n", "77\n")


def test_a_bug_is_not_an_end_of_the_job(nodes):
    """What nobody foresaw ends with code 3 and asks for a report."""
    nodes.write("exit 0")
    nodes.put(0, "launch.json", {"id": "one", "environment": ["no mapping"]})
    nodes.start(0)
    assert nodes.wait()["0"] in {3, 78}
