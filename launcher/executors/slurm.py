"""Slurm: an sbatch script, or one srun where the machines are ours already (salloc, or a site's own batch script).

`sbatch --wait` says the job's number at once and ends with the job's exit code; what the job prints goes to a file
of the run folder, which is followed. Variables are handed on by name; no value stands in a file or a command.
A job is found by its name, which is the run's own: pending ones are cancelled, and running ones get SIGTERM in their
steps, so that the node programs end with grace and the batch script lives on to say how.

Checked: slurm@22.05.8, sbatch --wait, scancel --signal, --export=NAMES, `%%` in --output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import EngineError, Problem
from launcher.executors.formats.slurm_limits import allocated_hosts, slurm_limits
from launcher.executors.formats.slurm_options import job_options
from launcher.executors.formats.slurm_script import ENDED_FILE, job_script
from launcher.executors.formats.slurm_step import node_program, step_words
from launcher.spec.bundle import RUN_DIR, RUN_ID, LaunchBundle, NodeCommand, encoded
from launcher.spec.caller import NAMES
from launcher.spec.place import AllocationPlan
from launcher.spec.plan import RunPlan

__all__ = ["EXECUTOR", "LOG_FILE", "SCRIPT_FILE", "Slurm"]

SCRIPT_FILE = "job.sbatch"
LOG_FILE = "logs/job.log"
"""What the job prints, all nodes together."""


class Slurm:
    """One job, or one step of the job that we are in."""

    name = "slurm"

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What Slurm cannot be asked for, where a site's script contradicts the plan, what an allocation lacks."""
        return slurm_limits(plan)

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
        """The engine's commands for the nodes to look up, and what starts the nodes."""
        problems = [problem for problem in self.check(plan) if problem.severity == "error"]
        if len(bundle.commands) != plan.layout.num_nodes:
            problems.append(_reaches_nodes_itself(plan, bundle))
        if problems:
            raise EngineError(problems)
        nodes = replace(bundle, nodes=bundle.commands)
        if plan.launch.allocation is not None:
            return _inside(plan, nodes, plan.launch.allocation)
        return _submitted(plan, nodes)


EXECUTOR = Slurm()


def _submitted(plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
    words = (
        f"--output={encoded(RUN_DIR, 'pdsh')}/{LOG_FILE}",  # sbatch reads % as pdsh does
        *job_options(plan),
        f"{RUN_DIR}/{SCRIPT_FILE}",
    )
    start, hand_over = (
        NodeCommand(node_rank=0, host="localhost", argv=("sbatch", *first, *words), env={})
        for first in (("--wait",), ())
    )
    return replace(
        bundle,
        files={**bundle.files, SCRIPT_FILE: job_script(plan)},
        commands=(start,),
        detached=(hand_over,),
        stop=(
            ("scancel", "--state=PENDING", f"--name={RUN_ID}"),
            ("scancel", "--signal=TERM", f"--name={RUN_ID}"),
        ),
        log=LOG_FILE,
        ended=ENDED_FILE,
        job_port=plan.launch.main_port is None,
    )


def _inside(plan: RunPlan, bundle: LaunchBundle, allocation: AllocationPlan) -> LaunchBundle:
    """One step. It hands signals on with Slurm's KillWait (30 s) and not our grace, so a second one asks the nodes."""
    hosts = allocated_hosts(plan, allocation)
    written = plan.launch.main_address
    env = {
        "BATCHWRIGHT_HOSTS": ",".join(hosts),
        "BATCHWRIGHT_MAIN_ADDRESS": written if written != "auto" and len(hosts) > 1 else hosts[0],
    }
    step, *options = step_words(plan)
    words = (
        step,
        f"--jobid={allocation.job}",
        "--overlap",
        f"--nodelist={','.join(hosts)}",
        *options,
        f"--export={','.join(dict.fromkeys((*sorted(NAMES), *env, *plan.launch.pass_env)))}",
    )
    start = NodeCommand(node_rank=0, host="localhost", argv=(*words, *node_program(plan)), env=env)
    return replace(bundle, commands=(start,), stop=((*words, *node_program(plan, "--stop")),))


def _reaches_nodes_itself(plan: RunPlan, bundle: LaunchBundle) -> Problem:
    return Problem(
        code="executor-cannot",
        path="launch.native.argv",
        message=f"{plan.launch.engine} has {len(bundle.commands)} command for {plan.layout.num_nodes} nodes: it "
        "reaches them by itself",
        hint="drop `--launcher pdsh` from launch.native.argv",
    )
