"""Lock files: their text, and what one says, or why it says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from launcher.loading.files import UnreadableError, read_text
from launcher.planning.hashes import digest
from launcher.spec.lock import LOCK_VERSION, Lock, LockedStage
from launcher.spec.plain import from_plain, to_plain

__all__ = ["LockError", "lock_text", "read_lock"]

_LINES = (
    ("lock_version",),
    ("recipe", "cluster"),
    ("batchwright",),
    ("verdict",),
    ("global_batch_size", "sequence_length", "tokens_per_step"),
    ("micro_batch_size", "gradient_accumulation_steps", "data_parallel_size"),
    ("world_size", "engine", "device"),
    ("num_parameters",),
    ("peak_learning_rate", "final_learning_rate"),
    ("warmup_steps", "warmup_samples"),
    ("total_steps", "total_samples"),
    ("memory",),
    ("stages",),
    ("meaning",),
    ("parts",),
    ("semantics_hash",),
    ("plan_hash",),
)
"""Which fields share a line."""
_CHECKSUM = "lock_hash"
_SHORT = 16
_WIDTH = 110
_STAGE = tuple(item.name for item in fields(LockedStage))
_AGAIN = "batchwright lock writes it anew"


class LockError(ValueError):
    """A file that is no lock that can be used: a code, words, and what to do.

    is_ours: whether it was a lock once, and may be written anew.
    """

    def __init__(self, code: str, message: str, hint: str = _AGAIN, *, is_ours: bool = False) -> None:
        super().__init__(message)
        self.code, self.hint, self.is_ours = code, hint, is_ours


def lock_text(lock: Lock) -> str:
    """The lock as JSON in some twenty lines; the last one shows whether anybody has edited it."""
    plain = _plain(lock)
    lines = [_line(plain, names) for names in _LINES if names != ("stages",) or lock.stages is not None]
    lines.append(f' "{_CHECKSUM}": "{_checksum(plain)}"')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_lock(path: str) -> Lock:
    """The lock of a file. Raises LockError: unreadable, no lock, of a newer version, or edited by hand."""
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise LockError("lock-unreadable", str(error), error.hint or _AGAIN) from None
    try:
        plain = _parsed(text)
    except LockError as error:
        error.is_ours = '"lock_version"' in text and '"semantics_hash"' in text
        raise
    version = plain.get("lock_version")
    if not isinstance(version, int) or isinstance(version, bool) or "semantics_hash" not in plain:
        raise LockError("lock-unreadable", "the file is not a lock", "name it otherwise, or delete it")
    if version > LOCK_VERSION:
        hint = f"upgrade batchwright; {plain.get('batchwright')} made it"
        raise LockError("lock-too-new", f"lock version {version}: this version reads {LOCK_VERSION}", hint)
    known = plain.pop(_CHECKSUM, None)
    try:
        if known != _checksum(plain):
            raise LockError(
                "lock-edited", "the lock's own hash does not fit its numbers: it was edited", is_ours=True
            )
        return _lock(plain)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, LockError):
            raise
        raise LockError(
            "lock-unreadable", "fields of a lock are missing or of another type", is_ours=True
        ) from None


def _parsed(text: str) -> dict[str, Any]:
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise LockError("lock-unreadable", "two versions of the lock were merged by git and not settled")
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, LockError):
            raise
        reason = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise LockError("lock-unreadable", f"the file is not JSON{reason}") from None
    if not isinstance(found, dict):
        raise LockError("lock-unreadable", "the file is not a lock", "name it otherwise, or delete it")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The keys of an object; a merge that leaves both sides leaves some of them twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise LockError("lock-unreadable", f"`{twice}` stands twice")
    return found


def _lock(plain: Mapping[str, Any]) -> Lock:
    stages = plain.get("stages")
    if stages is not None:
        plain = {**plain, "stages": [dict(zip(_STAGE, row, strict=True)) for row in stages]}
    hints = get_type_hints(Lock)
    for item in fields(Lock):
        if item.name in plain and not _is(hints[item.name], plain[item.name]):
            raise TypeError(item.name)
        if item.name not in plain and item.default is MISSING:
            raise KeyError(item.name)
    return from_plain(Lock, plain)


def _is(kind: Any, value: Any) -> bool:
    """Whether plain JSON has the type of a field."""
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return any(_is(option, value) for option in get_args(kind))
    if kind is type(None):
        return value is None
    if origin is tuple:
        return isinstance(value, list) and all(_is(get_args(kind)[0], item) for item in value)
    if origin is not None:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if kind in {int, float, str}:
        return not isinstance(value, bool) and isinstance(value, (int, float) if kind is float else kind)
    if not isinstance(value, dict):
        return False
    hints = get_type_hints(kind)
    return all(name in value and _is(hints[name], value[name]) for name in hints)


def _plain(lock: Lock) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(lock)
    if lock.stages is None:
        del plain["stages"]
    else:
        plain["stages"] = [[stage[name] for name in _STAGE] for stage in plain["stages"]]
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    return digest(plain)[:_SHORT]


def _line(plain: Mapping[str, Any], names: tuple[str, ...]) -> str:
    if names == ("stages",):
        return _stage_lines(plain["stages"])
    return " " + ", ".join(f'"{name}": {json.dumps(plain[name])}' for name in names)


def _stage_lines(rows: list[list[Any]]) -> str:
    """As many stages on a line as it has room for: until, batch, length, micro-batch, accumulation, first step."""
    lines = [""]
    for row in rows:
        text = f"{json.dumps(row)}, "
        if len(lines[-1]) + len(text) > _WIDTH and lines[-1]:
            lines.append("")
        lines[-1] += text
    body = "\n  ".join(line.rstrip() for line in lines)
    return f' "stages": [\n  {body.removesuffix(",")}\n ]'
