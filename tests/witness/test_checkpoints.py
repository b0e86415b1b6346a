"""Which checkpoint is from before."""

import os

from batchwright_witness.checkpoints import checkpoint_folders, latest_checkpoint


def put(path, at, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_the_newest_that_was_complete(tmp_path):
    """A folder counts by its newest file: what is still being written is not from before."""
    put(tmp_path / "step-1" / "model.pt", 100)
    put(tmp_path / "step-2" / "model.pt", 200)
    put(tmp_path / "step-3" / "model.pt", 250)
    put(tmp_path / "step-3" / "deep" / "optimizer.pt", 350)
    assert latest_checkpoint([tmp_path], before=300) == str(tmp_path / "step-2")
    assert latest_checkpoint([tmp_path], before=400) == str(tmp_path / "step-3")
    assert latest_checkpoint([tmp_path], before=None) == str(tmp_path / "step-3")


def test_what_is_no_checkpoint(tmp_path):
    """Pointers to checkpoints, scripts and logs beside them, hidden and empty files, empty folders are none."""
    put(tmp_path / "zero_to_fp32.py", 100)
    put(tmp_path / "trainer_state.json", 100)
    put(tmp_path / "latest", 100)
    put(tmp_path / ".partial.pt", 100)
    put(tmp_path / "empty.pt", 100, text="")
    (tmp_path / "folder").mkdir()
    assert latest_checkpoint([tmp_path, tmp_path / "missing"], before=None) is None


def test_where_a_script_may_save(tmp_path):
    """checkpoint.directory is taken from the run folder or from the script's."""
    run, work = tmp_path / "run", tmp_path / "work"
    assert checkpoint_folders({"directory": "kept"}, run, work) == (run / "kept", work / "kept")
    assert checkpoint_folders({"directory": "/data"}, run, work)[0].as_posix() == "/data"
    assert checkpoint_folders(None, run, work) == checkpoint_folders({"directory": None}, run) == ()
