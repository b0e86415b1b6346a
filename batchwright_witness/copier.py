"""A program: what comes in on 3 goes to standard output, what comes in on 4 to standard error, both to the log on 5.

Whole lines, one write each where they fit: several ranks share a console, and a pipe keeps writes of up to PIPE_BUF
bytes in one piece. The start of a line that does not end (a progress bar, a question) waits for a moment only.
Started by rank_log.py; standard library only, nothing of this package.
"""

import os
import select

WAIT = 0.05  # seconds that the start of a line waits for its end
LOG = 5


def main() -> None:
    """Until nobody holds the other ends."""
    ways = {3: 1, 4: 2}
    rest = {3: b"", 4: b""}
    blocked: set[int] = set()
    while ways:
        ready = select.select(list(ways), [], [], WAIT if any(rest.values()) else None)[0]
        for source in ready:
            data = os.read(source, 1 << 16)
            whole, rest[source] = _split(rest[source] + data) if data else (rest[source], b"")
            _put(whole, ways[source], blocked)
            if not data:
                # the console may wait for the end of this stream alone
                os.close(ways.pop(source))
        if not ready:
            for source, target in ways.items():
                _put(rest[source], target, blocked)
                rest[source] = b""


def _split(data: bytes) -> tuple[bytes, bytes]:
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    if len(data) - end > select.PIPE_BUF:  # longer than what would stay in one piece
        end = len(data)
    return data[:end], data[end:]


def _put(data: bytes, target: int, blocked: set[int]) -> None:
    """To the console in pieces that end with a line where they can, and to the log."""
    while data:
        piece = data[: select.PIPE_BUF]
        end = piece.rfind(b"\n") + 1 if len(data) > len(piece) else 0
        piece = piece[:end] or piece
        data = data[len(piece) :]
        for each in (LOG, target):
            if each not in blocked:
                _write(each, piece, blocked)


def _write(target: int, piece: bytes, blocked: set[int]) -> None:
    try:
        while piece:
            piece = piece[os.write(target, piece) :]
    except OSError:  # a full disk, a reader that is gone: the other copy goes on
        blocked.add(target)


if __name__ == "__main__":
    main()
