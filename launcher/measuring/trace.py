"""`batchwright trace`: asks a child process of the person's own interpreter, keeps what it finds beside the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from launcher.discovery.traces import read_traces, trace_folder
from launcher.errors import HandoffError, PlanError, Problem
from launcher.measuring.child import Answer, ask, interpreter
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.states import implementation_of
from launcher.planning.memory.trace_choice import configuration_of
from launcher.spec.recipe import Recipe

__all__ = ["TraceResult", "trace_recipe"]

_CHILD = "launcher.measuring.trace_child"


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
) -> Mapping[str, Any]:
    """What the child answers. It sees no GPU and computes with one thread."""
    answer = ask(
        _CHILD,
        request,
        python=python,
        environ={**environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        timeout_seconds=timeout_seconds,
    )
    if answer.code is None:
        raise HandoffError([_late(request["module"], timeout_seconds)])
    if answer.content is None:
        raise HandoffError([_died(request["module"], python, answer)])
    return answer.content


def _interpreter(recipe: Recipe, *, environ: Mapping[str, str], beside: Path) -> Path:
    found = interpreter(recipe, environ=environ, beside=beside)
    if found is None:
        raise HandoffError(
            [
                Problem(
                    code="trace-needs-torch",
                    path="launch.python",
                    message=f"`launch.python: {recipe.launch.python}` is not an interpreter that is found here",
                    hint="write the interpreter of the environment that trains",
                )
            ]
        )
    return found


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


def _died(module: str, python: Path, answer: Answer) -> Problem:
    lines = answer.printed
    if (answer.code or 0) > 0 and lines and "No module named 'launcher" in lines[-1]:
        return Problem(
            code="trace-needs-torch",
            path="launch.python",
            message=f"{python} cannot import batchwright: {lines[-1]}",
            hint="install batchwright where the training runs, or write launch.python",
        )
    return Problem(
        code="trace-aborted",
        path="model.module",
        message=f"`model.module: {module}`: the process that traces it ended with {answer.ending}",
        because=lines,
        hint="run the function by hand under torch's FakeTensorMode to see which operation does it",
    )
