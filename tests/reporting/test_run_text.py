"""The lines of a log that lead up to an error."""

from launcher.reporting.run_text import error_context

LOG = """\
step 1
rank 1: the loss is not finite [loss-not-finite]
  the latest checkpoint from before is `4.pt`
  hint: look at the samples
W1122 torchrun has words of its own
"""


def test_an_error_of_several_lines_is_shown_whole():
    """What stands below its first line belongs to it; what comes after does not."""
    error = "the loss is not finite [loss-not-finite]\n  the latest checkpoint from before is `4.pt`\n  hint: look at the samples"
    assert error_context(log=LOG, error=error) == tuple(LOG.splitlines()[:4])


def test_an_error_of_one_line_ends_there():
    """However the log goes on."""
    assert error_context(log=LOG, error="the loss is not finite [loss-not-finite]") == tuple(
        LOG.splitlines()[:2]
    )


def test_lines_that_do_not_follow():
    """Another rank's words in between end it."""
    error = "the loss is not finite [loss-not-finite]\n  hint: look at the samples"
    assert error_context(log=LOG, error=error) == tuple(LOG.splitlines()[:2])
