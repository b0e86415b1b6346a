"""Choices that say less than they seem to."""

import pytest

from launcher import load_recipe
from launcher.planning.choices import choice_problems


@pytest.mark.parametrize(
    ("launch", "codes"),
    [
        ({"executor": "kubernetes"}, ["workdir-not-found"]),
        ({"executor": "kubernetes", "workdir": "src"}, ["workdir-not-found"]),
        ({"executor": "kubernetes", "workdir": "/workspace"}, []),
        ({"executor": "ssh", "workdir": "src"}, []),
    ],
)
def test_an_image_has_no_folder_of_this_machine(launch, codes):
    """A warning: the folder may be mounted there under its own path."""
    found = choice_problems(load_recipe({"global_batch_size": 8, "hidden_size": 64, "launch": launch}))
    assert [(problem.code, problem.severity) for problem in found] == [(code, "warning") for code in codes]
