"""Whether DeepSpeed can build the operator that it wants on CPU, asked before anything starts.

Source: deepspeed@0.19.8 deepspeed/comm/torch.py:build_shm_op, ops/op_builder/cpu/comm.py:ShareMemCommBuilder;
torch@2.13.0 torch/utils/cpp_extension.py:get_cxx_compiler, _get_build_directory
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from launcher.errors import Problem
from launcher.handoff.running.executables import find_executable
from launcher.spec.plan import RunPlan

__all__ = ["check_compiler"]

_OPERATOR = "deepspeed_shm_comm"


def check_compiler(
    *, plan: RunPlan, environ: Mapping[str, str], beside: Path, headers: Path | None = None
) -> tuple[Problem, ...]:
    """A problem when the operator is neither built already nor can be built.

    headers: folder of Python.h; the running interpreter's when None.
    """
    if plan.launch.engine != "deepspeed" or plan.layout.device_kind != "cpu" or _is_built(environ):
        return ()
    compiler = environ.get("CXX") or "c++"
    because = []
    found = find_executable(compiler, environ=environ, beside=beside, directory=plan.launch.workdir)
    if found is None:
        because.append(f"`{compiler}`{' (from CXX)' if environ.get('CXX') else ''} is not on PATH")
    if not ((headers or _header_folder()) / "Python.h").is_file():
        because.append(f"`Python.h` is not in {headers or _header_folder()}")
    if not because:
        return ()
    problem = Problem(
        code="no-compiler",
        path="launch.engine",
        message="DeepSpeed on CPU builds a small C++ operator at its first start, and cannot",
        because=tuple(because),
        hint="install g++ and Python's headers (apt-get install g++ python3-dev), or launch.engine: torchrun",
    )
    return (problem,)


def _is_built(environ: Mapping[str, str]) -> bool:
    """Whether an earlier start left the operator in torch's extensions folder."""
    chosen = environ.get("TORCH_EXTENSIONS_DIR")
    if chosen:
        return (Path(chosen) / _OPERATOR / f"{_OPERATOR}.so").is_file()
    home = environ.get("HOME")
    cache = environ.get("XDG_CACHE_HOME") or (home and Path(home, ".cache"))
    if not cache:
        return False
    return any(Path(cache, "torch_extensions").glob(f"py*/{_OPERATOR}/{_OPERATOR}.so"))


def _header_folder() -> Path:
    from sysconfig import get_path

    return Path(get_path("include"))
