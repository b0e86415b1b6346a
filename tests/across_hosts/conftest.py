"""A job over two hosts in one line, and nothing left of it on any of them."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hosts_jobs import HERE, Job, recipe_text


@dataclass
class Fault:
    """What a test of a fault asks for: start() a job on the broken lab."""

    lab: object
    folder: Path
    executor: str = "ssh"
    jobs: list = field(default_factory=list)

    def start(self, *options, script="waiting.py", args="[]", more="", run="run", **environ):
        recipe = self.folder / f"recipe-{len(self.jobs)}.yaml"
        recipe.write_text(
            recipe_text(executor=self.executor, script=HERE / "scripts" / script, args=args, more=more)
        )
        if self.executor == "ssh" and not (self.folder / "hostfile").exists():
            self.lab.hostfile(self.folder)
        given = self.lab.ssh_environ() if self.executor == "ssh" else self.lab.slurm_environ()
        job = Job(
            [recipe.name, *options],
            environ={**given, **environ},
            folder=self.folder,
            run=run,
            said=f"said-{len(self.jobs)}",
        )
        self.jobs.append(job)
        return job


@pytest.fixture
def fault(mended_lab, tmp_path):
    """A fault over ssh; afterwards no job runs, and the lab is as it was."""
    made = Fault(lab=mended_lab, folder=tmp_path)
    yield made
    for job in made.jobs:
        job.__exit__()


@pytest.fixture
def slurm_fault(fault):
    """The same over Slurm."""
    fault.executor = "slurm"
    return fault


@pytest.fixture(scope="session")
def tell():
    """Writes one line per fault where BATCHWRIGHT_FAULTS names a file: what a person read, and when."""

    def write(name, job, seconds):
        place = os.environ.get("BATCHWRIGHT_FAULTS")
        if place:
            said = job.err.strip().splitlines()
            with Path(place).open("a") as stream:
                stream.write(f"## {name}: {seconds:.1f} s, exit {job.exit}\n" + "\n".join(said) + "\n")

    return write
