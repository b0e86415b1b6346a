"""The script of action.yml in a real bash, on a scratch repository, with the variables that GitHub sets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from recipes_to_check import GOOD
from test_hooks import environment, git

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
(STEP,) = ACTION["runs"]["steps"]
GH = """\
#!/bin/sh
printf '%s\\n' "$@" >>"$GH_SAID"
case " $* " in *" --edit-last "*) exit 1 ;; esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one committed recipe and its lock, and what runs the action in it."""
    return Checkout(tmp_path)


class Checkout:
    """Somebody's repository on a runner."""

    def __init__(self, folder):
        self.folder, self.temporary = folder / "a repo", folder / "tmp"
        self.env = environment(folder)
        (self.folder / "recipes").mkdir(parents=True)
        tool = self.temporary / "batchwright/bin/batchwright"  # stands where the action installs it
        tool.parent.mkdir(parents=True)
        tool.write_text(
            f"#!{sys.executable}\nimport sys\nfrom launcher.cli.main import main\nsys.exit(main())\n"
        )
        tool.chmod(0o755)
        self.write("r.yaml", GOOD)
        git(folder, "init", "--quiet", str(self.folder), env=self.env)
        subprocess.run([tool, "lock", "recipes"], cwd=self.folder, check=True, timeout=60, env=self.env)
        self.base = self.commit()

    def write(self, name, text):
        (self.folder / "recipes" / name).write_text(text)

    def commit(self):
        git(self.folder, "add", ".", env=self.env)
        git(self.folder, "commit", "--quiet", "-m", "x", env=self.env)
        return git(self.folder, "rev-parse", "HEAD", env=self.env)

    def run(self, **inputs):
        """Exit code, output, and the summary of the job."""
        summary = self.temporary / "summary.md"
        summary.write_text("")
        github = {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_REPOSITORY": "somebody/something",
            "RUNNER_TEMP": str(self.temporary),
            "GH_SAID": str(self.temporary / "said"),
            "PATH": f"{self.temporary}:{self.env['PATH']}",
        }
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
            cwd=self.folder,
            env={**self.env, **github, **variables(inputs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return ran.returncode, ran.stdout, summary.read_text()


def variables(given):
    """The step's variables with the action's defaults, as GitHub fills them in."""
    known = {name.replace("-", "_"): value["default"] for name, value in ACTION["inputs"].items()}
    known |= {name: value for name, value in given.items() if name in known}
    events = {"github.event.pull_request.base.sha": "base", "github.event.pull_request.number": "number"}
    found = {}
    for name, value in STEP["env"].items():
        expression = re.fullmatch(r"\$\{\{ (.*) \}\}", value)[1]
        key = expression.removeprefix("inputs.").replace("-", "_")
        found[name] = given.get(events.get(expression, ""), "") if expression in events else known[key]
    return found


def test_no_value_is_text_of_a_script():
    """Every input has a variable; the step's own words hold no expression."""
    assert "${{" not in STEP["run"]
    used = set(re.findall(r"inputs\.([a-z-]+)", str(STEP["env"])))
    assert used == set(ACTION["inputs"])
    assert all(set(each) >= {"description", "default"} for each in ACTION["inputs"].values())


def test_nothing_changed(checkout):
    """Good recipes that mean what their locks say: exit 0, and a summary that says so."""
    code, said, summary = checkout.run(base=checkout.base)
    assert (code, summary) == (0, "No recipe has changed its meaning.\n")
    assert said.splitlines()[0].startswith("unknown-memory  recipes/r.yaml  32 = 8 micro x 2 accumulation")


def test_a_broken_recipe(checkout):
    """Is annotated at its line, and fails the job."""
    checkout.write("bad.yaml", GOOD.replace("hidden_size", "hidden_siz"))
    code, said, _ = checkout.run(base=checkout.base)
    assert code == 1
    assert "::error file=recipes/bad.yaml,line=4,col=1,title=unknown-key::" in said


def test_a_moved_meaning(checkout):
    """Fails against the base although recipe and lock agree, passes where it is allowed, and is in the summary."""
    checkout.write("r.yaml", GOOD.replace("1e-3", "2e-3"))
    tool = checkout.temporary / "batchwright/bin/batchwright"
    subprocess.run([tool, "lock", "recipes"], cwd=checkout.folder, check=True, timeout=60, env=checkout.env)
    checkout.commit()
    code, said, summary = checkout.run(base=checkout.base)
    assert code == 1
    assert "title=lock-moved::" in said
    assert summary.startswith("### Batchwright: ")
    assert "`0.001` | `0.002`" in summary
    assert checkout.run(base=checkout.base, allow_moved="true", summary="false")[0] == 0
    assert checkout.run(against=checkout.base, summary="false")[0] == 1
    assert checkout.run()[0] == 0  # no pull request, nothing to compare with: the lock beside it agrees


def test_a_shallow_checkout(checkout):
    """Where the base is not there, the words say what to change, and the rest is checked."""
    code, said, _ = checkout.run(base="0" * 40)
    assert code == 1
    assert "::error title=no-base::" in said
    assert "fetch-depth: 0" in said
    assert "recipes/r.yaml" in said


def test_paths_and_words_that_a_shell_would_read(checkout):
    """Blanks, quotes, dollars and dashes of names and inputs are data."""
    odd = checkout.folder / 'it\'s $(touch owned) "x"'
    odd.mkdir()
    (odd / "-r.yaml").write_text(GOOD)
    code, said, _ = checkout.run(
        paths=f"{odd.name}\n\nrecipes\n", against="$(touch owned)", strict="`touch owned`"
    )
    assert code == 1
    assert "title=no-base" in said
    assert "-r.yaml" in said
    assert "recipes/r.yaml" in said
    assert not (checkout.folder / "owned").exists()
    assert checkout.run(paths=odd.name, locked="false")[0] == 0
    assert checkout.run(paths="gone")[0] == 1


def test_strict(checkout):
    """A warning fails the job where nothing may be left open."""
    checkout.write("poor.yaml", GOOD.replace("global_batch_size: 32", "global_batch_size: 26"))
    assert checkout.run(locked="false")[0] == 0
    assert checkout.run(locked="false", strict="true")[0] == 1


def test_a_comment(checkout):
    """The same text goes to the pull request: the last comment is written anew, or a new one."""
    (checkout.temporary / "gh").write_text(GH)
    (checkout.temporary / "gh").chmod(0o755)
    checkout.write("r.yaml", GOOD.replace("1e-3", "2e-3"))
    inputs = {"base": checkout.base, "comment": "true", "summary": "false", "locked": "false"}
    code, said, summary = checkout.run(**inputs, number="7")
    assert (code, summary) == (0, ""), said
    words = (checkout.temporary / "said").read_text().split("\n")
    changes = str(checkout.temporary / "batchwright-changes.md")
    new = ["pr", "comment", "7", "--repo", "somebody/something", "--body-file", changes]
    assert words == [*new[:5], "--edit-last", *new[5:], *new, ""]
    assert "`0.002`" in Path(changes).read_text()
    assert "no-pull-request" in checkout.run(**inputs)[1]
