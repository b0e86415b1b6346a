"""What a person waits for: the start of `batchwright plan`, and what `batchwright run` adds to an engine's command.

    python benchmarks/start_up.py [--base OTHER/bin/python] [--times 10] [--torchrun]

Minimum of each, taken in turns so that a busy machine slows both. The targets are the project's own; this prints, it
does not judge. --base: interpreter of an environment that holds only the base dependencies.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes" / "quickstart" / "cpu-1x2.yaml"
# bytecode is cached wherever a package is installed; with this variable every start would compile anew
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
JOB = """\
global_batch_size: 12
sequence_length: 16
hidden_size: 64
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch: {script: train.py}
"""
FAKE = "#!/bin/sh\nexit 0\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--base", type=Path, help="interpreter of an environment with only the base dependencies"
    )
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--torchrun", action="store_true", help="also time `run` over torchrun itself (slow)")
    options = parser.parse_args()
    here = Path(sys.executable).parent
    accelerate = [str(here / "accelerate"), "launch", "--help"]
    for name, interpreter in (("this environment", Path(sys.executable)), ("base only", options.base)):
        if interpreter is not None:
            command = [str(interpreter.parent / "batchwright"), "plan", str(RECIPE)]
            start_up(name, command, accelerate, options.times)
    with tempfile.TemporaryDirectory() as folder:
        overhead("a program that ends at once", Path(folder), here, FAKE, options.times)
    if options.torchrun:
        with tempfile.TemporaryDirectory() as folder:
            overhead("torchrun, two ranks that end at once", Path(folder), here, None, options.times)


def start_up(name: str, plan: Sequence[str], accelerate: Sequence[str], times: int) -> None:
    """Whole process, from fork to exit."""
    ours, theirs = in_turns(lambda: run(plan), lambda: run(accelerate), times)
    ratio = min(ours) / min(theirs)
    print(f"batchwright plan, {name} (Python {version(plan[0])})")
    show("batchwright plan", ours, "target at most 0.25 s")
    show("accelerate launch --help", theirs)
    print(f"  ratio of the minima           {ratio:.3f} = 1/{1 / ratio:.1f}   target at most 1/8 = 0.125\n")


def overhead(name: str, folder: Path, here: Path, engine: str | None, times: int) -> None:
    """`batchwright run` against the command it starts; the same environment, the same folder."""
    (folder / "recipe.yaml").write_text(JOB)
    (folder / "train.py").write_text("")
    environ = dict(ENVIRON)
    batchwright = here / "batchwright"
    if engine is not None:
        batchwright = fake_environment(folder, engine)
        environ["PATH"] = f"{batchwright.parent}:{environ['PATH']}"
    rendered = subprocess.run(
        [batchwright, "render", "recipe.yaml", "-o", "job"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    by_hand = ["sh", "-c", f"PATH={here if engine is None else batchwright.parent}:$PATH; exec {rendered}"]
    ours, theirs = in_turns(
        lambda: run([str(batchwright), "run", "recipe.yaml"], cwd=folder, environ=environ),
        lambda: run(by_hand, cwd=folder, environ=environ),
        times,
    )
    print(f"batchwright run over the engine's own command: {name}")
    show("batchwright run", ours)
    show("the command by hand", theirs)
    difference = [one - other for one, other in zip(ours, theirs, strict=True)]
    print(
        f"  overhead: of the minima       {min(ours) - min(theirs):.3f} s, median of the pairs"
        f" {statistics.median(difference):.3f} s   target at most 0.3 s\n"
    )


def fake_environment(folder: Path, engine: str) -> Path:
    """A virtual environment by hand with our package and another torchrun; the path of its batchwright."""
    import sysconfig

    base, packages = Path(sys._base_executable), Path(sysconfig.get_path("purelib"))  # noqa: SLF001
    binaries = folder / "env" / "bin"
    library = folder / "env" / "lib" / packages.parent.name
    binaries.mkdir(parents=True)
    library.mkdir(parents=True)
    (library / packages.name).symlink_to(packages)
    settings = f"home = {base.parent}\ninclude-system-site-packages = false\n"
    (folder / "env" / "pyvenv.cfg").write_text(settings)
    (binaries / "python").symlink_to(base)
    start = f"#!{binaries}/python\nimport sys\nfrom launcher.cli.main import main\nsys.exit(main())\n"
    for name, text in (("batchwright", start), ("torchrun", engine)):
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    return binaries / "batchwright"


def in_turns(
    first: Callable[[], float], second: Callable[[], float], times: int
) -> tuple[list[float], list[float]]:
    """Seconds of both, after one run of each to warm the disk's cache."""
    first(), second()
    pairs = [(first(), second()) for _ in range(times)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def run(words: Sequence[str], *, cwd: Path | None = None, environ: dict[str, str] | None = None) -> float:
    """Seconds of one whole process that must succeed."""
    before = time.perf_counter()
    done = subprocess.run(words, cwd=cwd, env=environ or ENVIRON, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(f"{words}: exit code {done.returncode}\n{done.stderr}")
    return seconds


def show(name: str, seconds: Sequence[float], remark: str = "") -> None:
    print(
        f"  {name:<28}  min {min(seconds):.3f} s  median {statistics.median(seconds):.3f} s   {remark}".rstrip()
    )


def version(program: str) -> str:
    python = Path(program).with_name("python")
    return subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]


if __name__ == "__main__":
    main()
