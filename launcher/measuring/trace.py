"""`batchwright trace`: asks a child process of the person's own interpreter, keeps what it finds beside the recipe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from launcher.discovery.traces import read_traces, trace_folder
from launcher.errors import HandoffError, PlanError, Problem
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.states import implementation_of
from launcher.planning.memory.trace_choice import configuration_of
from launcher.spec.recipe import Recipe

__all__ = ["TraceResult", "trace_recipe"]

_CHILD = "launcher.measuring.trace_child"
_LINES = 6
"""Of what a child printed before it died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceResult:
    """A trace and where it lies."""

    content: Mapping[str, Any]
    path: Path
    cached: bool
    """Found there; nothing was traced."""


def trace_recipe(
    *,
    recipe: Recipe,
    setting: Setting,
    environ: Mapping[str, str],
    beside: Path,
    timeout_seconds: float,
    again: bool = False,
) -> TraceResult:
    """The trace of a recipe's module, made anew unless the same code was traced with the same configuration.

    beside: folder of our own interpreter, where `launch.python` is looked for first. again: never from a file.
    Raises PlanError where the module cannot be traced, HandoffError where the child dies, hangs or lacks torch.
    """
    if recipe.model.kind != "module" or recipe.model.module is None:
        raise PlanError([_no_module(recipe)])
    request = _request(recipe, setting)
    if not again:
        for file in read_traces(recipe):
            if not file.changed and file.content["request"] == request:
                return TraceResult(content=file.content, path=Path(file.path), cached=True)
    python = _interpreter(recipe, environ=environ, beside=beside)
    answer = _ask(
        {**request, "directory": str(Path(recipe.directory).resolve())},
        python=python,
        environ=environ,
        timeout_seconds=timeout_seconds,
    )
    if "problem" in answer:
        kind = HandoffError if answer["problem"]["code"] == "trace-needs-torch" else PlanError
        raise kind([_problem(**answer["problem"])])
    content = {"trace_version": 1, "request": request, **_settings(request), **answer["trace"]}
    return TraceResult(content=content, path=_keep(recipe, content), cached=False)


def _request(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """All that the child needs to know besides the folder; JSON values."""
    configuration = configuration_of(recipe, setting)
    return {
        **configuration,
        "sizes": {"micro_batch_size": setting.micro_batch_size, "sequence_length": setting.sequence_length},
        "optimizer": {
            "name": setting.optimizer,
            "implementation": implementation_of(setting),
            "momentum": setting.momentum,
            "device_kind": configuration["device_kind"],
        },
    }


def _settings(request: Mapping[str, Any]) -> dict[str, Any]:
    names = ("module", "device_kind", "compute", "autocast", "frozen", "sizes")
    return {name: request[name] for name in names}


def _ask(
    request: Mapping[str, Any], *, python: Path, environ: Mapping[str, str], timeout_seconds: float
) -> dict[str, Any]:
    """What the child answers. It sees no GPU, computes with one thread, and has a session of its own."""
    with tempfile.TemporaryDirectory(prefix="batchwright-trace-") as folder:
        asked, answered, printed = (Path(folder, name) for name in ("request.json", "answer.json", "printed"))
        asked.write_text(json.dumps(request), encoding="utf-8")
        with printed.open("wb") as output:
            child = subprocess.Popen(
                [str(python), "-m", _CHILD, str(asked), str(answered)],
                cwd=folder,
                env={**environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = child.wait(timeout=timeout_seconds)
            except BaseException as error:
                _end(child)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise HandoffError([_late(request["module"], timeout_seconds)]) from None
                raise
        if answered.exists():
            answer: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
            return answer
        raise HandoffError([_died(request["module"], python, code, printed.read_text(errors="replace"))])


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever the person's code started with it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _interpreter(recipe: Recipe, *, environ: Mapping[str, str], beside: Path) -> Path:
    """`launch.python`: a path from the recipe's folder, else beside our own interpreter, else on the PATH."""
    name = recipe.launch.python
    if "/" in name:
        found: str | None = str(Path(recipe.directory, name))
        found = found if os.access(found or "", os.X_OK) else None
    elif (beside / name).exists():
        found = str(beside / name)
    else:
        found = shutil.which(name, path=environ.get("PATH", ""))
    if found is None:
        raise HandoffError(
            [
                Problem(
                    code="trace-needs-torch",
                    path="launch.python",
                    message=f"`launch.python: {name}` is not an interpreter that is found here",
                    hint="write the interpreter of the environment that trains",
                )
            ]
        )
    return Path(found)


def _keep(recipe: Recipe, content: Mapping[str, Any]) -> Path:
    """Writes the trace under the hash of its code and configuration, and drops those of code that is gone."""
    folder = trace_folder(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    for file in read_traces(recipe):
        if file.changed:
            Path(file.path).unlink()
    key = json.dumps([content["request"], content["code"]], sort_keys=True)
    path = folder / f"{sha256(key.encode()).hexdigest()[:16]}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)
    return path


def _problem(*, code: str, message: str, hint: str, because: list[str]) -> Problem:
    path = "launch.python" if code == "trace-needs-torch" else "model.module"
    return Problem(code=code, path=path, message=message, hint=hint, because=tuple(because))


def _no_module(recipe: Recipe) -> Problem:
    return Problem(
        code="missing-key",
        path="model.module" if recipe.model.kind == "module" else "model.kind",
        message=f"there is no module to trace: `model.kind: {recipe.model.kind}`"
        f"{'' if recipe.model.module else ' without model.module'}",
        hint="write model.kind: module and model.module: package.file:function",
    )


def _late(module: str, seconds: float) -> Problem:
    return Problem(
        code="trace-timeout",
        path="model.module",
        message=f"`model.module: {module}` was not traced within {seconds:g} s",
        hint="give it longer with --timeout; a trace takes as long for every layer, whatever its width",
    )


def _died(module: str, python: Path, code: int, printed: str) -> Problem:
    lines = [line for line in printed.strip().splitlines() if line.strip()][-_LINES:]
    if code > 0 and lines and "No module named 'launcher" in lines[-1]:
        return Problem(
            code="trace-needs-torch",
            path="launch.python",
            message=f"{python} cannot import batchwright: {lines[-1]}",
            hint="install batchwright where the training runs, or write launch.python",
        )
    how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    return Problem(
        code="trace-aborted",
        path="model.module",
        message=f"`model.module: {module}`: the process that traces it ended with {how}",
        because=tuple(lines),
        hint="run the function by hand under torch's FakeTensorMode to see which operation does it",
    )
