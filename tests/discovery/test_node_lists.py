"""Slurm's short forms for hosts and numbers."""

import pytest

from launcher.discovery.node_lists import MOST, expand_counts, expand_hosts

HOSTS = {
    "n1": ("n1",),
    "n[01-03,7]": ("n01", "n02", "n03", "n7"),
    "a[1-2]b[3-4]": ("a1b3", "a1b4", "a2b3", "a2b4"),
    "n[8-11]": ("n8", "n9", "n10", "n11"),
    "n[08-11]": ("n08", "n09", "n10", "n11"),
    "n[098-101]": ("n098", "n099", "n100", "n101"),
    "rack[1-2]n[01-02],login,n[3]": ("rack1n01", "rack1n02", "rack2n01", "rack2n02", "login", "n3"),
    "gpu-[1,3,5-6]": ("gpu-1", "gpu-3", "gpu-5", "gpu-6"),
    "n2,n1": ("n2", "n1"),
}
"""Each was given to `scontrol show hostnames`; tests/executors/test_slurm_real.py does it again."""
AFTER_BRACKETS = {
    "n01,n[5-6]-ib": ("n01", "n5-ib", "n6-ib"),
    "r[1-2]n[01-02]x": ("r1n01x", "r1n02x", "r2n01x", "r2n02x"),
}
"""Slurm 22.05 itself takes no letters after the last brackets; hostlists of other tools have them."""


@pytest.mark.parametrize(("text", "names"), [*HOSTS.items(), *AFTER_BRACKETS.items()])
def test_a_list_stands_for_its_names(text, names):
    """Ranges keep the width of their lower end, and the last brackets count fastest."""
    assert expand_hosts(text) == names


@pytest.mark.parametrize(
    "text", ["", ",", "n[1-3", "n1-3]", "n[[1-2]]", "n[3-1]", "n[a-c]", "n[]", "n[1-]", "n[1,,2]"]
)
def test_what_is_no_list_is_refused(text):
    """Nothing is guessed of a list that Slurm would not have written."""
    with pytest.raises(ValueError, match=r"names no host|brackets|is not a"):
        expand_hosts(text)


def test_a_list_has_an_end():
    """A list that stands for millions of hosts is a mistake and not a reason to run out of memory."""
    with pytest.raises(ValueError, match=f"more than {MOST}"):
        expand_hosts("n[1-60000]m[1-60000]")
    with pytest.raises(ValueError, match="not a range"):
        expand_hosts(f"n[0-{MOST}]")


def test_counts_are_one_number_per_node():
    """`8(x2),4` is 8, 8 and 4."""
    assert expand_counts("8(x2),4") == (8, 8, 4)
    assert expand_counts("2") == (2,)
    assert expand_counts("1,2(x3)") == (1, 2, 2, 2)


@pytest.mark.parametrize("text", ["", "8(x0)", "8x2", "a", "8(x2", "-1", "8(x99999999)"])
def test_what_is_no_count_is_refused(text):
    """Nothing is guessed of numbers either."""
    with pytest.raises(ValueError, match="is not a number"):
        expand_counts(text)
