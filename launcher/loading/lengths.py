"""A file of sequence lengths: read in pieces, counted as lines, so that tens of millions of samples cost little."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from launcher.errors import Problem, RecipeError
from launcher.loading.tree import shortened, shown_path

__all__ = ["Pair", "read_lengths", "read_pairs"]

Pair = tuple[int, int]
_PIECE = 1 << 23
_MOST_DIFFERENT = 2_000_000
"""Different lines, or items, that are kept in memory."""
_LARGEST_ARRAY = 1 << 29
"""Bytes of a JSON array, which is read whole."""
_LONGEST = 10**12
_SHOWN = 20
_MOST_BAD = 10_000
"""Different bad lines after which reading stops: the file is another one."""
_NUMBERS = re.compile(rb"[0-9]{1,15}([ \t,;]+[0-9]{1,15}){0,2}\Z")
_SPLIT = re.compile(rb"[ \t,;]+")


@dataclass(slots=True)
class _Reading:
    """What has been read of one file so far."""

    path: str
    columns: int
    """Numbers that one sample takes: 1, or 2 for input and target."""
    counts: Counter[tuple[int, ...]]
    bad: dict[bytes, str]
    """Lines that are no sample, with the reason; their places are looked for at the end."""
    width: int = 0
    """Numbers of the first line; every other one has as many."""


def read_lengths(path: str) -> dict[int, int]:
    """Samples by length, of a file with one length a line, `length count` a line, or a JSON array of lengths.

    Raises RecipeError with every bad line, up to a number that a person can read.
    """
    return {numbers[0]: count for numbers, count in _read(path, 1).items()}


def read_pairs(path: str) -> dict[Pair, int]:
    """Samples by input and target length, of a file with `input target` a line, perhaps with a count behind them.

    Raises RecipeError.
    """
    return {(numbers[0], numbers[1]): count for numbers, count in _read(path, 2).items()}


def _read(path: str, columns: int) -> Counter[tuple[int, ...]]:
    reading = _Reading(path, columns, Counter(), {})
    try:
        with _open(path) as file:
            _read_open(file, reading)
    except RecipeError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise _refused(path, "", f"cannot be read: {reason}", code="file-not-found") from None
    if reading.bad:
        raise RecipeError(_places(reading))
    if not reading.counts:
        hint = "write one length a line, in tokens"
        raise _refused(path, "", "the file holds no lengths", hint=hint)
    return reading.counts


@contextmanager
def _open(path: str) -> Iterator[BufferedIOBase]:
    """The file's bytes, unpacked where they are gzip's; a pipe can be opened but once."""
    with Path(path).open("rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file
            return
        import gzip

        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked


def _read_open(file: BufferedIOBase, reading: _Reading) -> None:
    piece = file.read(_PIECE).removeprefix(b"\xef\xbb\xbf")
    if piece.lstrip()[:1] == b"[":
        _read_array(piece + file.read(_LARGEST_ARRAY), reading)
        return
    rest = b""
    while piece:
        whole, newline, tail = (rest + piece).rpartition(b"\n")
        if newline:
            _count(Counter(whole.split(b"\n")), reading)
        rest = tail
        if len(rest) > _PIECE:
            raise _refused(reading.path, "", "a line of more than 8 MiB", hint="write one length a line")
        piece = file.read(_PIECE)
    _count(Counter([rest]), reading)


def _count(lines: Counter[bytes], reading: _Reading) -> None:
    for line, times in lines.items():
        text = line.partition(b"#")[0].strip()
        if not text:
            continue
        if len(reading.bad) >= _MOST_BAD:
            raise RecipeError(_places(reading))
        if len(reading.counts) > _MOST_DIFFERENT:
            what = "lengths" if reading.columns == 1 else "pairs of lengths"
            hint = "round the lengths up, or take a sample of the file"
            raise _refused(reading.path, "", f"more than {_MOST_DIFFERENT:,} different {what}", hint=hint)
        wrong = _add(text, times, reading)
        if wrong:
            reading.bad[line] = wrong


def _add(text: bytes, times: int, reading: _Reading) -> str:
    """Counts one line; what is wrong with it."""
    if not _NUMBERS.match(text):
        return f"expected {_expected(reading.columns)}"
    numbers = tuple(int(word) for word in _SPLIT.split(text))
    reading.width = reading.width or len(numbers)
    if not reading.columns <= len(numbers) <= reading.columns + 1:
        return f"expected {_expected(reading.columns)}"
    if len(numbers) != reading.width:
        return f"{_counted(len(numbers))}, where the first line has {reading.width}"
    sample, count = numbers[: reading.columns], (*numbers[reading.columns :], 1)[0]
    if min(sample) < 1 or max(sample) > _LONGEST:
        return "a sample has at least 1 token" if min(sample) < 1 else "a sample of more than 10**12 tokens"
    reading.counts[sample] += count * times
    if not reading.counts[sample]:
        del reading.counts[sample]
    return ""


def _expected(columns: int) -> str:
    if columns == 1:
        return "a whole number of tokens, or `length count`"
    return "two whole numbers of tokens, `input target`, or `input target count`"


def _counted(numbers: int) -> str:
    return "1 number" if numbers == 1 else f"{numbers} numbers"


def _read_array(text: bytes, reading: _Reading) -> None:
    """A JSON array: of lengths, or of [input, target] pairs."""
    if len(text) > _LARGEST_ARRAY:
        hint = "write one length a line"
        raise _refused(reading.path, "", "a JSON array of more than 512 MiB, which is read whole", hint=hint)
    try:
        items = json.loads(text)
    except UnicodeDecodeError:
        raise _refused(reading.path, "", "the file is no UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
        place = f":{line}:{column}" if line else ""
        reason = getattr(error, "msg", "too deep").lower()
        raise _refused(
            reading.path, place, f"the file begins as a JSON array and is none: {reason}"
        ) from None
    bad: list[tuple[int, str]] = []
    for number, item in enumerate(items):
        sample = tuple(item) if isinstance(item, list) else (item,)
        if len(sample) != reading.columns or not all(_is_length(value) for value in sample):
            bad.append((number, shortened(json.dumps(item))))
        else:
            reading.counts[sample] += 1
    if bad:
        wanted = "a whole number of tokens" if reading.columns == 1 else "[input, target] in whole tokens"
        raise RecipeError(
            [
                *(
                    _problem(reading.path, "", f"item {number} of the array, `{shown}`: expected {wanted}")
                    for number, shown in bad[:_SHOWN]
                ),
                *_more(reading.path, len(bad)),
            ]
        )


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LONGEST


def _places(reading: _Reading) -> list[Problem]:
    """Every bad line of the file with its number, for which it is read again; a pipe's are told without."""
    path, reasons = reading.path, reading.bad
    if not Path(path).is_file():
        told = [_problem(path, "", f"`{_text(line)}`: {reason}") for line, reason in reasons.items()]
        return [*told[:_SHOWN], *_more(path, len(told))]
    found: list[Problem] = []
    total = 0
    with _open(path) as file:
        for number, raw in enumerate(file, 1):
            line = raw.removesuffix(b"\n")
            reason = reasons.get(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            total += reason is not None
            if reason is not None and total <= _SHOWN:
                found.append(_problem(path, f":{number}:1", f"`{_text(line)}`: {reason}"))
    return [*found, *_more(path, total)]


def _text(line: bytes) -> str:
    return shown_path(shortened(line.strip().decode("utf-8", "backslashreplace")))


def _more(path: str, total: int) -> Sequence[Problem]:
    if total <= _SHOWN:
        return ()
    hint = "a line of words, as a header, goes behind a `#`"
    return (_problem(path, "", f"{total - _SHOWN:,} further lines are no lengths either", hint=hint),)


def _problem(path: str, place: str, message: str, *, code: str = "bad-lengths", hint: str = "") -> Problem:
    return Problem(code=code, path="", where=f"{shown_path(path)}{place}", message=message, hint=hint)


def _refused(
    path: str, place: str, message: str, *, code: str = "bad-lengths", hint: str = ""
) -> RecipeError:
    return RecipeError([_problem(path, place, message, code=code, hint=hint)])
