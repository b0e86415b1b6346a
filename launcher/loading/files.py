"""A file's text, or why there is none."""

from __future__ import annotations

from pathlib import Path

from launcher.loading.near import near_miss

__all__ = ["LARGEST_BYTES", "UnreadableError", "near_file", "read_text"]

LARGEST_BYTES = 4 * 2**20
"""Bytes; a recipe has a few thousand, and a device or a checkpoint named by mistake has no end."""


class UnreadableError(ValueError):
    """A file that gives no text; line and column are 0 unless one byte is to blame."""

    def __init__(self, code: str, message: str, hint: str = "", *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.code, self.hint, self.line, self.column = code, hint, line, column


def read_text(path: str) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises UnreadableError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableError("file-not-found", "no such file", near_file(path)) from None
    except IsADirectoryError:
        raise UnreadableError("file-not-found", "this is a folder", "name a file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError("file-not-found", f"cannot be read: {reason.lower()}") from None
    if len(data) > LARGEST_BYTES:
        raise UnreadableError("file-not-found", "larger than any recipe (4 MiB)", "check the path")
    return _decoded(data)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise UnreadableError(
            "not-utf8", message, "save the file as UTF-8", line=line, column=column
        ) from None


def near_file(path: str) -> str:
    """A hint at the file of the same folder that the path is a slip of; empty without one."""
    folder = Path(path).parent
    try:
        names = sorted(file.name for file in folder.iterdir())
    except (OSError, ValueError):
        return ""
    near = near_miss(Path(path).name, names)
    return f"did you mean `{folder / near}`?" if near else ""
