"""A probe at the process boundary, with a fake engine: how jobs end, and what is left of them."""

import json
import os
import signal

import pytest


@pytest.fixture
def probe(jobs, monkeypatch):
    """Runs a probe to its end, or starts one."""
    words = jobs.words

    def run(*options, does, start=False, command="probe"):
        with monkeypatch.context() as patch:
            probing = [command if word == "run" else word for word in words(*options, does=does)]
            patch.setattr(jobs, "words", lambda *_, **__: probing)
            return jobs.start() if start else jobs.run()

    return run


def record(rank, *, steps=3, peak=2**30, files=()):
    """A rank's word as the witness leaves it."""
    probe = {"steps": steps, "peak_bytes": peak, "versions": {"python": "3"}, "files": list(files)}
    return json.dumps({"rank": rank, "host": "here", "exit": 0, "error": None, "time": 1.0, "probe": probe})


def leaving(jobs, *records):
    """A fake engine whose ranks leave these records."""
    code = f"#!{jobs.bin / 'python'}\nimport os, pathlib\nranks = pathlib.Path(os.environ['BATCHWRIGHT_RUN'], 'ranks')\nranks.mkdir()\n"
    code += "open(os.environ['FAKE_RECORD'], 'a').write(os.environ['BATCHWRIGHT_PROBE_STEPS'] + ' '"
    code += " + os.environ.get('BATCHWRIGHT_PROBE_LIMIT', '') + '\\n')\n"
    for rank, text in enumerate(records):
        code += f"(ranks / '{rank}.json').write_text({text!r})\n"
    jobs.put("torchrun", code)


def test_nothing_fits(jobs, probe):
    """Out of memory at every size down to 1 is an answer, kept and read by the plan; the exit code is 1."""
    ran = probe("--limit", "4GiB", "--json", does="rank:0:143:1.0:terminated rank:1:1:2.0:MemoryError exit:1")
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["max_micro_batch_size"]) == (1, None)
    assert [trial["micro_batch_size"] for trial in found["trials"]][-1] == 1
    assert {trial["outcome"] for trial in found["trials"]} == {"out-of-memory"}
    assert found["trials"][0]["words"] == "rank 1: MemoryError"
    assert jobs.runs() == []  # run folders of a probe are temporary


def test_more_than_the_limit_does_not_fit(jobs, probe):
    """A job that ran and took more than it may is over the limit, whichever rank it was."""
    leaving(jobs, record(0), record(1, peak=5 * 2**30))
    ran = probe("--limit", "4GiB", "--json", does="exit:0")
    found = json.loads(ran.stdout)
    assert ran.returncode == 1, ran.stderr
    assert {trial["outcome"] for trial in found["trials"]} == {"over-limit"}
    assert jobs.record.read_text().splitlines()[0] == f"3 {4 * 2**30}"


def test_a_rank_without_a_word_measures_nothing(jobs, probe):
    """Half of the ranks is not the job."""
    leaving(jobs, record(0))
    ran = probe("--limit", "4GiB", does="exit:0")
    assert ran.returncode == 1
    assert "[probe-no-steps]" in ran.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_probe_leaves_nothing(jobs, probe, number, code):
    """Whoever asks the probe to end gets a shell's code; no process, file or folder stays."""
    job = probe("--limit", "4GiB", does="child hang", start=True)
    jobs.wait_for(".hangs")
    os.kill(job.pid, number)
    _, said = job.communicate(timeout=30)
    assert job.returncode == code
    assert "nothing of the job is left running, nothing was kept" in said
    assert jobs.left() == []
    assert not (jobs.folder / ".batchwright").exists()


@pytest.mark.parametrize("command", ["rehearse", "selftest"])
def test_other_trials_leave_nothing_either(jobs, probe, command):
    """Ctrl-C during a rehearsal or a self-test: no process, no run folder, no checkpoint."""
    job = probe(does="child hang", start=True, command=command)
    jobs.wait_for(".hangs")
    os.kill(job.pid, signal.SIGINT)
    _, said = job.communicate(timeout=30)
    assert job.returncode == 130
    assert "nothing of the job is left running, nothing was kept" in said
    assert jobs.left() == []
    assert not (jobs.folder / "runs").exists()


def test_a_job_without_steps_is_no_rehearsal(jobs, probe):
    """An engine that ends well and has trained nothing fails the first part; what it wrote is kept."""
    ran = probe(does="exit:0", command="rehearse")
    assert ran.returncode == 1
    assert "failed: optimizer steps: the script ended by itself after 0 of them" in ran.stdout
    assert len(jobs.starts()) == 1
    assert len(jobs.runs()) == 1


@pytest.mark.parametrize("command", ["rehearse", "selftest", "probe"])
def test_trials_ask_through_the_environment(jobs, probe, command):
    """Every wish of a trial is one of four variables."""
    probe(*(["--limit", "4GiB"] if command == "probe" else []), does="exit:0", command=command)
    wishes = {
        name.removeprefix("BATCHWRIGHT_PROBE_"): value
        for name, value in jobs.starts()[0]["env"].items()
        if name.startswith("BATCHWRIGHT_PROBE_")
    }
    assert (
        wishes
        == {
            "rehearse": {"STEPS": "3", "SAMPLES": "longest", "INSPECT": "1"},
            "selftest": {"STEPS": "1", "SAMPLES": "ragged", "INSPECT": "1"},
            "probe": {"STEPS": "3", "LIMIT": str(4 * 2**30)},
        }[command]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--steps", "1"], "`1`: expected a whole number from 2"),
        (["--limit", "4"], "`4`: expected a number and `MB`, `GB`, `MiB` or `GiB` (`80 GiB`)"),
        (["--limit", "0 GiB"], "`0 GiB`: expected an amount above 0"),
    ],
)
def test_wrong_usage(probe, options, said):
    """A number that means nothing is refused before anything is read."""
    ran = probe(*options, does="exit:0")
    assert ran.returncode == 2
    assert said in ran.stderr


def test_checks_of_a_run_are_made_first(jobs, probe):
    """A script that is not there is said as `run` says it."""
    (jobs.folder / "train.py").unlink()
    ran = probe("--limit", "4GiB", does="exit:0")
    assert ran.returncode == 1
    assert "[script-not-found]" in ran.stderr
    assert jobs.starts() == []
