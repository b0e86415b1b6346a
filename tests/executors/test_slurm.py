"""The executor for Slurm: what is rendered, for every sample plan, and read by bash."""

import re
import subprocess
from dataclasses import replace

import pytest

from launcher.discovery.plugins import find_plugin
from launcher.errors import EngineError
from launcher.executors.formats.slurm_options import duration, job_options, option_names, usual_signal
from launcher.executors.slurm import EXECUTOR, LOG_FILE, SCRIPT_FILE
from launcher.spec.bundle import MAIN_ADDRESS, MAIN_PORT, RUN_DIR
from launcher.spec.place import AllocationPlan, ContainerPlan, SlurmPlan, TemplatePlan
from launcher.testing import sample_plans
from launcher.testing.plans import changed

PLANS = {
    name: plan for name, plan in sample_plans().items() if plan.layout.devices is None and plan.launch.script
}
FOLDER = '/shared/a run\'s "$(id)" 100% \u00e9'
TORCHRUN = find_plugin("launcher.engines", "torchrun")
SRUN = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --kill-on-bad-exit=0 --wait=120"
PLAIN = SlurmPlan(
    partition=None,
    account=None,
    constraint=None,
    time_seconds=None,
    signal=None,
    requeue=False,
    array=1,
    extra=(),
)


def on_slurm(case="cpu-2x1-hostile", /, *, slurm=None, **launch):
    wishes = replace(PLAIN, **slurm) if slurm is not None else None
    return changed(PLANS[case], launch={"executor": "slurm", "engine": "torchrun", "slurm": wishes, **launch})


def rendered(plan):
    names = (MAIN_ADDRESS, *(f"node-{rank}" for rank in range(1, plan.layout.num_nodes)))
    return EXECUTOR.render(plan, TORCHRUN.render(plan, names))


def script(plan, folder=FOLDER):
    return rendered(plan).placed(folder, python="/opt/my py/bin/python").files[SCRIPT_FILE]


def read_by_bash(text):
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)


def template(text):
    return TemplatePlan(name="site.sbatch", text=text)


def problems(plan):
    return [str(problem) for problem in EXECUTOR.check(plan)]


@pytest.mark.parametrize("case", [case for case in PLANS if not PLANS[case].launch.native_argv])
def test_bash_reads_every_script(case):
    """No plan and no folder makes a script that bash cannot read, and nothing of us is left in it."""
    engine = find_plugin("launcher.engines", PLANS[case].launch.engine)
    plan = changed(PLANS[case], launch={"executor": "slurm"})
    if any(each.severity == "error" for each in engine.check(plan)):
        pytest.skip("another engine's plan")
    names = (MAIN_ADDRESS, *(f"node-{rank}" for rank in range(1, plan.layout.num_nodes)))
    text = EXECUTOR.render(plan, engine.render(plan, names)).placed(FOLDER).files[SCRIPT_FILE]
    checked = read_by_bash(text)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "\0" not in text


def test_the_whole_script():
    """Two nodes, everything written: the options, where the nodes meet, one srun, and its code."""
    plan = on_slurm(
        slurm={
            "partition": "gpu",
            "account": "abc123",
            "constraint": "a100&ib",
            "time_seconds": 90_061.5,
            "extra": ("--mem=0", "#SBATCH --comment='two words'"),
        },
        pass_env=("WANDB_API_KEY",),
        grace_seconds=90.0,
    )
    lines = script(plan, "/shared/runs/x").splitlines()
    names = next(line for line in lines if "--export=" in line and line.startswith("#"))
    assert re.fullmatch(r"#SBATCH --export=(\w+,)*WANDB_API_KEY", names)
    assert {"PATH", "VIRTUAL_ENV", "PYTHONPATH"} <= set(names.partition("=")[2].split(","))
    assert not {"HOME", "USER", "TMPDIR", "TERM"} & set(names.partition("=")[2].split(","))
    lines.remove(names)
    assert re.fullmatch(r"#SBATCH --job-name=batchwright-x-[0-9a-f]{8}", lines.pop(1))
    assert lines == [
        "#!/bin/bash",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=abc123",
        "#SBATCH --constraint=a100&ib",
        "#SBATCH --time=1-01:01:02",
        "#SBATCH --signal=TERM@120",
        "#SBATCH --no-requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --mem=0",
        "#SBATCH --comment='two words'",
        "set -euo pipefail",
        "",
        'batchwright_hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST") || exit 78',
        "export BATCHWRIGHT_HOSTS=${batchwright_hosts//$'\\n'/,}",
        "export BATCHWRIGHT_MAIN_ADDRESS=${batchwright_hosts%%$'\\n'*}",
        "export BATCHWRIGHT_MAIN_PORT=$((20000 + SLURM_JOB_ID % 10000))",
        "batchwright_code=0",
        f"{SRUN} --cpu-bind=none --mpi=none --input=none --export=ALL \\",
        "  '/opt/my py/bin/python' -m batchwright_node /shared/runs/x || batchwright_code=$?",
        'echo "$batchwright_code" > /shared/runs/x/ended || true',
        'exit "$batchwright_code"',
    ]


def test_no_word_of_the_job_is_in_the_script():
    """Arguments and variables lie in bundle.json, where no shell comes by."""
    text = script(on_slurm())
    for word in ("$(id)", "`id`", "NOTE", "line\nbreak"):
        assert word not in text.replace(f"'{FOLDER[:16]}", "").replace("$(id)", "", text.count("100%"))


def test_the_command_says_the_options_again():
    """Variables such as SBATCH_EXPORT win over a script and lose to the command line; `%` is doubled for --output."""
    plan = on_slurm()
    bundle = rendered(plan).placed(FOLDER)
    (start,) = bundle.commands
    assert start.argv[:3] == ("sbatch", "--wait", f"--output={FOLDER.replace('%', '%%')}/{LOG_FILE}")
    assert start.argv[-1] == f"{FOLDER}/{SCRIPT_FILE}"
    lines = bundle.files[SCRIPT_FILE].splitlines()
    assert [f"#SBATCH {word}" for word in start.argv[3:-1]] == [
        line for line in lines if line.startswith("#SBATCH")
    ]
    (later,) = bundle.detached
    assert later.argv == ("sbatch", *start.argv[2:])
    assert bundle.log == LOG_FILE
    assert bundle.attached


def test_the_nodes_have_the_engines_commands():
    """Each is looked up by its node; address and port are filled in there."""
    plan = on_slurm()
    bundle = rendered(plan).placed("/shared/x")
    assert [each.node_rank for each in bundle.nodes] == [0, 1]
    words = bundle.nodes[1].argv
    assert words[words.index("--master_addr") + 1] == MAIN_ADDRESS
    assert words[words.index("--master_port") + 1] == MAIN_PORT
    assert bundle.nodes[1].env["BATCHWRIGHT_RUN"] == "/shared/x"
    assert not bundle.secret_files


def test_it_is_ended_by_its_name():
    """Pending ones are cancelled, running ones get SIGTERM in their steps; both by the name of this run alone."""
    one, other = (rendered(on_slurm()).placed(folder) for folder in ("/a/run", "/b/run"))
    name = next(word for word in one.commands[0].argv if word.startswith("--job-name="))
    assert one.stop == (
        ("scancel", "--state=PENDING", name.replace("job-name", "name")),
        ("scancel", "--signal=TERM", name.replace("job-name", "name")),
    )
    assert one.stop != other.stop


def test_a_written_place_is_kept():
    """A main address and a port of the recipe are exported as they are."""
    text = script(on_slurm(main_address="10.0.0.7; id", main_port=6000))
    assert "export BATCHWRIGHT_MAIN_ADDRESS='10.0.0.7; id'\n" in text
    assert "export BATCHWRIGHT_MAIN_PORT=6000\n" in text


def test_devices_are_asked_for_as_what_they_are():
    """GPUs by number per node, Gaudi as its own resource, processors for threads on CPU."""
    assert "--gpus-per-node=8" in job_options(PLANS["gpu-8x8-zero3"])
    hpu = changed(PLANS["gpu-8x8-zero3"], layout={"device_kind": "hpu"})
    assert "--gres=hpu:8" in job_options(hpu)
    cpu = on_slurm("cpu-1x2", threads_per_process=4)
    assert "--cpus-per-task=8" in job_options(cpu)
    assert not [word for word in job_options(cpu) if "gpus" in word or "gres" in word]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59, "0-00:00:59"), (3600, "0-01:00:00"), (86_400 * 3 + 1, "3-00:00:01"), (0.5, "0-00:00:01")],
)
def test_a_limit_is_days_and_hours(seconds, text):
    """Never less than was written."""
    assert duration(seconds) == text


def test_the_grace_fits_before_the_limit():
    """SIGTERM comes grace and 30 s before the end, which Slurm's own way would not give; a short job has none."""
    assert usual_signal(on_slurm(grace_seconds=300.0)) == "TERM@330"
    assert usual_signal(on_slurm(slurm={"time_seconds": 3600.0}, grace_seconds=90.0)) == "TERM@120"
    assert usual_signal(on_slurm(slurm={"time_seconds": 300.0}, grace_seconds=90.0)) is None
    assert "--signal=TERM@60" in job_options(on_slurm(slurm={"signal": "TERM@60"}))


def test_setup_and_image_are_around_the_program():
    """Modules are loaded on every node in one login shell; an image is entered by apptainer or by srun itself."""
    setup = (("module", "load", "cuda/12.8"), ("echo", "it's; $(id)"))
    text = script(on_slurm(setup=setup))
    assert "module load cuda/12.8 &&" in text
    assert read_by_bash(text).returncode == 0
    image = ContainerPlan(image="/images/a b.sif", mounts=("/data:/data",), runtime="apptainer")
    text = script(on_slurm(container=image))
    assert "apptainer exec --bind /data:/data --bind " in text
    assert "'/images/a b.sif' '/opt/my py/bin/python' -m batchwright_node" in text
    image = ContainerPlan(image="nvcr.io#nvidia/pytorch:25.01-py3", mounts=("/data:/data",), runtime="pyxis")
    words = script(on_slurm(container=image, setup=setup, workdir="/shared/my work"), "/shared/it's")
    assert "'--container-image=nvcr.io#nvidia/pytorch:25.01-py3'" in words
    assert "--container-mounts=/data:/data,'/shared/it'\"'\"'s':'/shared/it'\"'\"'s'" in words
    assert "/shared/my work:/shared/my work" in words
    assert read_by_bash(words).returncode == 0
    assert "apptainer" not in words


def test_software_in_an_image_is_the_images():
    """PATH and its like are not handed on where modules or an image set them."""
    for site in (
        {"setup": (("true",),)},
        {"container": ContainerPlan(image="a", mounts=(), runtime="pyxis")},
    ):
        (names,) = [word for word in job_options(on_slurm(**site)) if word.startswith("--export=")]
        assert not {"PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"} & set(names.partition("=")[2].split(","))


def test_restarts_need_a_way_to_resume():
    """With resume.args a job may be put back or chained; a later one of a chain stops where one has finished."""
    plan = on_slurm(slurm={"requeue": True, "array": 3}, resume_args=("--resume", "{latest_checkpoint}"))
    text = script(plan, "/shared/x y")
    assert "#SBATCH --requeue\n" in text
    assert "#SBATCH --array=0-2%1\n" in text
    assert "if [ -e '/shared/x y'/finished ]; then\n" in text
    assert (
        "if [ -e '/shared/x y'/finished ]; then echo \"$batchwright_code\" > '/shared/x y'/ended || true; fi\n"
        in text
    )
    assert read_by_bash(text).returncode == 0
    assert [each.code for each in EXECUTOR.check(on_slurm(slurm={"requeue": True}))] == [
        "restart-without-resume"
    ]


def test_a_sites_script_keeps_its_lines():
    """Our options come first, where sbatch still reads them; our block stands at the mark; braces are filled."""
    site = template(
        "#!/bin/bash\n#SBATCH --partition=big\nmodule load x/${V:-{1}}\necho {global_batch_size} {{a,b}} {run_dir}/s\n"
        "#BATCHWRIGHT\necho done ${batchwright_code}"
    )
    text = script(on_slurm(template=site), "/shared/it's")
    lines = text.splitlines()
    assert read_by_bash(text).returncode == 0
    first = [number for number, line in enumerate(lines) if line.startswith("#SBATCH --job-name")]
    assert first == [1]
    at = lines.index("#SBATCH --partition=big")
    batch = PLANS["cpu-2x1-hostile"].batch.global_batch_size
    assert lines[at + 1 : at + 4] == [
        "module load x/${V:-{1}}",
        f"echo {batch} {{a,b}} '/shared/it'\"'\"'s'/s",
        'batchwright_hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST") || exit 78',
    ]
    assert lines[-3] == "echo done ${batchwright_code}"
    assert lines[-1] == 'exit "$batchwright_code"'
    assert "set -euo pipefail" not in lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/bash\n", "has the line `#BATCHWRIGHT` nowhere"),
        ("#!/bin/bash\n#BATCHWRIGHT\n#BATCHWRIGHT\n", "on lines 2, 3; expected it once"),
        ("#!/bin/sh\n#BATCHWRIGHT\n", "starts with `#!/bin/sh`"),
        ("#!/bin/bash\n#BATCHWRIGHT\necho {seeds}\n", "`{seeds}` is no placeholder"),
        ("#!/bin/bash\nf() { true; }\n#BATCHWRIGHT\n", "`{ true; }` is no placeholder"),
        ("#!/bin/bash\n#SBATCH -t 5 -N2\n#BATCHWRIGHT\n", "`-t 5 -N2` sets `--nodes`"),
        ("#!/bin/bash\n#SBATCH --output=x.out\n#BATCHWRIGHT\n", "sets `--output`"),
        ("#!/bin/bash\n#SBATCH --requeue\n#BATCHWRIGHT\n", "sets `--requeue`"),
        ("#!/bin/bash\n#SBATCH --no-requeue\n#BATCHWRIGHT\n", "sets `--no-requeue`"),
    ],
)
def test_a_sites_script_that_contradicts_is_refused(text, said):
    """Without one mark, with another shell, with an unknown placeholder, or with an option of the plan."""
    plan = on_slurm(template=template(text))
    assert said in "\n".join(problems(plan))
    with pytest.raises(EngineError):
        rendered(plan)


def test_a_site_may_choose_what_the_recipe_leaves_out():
    """Partition and time are the site's where the recipe says nothing of them."""
    site = template("#!/bin/bash -l\n#SBATCH --partition=big --time=1:00\n#BATCHWRIGHT\n")
    assert problems(on_slurm(template=site)) == []
    assert "sets `--time`" in problems(on_slurm(template=site, slurm={"time_seconds": 60.0}))[0]


def test_options_are_read_as_sbatch_reads_them():
    """Long, short, abbreviated, quoted, several on a line, and a comment after them."""
    assert list(option_names("-N2 --part=x --comment='--nodes' -p big # --time=1")) == [
        "nodes",
        "partition",
        "comment",
        "partition",
    ]


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        ({"hosts": ("a", "b")}, "Slurm chooses the hosts"),
        ({"container": ContainerPlan(image="a", mounts=(), runtime="docker")}, "docker"),
        ({"container": ContainerPlan(image="a", mounts=("/a,/b",), runtime="pyxis")}, "pyxis reads a comma"),
        ({"slurm": {"signal": "USR1@60"}}, "write launch.slurm.signal: TERM@60"),
        ({"slurm": {"account": "a#b"}}, "more than one word"),
        ({"slurm": {"partition": "a\nb"}}, "`partition: a\\nb` is more than one word"),
        ({"slurm": {"extra": ("--gpus-per-node=4",)}}, "write cluster.devices_per_node"),
    ],
)
def test_what_slurm_cannot_is_said(launch, said):
    """Each in words, with what to write instead."""
    assert said in "\n".join(problems(on_slurm(**launch)))


def test_a_gpu_job_takes_no_second_word_about_gpus():
    """`--gres=gpu:4` beside our `--gpus-per-node` would be two answers; other resources are the site's."""
    asked = on_slurm(
        "gpu-8x8-zero3", engine="torchrun", slurm={"extra": ("--gres=gpu:4", "--gres=craynetwork:1")}
    )
    (said,) = problems(asked)
    assert said.startswith("`--gres=gpu:4` sets `--gpus`")


HELD = AllocationPlan(job="812", hosts=("n1", "n2", "n3"), cpus=(1, 1, 1), tasks=(1, 1, 1))


def test_inside_an_allocation_it_is_one_srun():
    """No sbatch, no script: the job's number, the first hosts, names of variables, and who is node 0."""
    plan = on_slurm(allocation=HELD, pass_env=("HF_TOKEN",))
    bundle = rendered(plan).placed("/shared/x", python="/opt/python")
    (start,) = bundle.commands
    assert start.argv[:4] == ("srun", "--jobid=812", "--overlap", "--nodelist=n1,n2")
    assert start.argv[-4:] == ("/opt/python", "-m", "batchwright_node", "/shared/x")
    assert start.env == {"BATCHWRIGHT_HOSTS": "n1,n2", "BATCHWRIGHT_MAIN_ADDRESS": "n1"}
    names = next(word for word in start.argv if word.startswith("--export="))
    assert {"BATCHWRIGHT_HOSTS", "BATCHWRIGHT_MAIN_ADDRESS", "HF_TOKEN", "HOME", "PATH"} <= set(
        names[9:].split(",")
    )
    assert bundle.stop == ((*start.argv, "--stop"),)
    assert SCRIPT_FILE not in bundle.files
    assert bundle.log is None
    assert bundle.detached == ()
    words = bundle.nodes[0].argv
    assert words[words.index("--master_port") + 1] == str(bundle.main_port)


def test_hosts_with_too_little_are_passed_over():
    """The nodes of the plan are those that have room for it."""
    held = replace(HELD, cpus=(1, 4, 8))
    plan = on_slurm(allocation=held, threads_per_process=4)
    assert rendered(plan).commands[0].env["BATCHWRIGHT_HOSTS"] == "n2,n3"


def test_nodes_that_differ_are_named():
    """A note says what each has and how much of it the plan uses."""
    held = replace(HELD, devices=(8, 8, 4), hosts=("n1", "n2", "n3"))
    plan = changed(
        PLANS["gpu-8x8-zero3"], launch={"allocation": held}, layout={"num_nodes": 2, "devices_per_node": 4}
    )
    (note,) = EXECUTOR.check(plan)
    assert note.severity == "note"
    assert note.message == "the nodes of Slurm job 812 differ; the plan uses 4 on each: n1 8, n2 8, n3 4"


def test_an_allocation_with_less_is_refused(request):
    """Both numbers, and what each host lacks."""
    held = replace(HELD, cpus=(1, 4, 1), hosts=("n1", "n2", "n3"))
    (problem,) = EXECUTOR.check(on_slurm(allocation=held, threads_per_process=4))
    text = (request.path.parent / "messages" / "allocation-differs.txt").read_text()
    assert f"{problem}\n" == text
    (problem,) = EXECUTOR.check(on_slurm(allocation=replace(HELD, hosts=("n1",), cpus=(8,), tasks=())))
    assert problem.message == "Slurm job 812 has 1 node; the plan has 2"


def test_what_is_for_sbatch_is_named_inside():
    """A note, because the same recipe may be submitted another day."""
    plan = on_slurm(allocation=HELD, slurm={"partition": "big"}, template=template("#!/bin/bash\n"))
    assert [(each.severity, each.path) for each in EXECUTOR.check(plan)] == [
        ("note", "launch.slurm"),
        ("note", "launch.template"),
    ]


def test_an_engine_that_fans_out_itself_is_refused():
    """DeepSpeed's own runner would start the nodes a second time."""
    plan = on_slurm()
    bundle = TORCHRUN.render(plan, ("a", "b"))
    with pytest.raises(EngineError, match="reaches them by itself"):
        EXECUTOR.render(plan, replace(bundle, commands=bundle.commands[:1]))


def test_rendering_is_pure():
    """The same plan gives the same bytes, and placing them leaves no placeholder but those of the job."""
    plan = on_slurm()
    assert rendered(plan) == rendered(plan)
    placed = rendered(plan).placed(FOLDER)
    left = {word for each in placed.nodes for word in each.argv if "\0" in word}
    assert left == {MAIN_ADDRESS, MAIN_PORT}
    assert RUN_DIR not in "".join(placed.files.values())
