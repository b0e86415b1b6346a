"""`batchwright run` as a process, with a fake engine behind it: what starts, what ends, and what is said of it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest


def test_the_engine_gets_what_was_rendered(jobs):
    """The engine's words, folder and variables are those of the plan, and the run folder is where they point."""
    done = jobs.run(does="print:hello complain:oh")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    (started,) = jobs.starts()
    (run,) = jobs.runs()
    assert started["cwd"] == str(jobs.folder)
    assert started["argv"][0] == str(jobs.bin / "torchrun")
    assert started["argv"][-4:] == ["batchwright_witness", "--plan", f"{run}/plan.json", "train.py"]
    assert started["env"]["BATCHWRIGHT_RUN"] == str(run)
    assert started["env"]["LAUNCHER_PLAN"] == f"{run}/plan.json"
    assert started["env"]["PATH"].split(":")[0] == str(jobs.bin)
    assert "oh\n" in done.stderr
    assert (run / "logs" / "launch.log").read_text().splitlines() == ["hello", "oh"]


def test_the_run_folder_is_complete_and_private(jobs):
    """Everything needed to repeat a run is in its folder, and only its owner reads it."""
    jobs.run(does="exit:0")
    (run,) = jobs.runs()
    names = {
        "plan.json",
        "bundle.json",
        "recipe.yaml",
        "commands.txt",
        "environment.txt",
        "status.json",
        "logs",
    }
    assert {path.name for path in run.iterdir()} == names
    assert (run / "recipe.yaml").read_text() == jobs.recipe.read_text()
    assert run.stat().st_mode & 0o777 == 0o700
    assert {oct(path.stat().st_mode & 0o777) for path in run.rglob("*") if path.is_file()} == {"0o600"}
    assert [path for path in (jobs.folder / "runs").iterdir() if path.name.startswith(".")] == []


def test_the_written_command_starts_the_same_job(jobs):
    """What commands.txt says can be pasted into a shell."""
    jobs.run(does="exit:0")
    (run,) = jobs.runs()
    line = [line for line in (run / "commands.txt").read_text().splitlines() if not line.startswith("#")]
    subprocess.run(["sh", "-c", "\n".join(line)], env=jobs.environ(), check=True)
    first, second = jobs.starts()
    assert first["argv"] == second["argv"]
    assert first["cwd"] == second["cwd"]
    assert {**first["env"], **second["env"]} == first["env"] | {"PWD": str(jobs.folder)} | {
        name: second["env"][name] for name in ("PATH", "_", "SHLVL", "OLDPWD") if name in second["env"]
    }


def test_secrets_are_handed_on_and_never_written(jobs):
    """A variable named in launch.pass_env reaches the job by value and the run folder by name only."""
    jobs.run("--set", "launch.pass_env=[WANDB_API_KEY]", WANDB_API_KEY="s3cr3t")
    (run,) = jobs.runs()
    assert jobs.starts()[0]["env"]["WANDB_API_KEY"] == "s3cr3t"
    texts = [path.read_text() for path in run.rglob("*") if path.is_file()]
    assert not any("s3cr3t" in text for text in texts)
    assert "WANDB_API_KEY" in (run / "environment.txt").read_text()


def test_another_launch_does_not_leak_in(jobs):
    """Variables of a launch around us, and secrets nobody asked for, stay outside."""
    foreign = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_PORT": "1", "ACCELERATE_USE_FSDP": "true"}
    jobs.run(**foreign, FSDP_VERSION="2", PET_NPROC_PER_NODE="9", HF_TOKEN="s3cr3t", HF_HOME="/models")
    (started,) = jobs.starts()
    assert set(foreign) & set(started["env"]) == set()
    assert {"FSDP_VERSION", "PET_NPROC_PER_NODE", "HF_TOKEN"} & set(started["env"]) == set()
    assert started["env"]["HF_HOME"] == "/models"


@pytest.mark.parametrize("name", ["a 0", 'it\'s "odd" $(id)', "line\nbreak", "\u00e9\u4e2d"])
def test_odd_folders(jobs, name):
    """Folders with blanks, quotes, line breaks and letters of any script arrive byte for byte."""
    target = jobs.folder / name / "run"
    done = jobs.run("--run-dir", str(target), does="exit:0")
    assert done.returncode == 0, done.stderr
    (started,) = jobs.starts()
    assert started["env"]["BATCHWRIGHT_RUN"] == str(target)
    assert f"{target}/plan.json" in started["argv"]
    assert json.loads((target / "status.json").read_text())["state"] == "done"


def test_a_run_never_shares_a_folder(jobs):
    """A folder that holds something is refused, and nothing is started."""
    (jobs.folder / "train").mkdir()
    (jobs.folder / "train" / "theirs").write_text("x")
    done = jobs.run("--run-dir", "train")
    assert done.returncode == 78
    assert "[directory-not-empty]" in done.stderr
    assert jobs.starts() == []
    assert [path.name for path in jobs.folder.iterdir() if path.name.startswith(".")] == []


def test_two_launches_at_once(jobs):
    """The same recipe started several times in one second gives as many folders."""
    started = [jobs.start(does="exit:0") for _ in range(4)]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0, 0]
    for process in started:
        process.communicate()
    assert len(jobs.runs()) == 4
    assert {start["env"]["BATCHWRIGHT_RUN"] for start in jobs.starts()} == {str(run) for run in jobs.runs()}


@pytest.mark.parametrize(("does", "code"), [("exit:0", 0), ("exit:5", 5), ("die:9", 137), ("die:15", 143)])
def test_the_engines_own_code(jobs, does, code):
    """Without a word of any rank, the engine's exit code is ours, 128+N for signal N."""
    assert jobs.run(does=does).returncode == code
    status = jobs.status()
    assert (status["state"], status["exit"]) == ("failed" if code else "done", code)


def test_the_first_failing_rank_gives_the_code(jobs):
    """Of several failing ranks the earliest decides the exit code and is named with its host and error."""
    done = jobs.run(does="rank:0:1:200.5:late rank:1:17:100.5:ValueError rank:2:143:50:ended exit:1")
    assert done.returncode == 17
    assert "failed  rank 1 on here ended with exit code 17: ValueError" in done.stderr
    status = jobs.status()
    assert (status["exit"], status["failed_rank"], status["failed_host"]) == (17, 1, "here")
    assert status["message"].endswith("ValueError")
    assert status["ended"] is not None


def test_the_last_line_sums_up(jobs):
    """A run with a log ends with its steps and losses, and with a picture of them."""
    done = jobs.run(does="log:10")
    assert "done    10 steps, loss 5.000 -> 0.500, took" in done.stderr
    (run,) = jobs.runs()
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_while_it_runs_status_says_so(jobs):
    """status.json tells a running job from one that has ended."""
    process = jobs.start(does="hang")
    jobs.wait_for(".hangs")
    status = jobs.status()
    assert (status["state"], status["exit"], status["ended"]) == ("running", None, None)
    assert status["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_asked_to_end(jobs, number, code):
    """One signal to us ends the engine and what it started in sessions of its own; nothing is left."""
    process = jobs.start("--set", "launch.timeouts.grace=60 s", does="child hang")
    jobs.wait_for(".hangs")
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)  # half the grace: they end because they are asked
    assert process.returncode == code
    assert jobs.left() == []
    assert (jobs.status()["state"], jobs.status()["exit"]) == ("interrupted", code)
    assert "asked the job to end" in errors


def test_the_deaf_are_ended_after_the_grace(jobs):
    """Processes that ignore SIGTERM are gone one grace later."""
    process = jobs.start(does="ignore stubborn-child hang")
    jobs.wait_for(".hangs")
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - before >= 1.0
    assert jobs.left() == []


def test_a_second_interrupt_ends_at_once(jobs):
    """Whoever asks twice does not wait for the grace."""
    process = jobs.start("--set", "launch.timeouts.grace=60 s", does="ignore stubborn-child hang")
    jobs.wait_for(".hangs")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)  # half the grace
    assert process.returncode == 130
    assert jobs.left() == []


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.15, 0.2, 0.25])
def test_interrupted_while_starting(jobs, delay):
    """Whenever the interrupt comes, it is exit code 130 and nothing is left: no process, no half a folder."""
    process = jobs.start(does="child hang")
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    if "init_import_site" in errors:
        return  # the interpreter was not ready, and none of our code had been read
    assert process.returncode in {130, -signal.SIGINT}, errors
    assert jobs.left() == []
    assert not any(path.name.startswith(".") for path in jobs.runs())
    assert all(json.loads((run / "status.json").read_text())["state"] == "interrupted" for run in jobs.runs())


def test_what_outlives_its_engine_is_ended(jobs):
    """A child that the engine left behind is ended and named."""
    done = jobs.run(does="child exit:0")
    assert done.returncode == 0
    assert "outlived the job and was ended" in done.stderr
    assert jobs.left() == []


def test_an_engine_that_is_killed_leaves_nothing(jobs):
    """When the engine itself is killed, its workers do not train on."""
    process = jobs.start(does="stubborn-child hang")
    jobs.wait_for(".hangs")
    engine = [pid for pid in jobs.left() if b"torchrun" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(engine[0], signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == 137
    assert jobs.left() == []


def test_a_reader_that_goes_away_does_not_end_the_job(jobs):
    """`| head` stops reading, the job goes on and its log is whole."""
    line = " ".join(f"print:{number}" for number in range(200))
    with jobs.start(does=f"{line} exit:0") as process:
        process.stdout.close()
        process.stderr.read()
        assert process.wait(timeout=30) == 0
    (run,) = jobs.runs()
    assert len((run / "logs" / "launch.log").read_text().splitlines()) == 200


def test_a_dry_run_does_nothing(jobs):
    """--dry-run names files and the exact command, and leaves no trace."""
    done = jobs.run("--dry-run", does="exit:0")
    assert done.returncode == 0
    assert "plan.json" in done.stdout
    assert f"cd {jobs.folder} && env " in done.stdout
    assert "torchrun --nnodes 1 --nproc_per_node 2" in done.stdout
    assert jobs.starts() == []
    assert jobs.runs() == []


def test_a_dry_run_refuses_what_a_run_refuses(jobs):
    """--dry-run is the launch path minus its last step: what would not start is refused here too."""
    (jobs.folder / "train.py").unlink()
    assert jobs.run("--dry-run").returncode == 78


def test_all_that_is_missing_is_said_at_once(jobs):
    """Script, interpreter and variable are three problems in one answer, each with its place."""
    (jobs.folder / "train.py").rename(jobs.folder / "trian.py")
    jobs.recipe.write_text(jobs.recipe.read_text() + "  python: no-such-python\n  pass_env: [ABSENT]\n")
    done = jobs.run()
    assert done.returncode == 78
    absent = "`no-such-python` is neither beside our own interpreter nor on PATH"
    assert [line for line in done.stderr.splitlines() if "[" in line] == [
        f"{jobs.recipe}:6:11: `script: train.py`: there is no such file in `.` [script-not-found]",
        f"{jobs.recipe}:8:11: {absent} [executable-not-found]",
        f"{jobs.recipe}:9:14: `ABSENT` is to be handed on and is not set [pass-env-missing]",
    ]
    assert "hint: did you mean `trian.py`?" in done.stderr
    assert done.stderr.splitlines()[-1] == "3 problems"
    assert jobs.runs() == []


def test_a_program_that_cannot_be_executed(jobs):
    """A file that the system cannot execute is our message, not a traceback."""
    jobs.put("torchrun", "\0not a program")
    done = jobs.run()
    assert done.returncode == 78
    assert "cannot be started" in done.stderr
    assert "Traceback" not in done.stderr
    assert jobs.status()["state"] == "failed"
