"""Where the output of a job goes when one of its places is lost."""

import io
from pathlib import Path

from launcher.handoff.running.streams import copied_to_log


def test_two_places(tmp_path):
    """Bytes reach their stream decoded across cuts, and the log in the order of arrival."""
    out, err = io.StringIO(), io.StringIO()
    with copied_to_log(log=tmp_path / "log", stdout=out, stderr=err) as write:
        write(1, b"caf\xc3")
        write(2, b"oh\n")
        write(1, b"\xa9\n")
    assert (out.getvalue(), err.getvalue()) == ("caf\u00e9\n", "oh\n")
    assert (tmp_path / "log").read_bytes() == b"caf\xc3oh\n\xa9\n"


class Full(io.FileIO):
    """A log on a disk that is full from the second write on."""

    def write(self, data):
        if self.tell():
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_does_not_end_the_job(tmp_path, monkeypatch):
    """Without a log the output still reaches the person, who is told once."""
    monkeypatch.setattr(Path, "open", lambda self, *_args, **_options: Full(self, "a"))
    out, err = io.StringIO(), io.StringIO()
    with copied_to_log(log=tmp_path / "log", stdout=out, stderr=err) as write:
        for line in (b"one\n", b"two\n", b"three\n"):
            write(1, line)
    assert out.getvalue() == "one\ntwo\nthree\n"
    assert err.getvalue().count("No space left on device") == 1
