"""How the tests of this folder read a text."""

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe


def load(folder, text, *overrides):
    """The recipe of a text, from a file called r.yaml in `folder`."""
    path = folder / "r.yaml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return load_recipe(path, overrides=overrides)


def problems(folder, text, *overrides):
    """The problems of a text, places without the folder."""
    with pytest.raises(RecipeError) as refused:
        load(folder, text, *overrides)
    return [str(problem).replace(f"{folder}/", "") for problem in refused.value.problems]
