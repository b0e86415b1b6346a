"""The end of a job elsewhere, as its own script left it."""

import subprocess
import sys
import time

from launcher.handoff.running.last_word import LastWord


def test_who_waits_is_ended_once_the_job_is_over(tmp_path):
    """Nothing happens while there is no whole number in the file; then the waiting command is gone, and the code known."""
    waiting = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        last = LastWord(tmp_path / "ended")
        last.started([waiting.pid])
        assert not last.attend(ending=False)
        (tmp_path / "ended").write_text("")
        assert not last.attend(ending=False)
        time.sleep(0.1)
        assert (last.code, waiting.poll()) == (None, None)
        (tmp_path / "ended").write_text("17\n")
        assert not last.attend(ending=False)
        assert last.code == 17
        assert waiting.wait(5) == -9
    finally:
        waiting.kill()
        waiting.wait(5)
