"""Documents agree with the code: links lead somewhere, generated pages are current, examples run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.reference import cli_reference
from launcher.errors import CODES
from launcher.reporting.error_reference import error_reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/**/*.md")])
EXAMPLES = [
    (page, line)
    for page in PAGES
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^\$ (batchwright .*)$", block, re.MULTILINE)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link names a file, and its anchor a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} in {page.name}"
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in headings}
            assert anchor in slugs, f"{target} in {page.name}"


def test_the_error_reference_is_current():
    """docs/reference/errors.md is what the table of codes prints."""
    page = ROOT / "docs" / "reference" / "errors.md"
    assert page.read_text() == error_reference(), "write error_reference() into docs/reference/errors.md"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse lays out help a little differently")
def test_the_command_line_reference_is_current(monkeypatch):
    """docs/reference/cli.md holds every command's help as it is printed at 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    page = (ROOT / "docs/reference/cli.md").read_text()
    assert page == cli_reference(), "write cli_reference() into docs/reference/cli.md"


def test_every_code_has_a_whole_message():
    """Whole messages (of recipes that fail, and of jobs that end), errors.md and the table of codes: one set of codes."""
    messages = [
        *ROOT.glob("tests/loading/bad/*.txt"),
        *ROOT.glob("tests/*/messages/*.txt"),
    ]
    page = (ROOT / "docs/reference/errors.md").read_text()
    written = set(re.findall(r"^## ([a-z0-9-]+)$", page, re.MULTILINE))
    assert {path.stem for path in messages} == written == set(CODES)
    assert len(written) >= 40
    for path in messages:
        assert f"[{path.stem}]" in path.read_text(), path


@pytest.mark.parametrize(("page", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_examples_run(page, line, tmp_path):
    """A console line that starts with `$ batchwright` runs as printed, from the root of the repository."""
    words = shlex.split(line.replace("build/", f"{tmp_path}/"))
    if words[1] == "run" and "--dry-run" not in words:
        pytest.skip("trains; the quickstart's own test runs it")
    ran = subprocess.run(
        [sys.executable, "-c", f"from launcher.cli.main import main; raise SystemExit(main({words[1:]!r}))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout
